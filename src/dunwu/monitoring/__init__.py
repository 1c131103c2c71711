"""Where a run says what happens while it happens: the terminal, a notebook, JSON lines, trackers."""
