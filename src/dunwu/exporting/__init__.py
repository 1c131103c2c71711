"""Models for other programs: a folder for transformers, a file for llama.cpp, a Modelfile, and what the runtime says."""
