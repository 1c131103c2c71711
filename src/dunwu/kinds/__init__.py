"""The kinds of stages, a file for each or for a family: how a recipe's stage is checked, planned and run.

Importing them is light: what does the work is imported from ``pipeline.stages`` when a stage runs.
"""
