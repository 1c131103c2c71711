"""Where a run says what happens while it happens: the terminal, JSON lines, trackers."""
