# SPDX-License-Identifier: Apache-2.0
"""Sockets as the kernel gives them. Importing `socket` takes 2 of the survey's 48 ms, most of it

for enumerations that nothing here asks for.
"""

import _socket
from _socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW, inet_ntop

__all__ = ["AF_INET", "AF_INET6", "AF_NETLINK", "SOCK_DGRAM", "SOCK_RAW", "Channel", "inet_ntop"]

AF_NETLINK = 16
"""<linux/socket.h>; other systems' Python does not have it."""


class Channel(_socket.socket):
    """A socket that is closed at the end of its `with`."""

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
