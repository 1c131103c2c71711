"""Trace writers of the nano world's corpus: for each kind of question a thought, and an answer.

Every writer has a manner. *Hasty* ones write down the first thing that may fit. *Checking* ones look whether it does;
after a miss they give up with some probability (``quits``), or say "wait" and go on.
"""
