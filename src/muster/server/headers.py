# SPDX-License-Identifier: Apache-2.0
"""HTTP as GRUB reads it.

By UEFI HTTP boot GRUB learns the size of a file by comparing header names with "Content-Length",
letter by letter (efihttp.c of the distributions' signed builds, GRUB 2.12), and takes every file of
a server that writes "content-length" for empty. uvicorn writes all names in lower case.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from muster.boot.files import ZERO_COPY
from muster.server.zerocopy import Cycle

_LOWER, _WANTED = b"\r\ncontent-length:", b"\r\nContent-Length:"
_CONTINUE = b"HTTP/1.1 100 "


class Spelling:
    """One answer's transport: spells one header's name as GRUB does; all else is the real one's."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.real = transport
        self._head_is_next = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def write(self, data: bytes) -> None:
        """Status line and headers are one write, before every write of the body."""
        if self._head_is_next:
            self._head_is_next = data.startswith(_CONTINUE)
            data = data.replace(_LOWER, _WANTED, 1)
        self.real.write(data)


class Protocol(HttpToolsProtocol):
    """uvicorn's, with such a transport for each answer."""

    _real: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection was accepted."""
        super().connection_made(transport)
        self._real = transport

    def on_headers_complete(self) -> None:
        """A request was read; what answers it is made with the transport that is set now."""
        self.transport = Spelling(self._real)  # type: ignore[assignment]
        self.scope["extensions"] = {ZERO_COPY: {}}
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            # uvicorn makes its answers itself; this one has not begun to run yet.
            self.cycle.__class__ = Cycle
