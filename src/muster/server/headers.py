# SPDX-License-Identifier: Apache-2.0
"""HTTP as GRUB reads it.

By UEFI HTTP boot GRUB learns the size of a file by comparing header names with "Content-Length",
letter by letter (efihttp.c of the distributions' signed builds, GRUB 2.12), and takes every file of
a server that writes "content-length" for empty. uvicorn writes all names in lower case.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LOWER, _WANTED = b"\r\ncontent-length:", b"\r\nContent-Length:"
_CONTINUE = b"HTTP/1.1 100 "


class _Spelling:
    """One answer's transport: spells one header's name as GRUB does; all else is the real one's."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head_is_next = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Status line and headers are one write, before every write of the body."""
        if self._head_is_next:
            self._head_is_next = data.startswith(_CONTINUE)
            data = data.replace(_LOWER, _WANTED, 1)
        self._transport.write(data)


class Protocol(HttpToolsProtocol):
    """uvicorn's, with such a transport for each answer."""

    _real: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection was accepted."""
        super().connection_made(transport)
        self._real = transport

    def on_headers_complete(self) -> None:
        """A request was read; what answers it is made with the transport that is set now."""
        self.transport = _Spelling(self._real)  # type: ignore[assignment]
        super().on_headers_complete()
