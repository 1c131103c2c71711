"""What the authors of the nano world's corpus write about each kind of question: a thought, and an answer.

Every author has a manner. *Hasty* ones write down the first thing that may fit; *checking* ones look whether it does
and then give up with some probability (``quits``) or say "wait" and go on.
"""
