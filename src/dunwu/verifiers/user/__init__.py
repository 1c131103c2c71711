"""Reward components that users wrote, run in processes of their own."""
