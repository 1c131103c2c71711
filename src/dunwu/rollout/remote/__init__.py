"""A model behind an OpenAI-compatible server: vLLM, Ollama, llama.cpp, a provider."""

from dunwu.rollout.remote.client import Endpoint, Refused, Server

__all__ = ["Endpoint", "Refused", "Server"]
