"""Finished chains of thought whose answers were verified or voted, kept for the next time that somebody asks.

numbers     where numbers stand in a text, in digits and in words
normalize   questions -> the key of exact hits, and the template that questions with other numbers share
records     what is stored and found
hints       a stored chain -> its path: the chain without its numbers and its answer
keys        what a model and the way of sampling are, as keys
database    the SQLite file: opened, checked, set aside where it is damaged
store       ``PathCache``: find, put, evict
"""
