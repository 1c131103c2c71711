"""Data sets as tasks: files, their rows, and the problems and conversations in them."""
