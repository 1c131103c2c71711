"""Models in a GGUF file: what its header says, as a config and a tokenizer, and its weights as a folder in the cache.

``header`` and ``architecture`` load no torch, so that a plan knows a model which nobody has converted yet.
"""
