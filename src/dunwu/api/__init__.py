"""What Python users hold in their hands: runs, policies and a loop of their own. ``dunwu`` itself lists the names."""
