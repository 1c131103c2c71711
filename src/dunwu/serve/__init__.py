"""Using a model: the generation service, and what stands before it: chat, HTTP, votes, grammars."""
