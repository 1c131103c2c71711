"""How good a model is, with intervals: pass@1, pass@k, cons@k (R1, arXiv 2501.12948v2, supplementary D)."""
