"""The playground: a private virtual rack: network namespace, QEMU machines, power from outside.

Knows QEMU and namespaces. Talks to the server only over HTTP, like any stranger.
Start reading at supervisor.py.
"""
