"""The version of Dunwu."""

__version__ = "0.1.0"
