"""The gate: the messages that cross it between a machine and the server, as stdlib dataclasses.

Knows shapes, units and limits. Does not know HTTP, time, storage or what a message means.
Stdlib only, Python 3.10+: the packed agent carries this room. Start reading at codec.py.
"""
