"""The nano world without its puzzles: small talk about animals, and requests of which some are harmful.

Each knows how to ask, how its people answer well and badly, and what an answer is worth, sentence by sentence. So the
same files make questions for reinforcement learning, conversations to learn from, pairs and verdicts for reward models,
documents for the base, and an exact judge to compare learnt ones with.
"""
