"""Engines that live in workers: the host beside each engine, and the engine that the pipeline sees."""
