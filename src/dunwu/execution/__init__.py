"""Who executes a step: the one place that builds engines and trainers."""
