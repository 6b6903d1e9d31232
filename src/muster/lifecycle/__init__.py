"""The steward: the verbs of a machine's life; every write of the house goes through here.

One verb a file, one transaction for one event. Does not know HTTP.
Start reading at enlist.py.
"""
