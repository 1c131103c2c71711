"""Recipes: what a run shall do, checked before anything is loaded. Imports no torch."""
