"""Kernels in C++ for the CPU: what a transformer does between its matrix products, fused. Optional: see ``library``."""
