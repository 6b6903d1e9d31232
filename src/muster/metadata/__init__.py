"""The vestibule: all a machine hears AFTER its kernel: seed, packed agent, agent's protocol.

Knows nonces and session tokens. Does not decide: that is lifecycle.
Start reading at http.py.
"""
