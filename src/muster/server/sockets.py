# SPDX-License-Identifier: Apache-2.0
"""The sockets that the server listens on, and how many it may have open."""

import contextlib
import os
import resource
import socket

_LISTEN_FDS_START = 3
_GONE_MS = 180_000
_DOORS = 8


class CannotStart(Exception):
    """The server cannot start; the message says why and what to do."""


def raise_open_files() -> int:
    """Take as many open files as the system lets us have; returns how many.

    A machine that fetches needs two. The usual soft limit of 1024 is for programs with select(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def listen(address: str, *, beside: bool = False) -> socket.socket:
    """A listening socket for ADDRESS:PORT; raises CannotStart.

    `beside`: for IPv6 alone, as another one has the same port by IPv4.
    """
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the socket says that it is TCP; without it a small answer
    # on a connection that is kept takes 40 ms (Nagle and the client's delayed ACK).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if beside:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        listener.bind((host.strip("[]") or "0.0.0.0", int(port)))
    except (ValueError, OverflowError) as error:
        raise CannotStart(f"listen={address!r}: write ADDRESS:PORT, port 0 to 65535") from error
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {address}: {error.strerror}; is another server running there?"
            " (setting: listen)"
        ) from error
    # A machine that was switched off while it fetched holds its connection no longer than this.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_MS)
    listener.listen(4096)
    listener.setblocking(False)  # noqa: FBT003
    return listener


def inherited() -> list[socket.socket]:
    """Listening sockets of systemd's socket activation, sd_listen_fds(3)."""
    if os.environ.get("LISTEN_PID") not in (str(os.getpid()), None):
        return []
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    os.environ.pop("LISTEN_PID", None)
    fds = range(_LISTEN_FDS_START, _LISTEN_FDS_START + count)
    for fd in fds:
        # dnsmasq, our child, must not hold the port when we are gone.
        os.set_inheritable(fd, False)  # noqa: FBT003
    return [socket.socket(fileno=fd) for fd in fds]


def doors(listeners: list[socket.socket]) -> list[socket.socket]:
    """Several descriptors of each listener, which are closed.

    libuv accepts one connection a descriptor and turn of its loop (since 1.45, "don't accept()
    connections in a loop"): at 600 connections a second each waited 0.6 s to be accepted.
    """
    opened = [listener.dup() for listener in listeners for _ in range(_DOORS)]
    for listener in listeners:
        listener.close()
    return opened


def own_address(listen: str) -> str:
    """The address to name when there is no interface: where we listen, or the way out."""
    host = listen.rpartition(":")[0].strip("[]")
    if host and host not in ("0.0.0.0", "::"):
        return host
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # No packet is sent: connect only chooses the route (TEST-NET-1, RFC 5737).
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return "127.0.0.1"
