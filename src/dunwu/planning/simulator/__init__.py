"""RL clusters that are not here: seconds of a step from a model's shape, devices, lengths of answers and a layout.

Nothing is measured here. Three constants are fitted to one published row, and every other published time is predicted.
"""
