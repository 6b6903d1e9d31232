"""The bell-pull: talks HTTP like any stranger; imports nothing of the house but wire.

Start reading at tree.py, the command tree.
"""
