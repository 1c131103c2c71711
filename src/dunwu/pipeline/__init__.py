"""The stages, and the run that strings them together."""
