"""A model behind an OpenAI-compatible server: vLLM, Ollama, llama.cpp, a provider."""

from dunwu.endpoint.server import Endpoint, Refused, Server

__all__ = ["Endpoint", "Refused", "Server"]
