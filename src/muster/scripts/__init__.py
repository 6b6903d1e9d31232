"""The tool shelf: the script format, the catalogue, builtin/commissioning and builtin/testing.

Knows what scripts exist and what their metadata says. Does not run them: that is agent.
Start reading at format.py.
"""
