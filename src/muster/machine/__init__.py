"""The courtyard: what a machine is: identity, states, phases of a boot.

No I/O, no clock, no random, no third party: everything comes in as an argument.
Start reading at states.py and identity.py.
"""
