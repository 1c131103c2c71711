"""Is it an aha? Where a run's series change, with a test that holds its false-alarm rate, and what changed together."""
