"""The causal types of transformers, each as a tiny random model compared with itself: docs/reference/models.md."""
