"""Dunwu (顿悟): grow reasoning in language models the way DeepSeek-R1 did.

Importing this package imports nothing heavy; the rooms are imported where they are used.
"""

__version__ = "0.1.0"
