"""Between a model and its users: a policy decides, a second check or a person releases, and a log keeps who did what.

policy         a TOML file: topics, their rules, and what is done (``settings`` reads it; ``matching`` looks)
decision       policy, question, reasoning, answer -> answer, verify, hold or refuse
verification   independent derivations -> agree, disagree or failed
held_queue     answers that wait for a person, in SQLite (``database``), by their ``records``
audit_log      who did what, chained by hash
keys           who is a client, a reviewer, an admin
expiry         gives up what nobody decided in time
webhooks       notes to clients on this machine that an answer is ready
router         pages and JSON for reviewers, the poll of clients (``access``: who asks; ``pages``: what they see)
"""
