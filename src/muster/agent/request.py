# SPDX-License-Identifier: Apache-2.0
"""One HTTP request to our own server, with nothing loaded for it.

http.client brings the whole of `email`: a quarter of what an emulated machine loads before its
hello (0.5 of 2.0 s), and nothing of it is used. HTTP/1.0 (RFC 1945) is enough: an answer ends where
its connection does, so there are neither chunks nor connections to keep.
"""

import re
import socket
from typing import NamedTuple

_HEAD_LIMIT = 64 * 1024
_PIECE = 256 * 1024


class BadAnswer(ValueError):
    """What came is no HTTP answer, not all of it, or too much."""


class Answer(NamedTuple):
    """Header names are lower case."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


def address(place: str) -> tuple[str, int]:
    """Host and port of "10.0.0.1:8472", "[fd00::1]:8472" or "muster"; raises ValueError."""
    host, colon, port = place.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = place, "80"
    return host.strip("[]"), int(port)


def request(
    place: str, path: str, body: bytes | None, headers: dict[str, str], *, timeout: float,
    limit: int,
) -> Answer:  # fmt: skip
    """GET, or POST with a body, from `place` (host:port); raises OSError or BadAnswer.

    `timeout` is for each wait in seconds, `limit` the largest answer in bytes.
    """
    told = {"Host": place, "Connection": "close"} | headers
    if body is not None:
        told["Content-Length"] = str(len(body))
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.0"]
    lines += [f"{name}: {value}" for name, value in told.items()]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise BadAnswer("an address or a token that the server gave is no plain text")
    with socket.create_connection(address(place), timeout) as line:
        line.sendall("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        return _answer(_read(line, limit))


def _read(line: socket.socket, limit: int) -> bytearray:
    came = bytearray()
    while piece := line.recv(_PIECE):
        came += piece
        if len(came) > limit + _HEAD_LIMIT:
            raise BadAnswer(f"the answer is longer than {limit} bytes")
    return came


def _answer(came: bytearray) -> Answer:
    head, end, body = came.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    version, _, said = first.partition(" ")
    status, _, reason = said.partition(" ")
    if not end or not version.startswith("HTTP/1.") or not re.fullmatch("[0-9]{3}", status):
        raise BadAnswer("what answered does not speak HTTP" if came else "no answer came")
    headers = {}
    for header in rest:
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "")
    if length and length != str(len(body)):
        raise BadAnswer(f"{len(body)} of {length} bytes of the answer came")
    return Answer(int(status), reason, headers, bytes(body))
