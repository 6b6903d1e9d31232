"""Programs that run inside the root being built, by the image's own Python. Stdlib only.

check.py runs every tool once; customize.py then makes the root an ephemeral OS.
"""
