"""The cellar: the only room with SQL; one file a noun, and migrations/.

Knows rows and transactions. Does not know why they change: that is lifecycle.
Start reading at engine.py and schema.py.
"""
