"""The nano base from nothing: a generated corpus, a tokenizer, and weights."""
