"""The built-in engine: continuous batching over a slot cache, on CPU threads or one GPU."""
