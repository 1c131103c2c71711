"""The HTTP face of the generation service: OpenAI's requests and replies, health, metrics, and a page to talk to."""
