"""The stages of a recipe, one file a kind, and what they share."""
