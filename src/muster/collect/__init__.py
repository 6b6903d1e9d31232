"""The surveyor: reads a machine's hardware from /proc, /sys and raw SMBIOS.

One probe a file, one shape: probe(root) -> dataclass. Does not know the agent or the server.
Stdlib only, Python 3.10+. Start reading at document.py.
"""
