"""The workshop: builds the ephemeral OS (kernel, initrd, squashfs, boot loaders) and keeps images.

Run by people and by set-up; the server only reads the library. Does not know machines.
Start reading at recipe.py and build.py.
"""
