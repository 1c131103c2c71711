"""vLLM as a rollout engine: a client here, and a script that vLLM's own python runs."""
