"""The causal types that transformers knows, each as a tiny random model, compared with itself: docs/models.md."""
