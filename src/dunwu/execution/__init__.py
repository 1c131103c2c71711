"""Who executes a stage: the one place that builds engines and trainers."""
