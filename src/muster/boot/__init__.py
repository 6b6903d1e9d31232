"""The doorstep: all a machine hears BEFORE its kernel: DHCP, TFTP, iPXE, boot files.

Knows firmware and loaders. Nothing served here is secret.
Start reading at http.py and dhcp.py.
"""
