"""Functions that users wrote, as components of a reward and as verifiers."""
