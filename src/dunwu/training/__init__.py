"""From training samples to new weights: the policy trainer, its optimizers and its schedule."""
