# SPDX-License-Identifier: Apache-2.0
"""Files that go from the page cache to the socket without passing through this process.

The ASGI extension "Zero Copy Send" (asgi.readthedocs.io, extensions), which uvicorn lacks: a
handler sends a file, an offset and a count, the kernel does the rest (sendfile(2)).
"""

import asyncio
from typing import Any, BinaryIO

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from muster.boot.files import ZERO_COPY
from muster.server.sender import SENDER


class Cycle(RequestResponseCycle):
    """uvicorn's answer to one request, which can be a part of a file."""

    async def send(self, message: Any) -> None:
        """As uvicorn's; for ZERO_COPY OSError when the machine does not take it all."""
        if message["type"] != ZERO_COPY:
            await super().send(message)
            return
        try:
            sent = await self._sendfile(message["file"], message["offset"], message["count"])
        except OSError:
            # No failure of ours: uvicorn logs none for who has gone.
            self.disconnected = True
            self.transport.abort()
            raise
        self.expected_content_length -= sent
        await super().send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _sendfile(self, file: BinaryIO, offset: int, count: int) -> int:
        """The bytes sent; raises OSError when the machine does not take them."""
        transport: asyncio.Transport = self.transport.real  # type: ignore[attr-defined]
        # The head must be out before the file: "paused" now means that anything is buffered.
        transport.set_write_buffer_limits(high=0)
        await self.flow.drain()
        transport.set_write_buffer_limits()
        if self.disconnected or transport.is_closing():
            raise ConnectionResetError("the machine has gone")
        connection = transport.get_extra_info("socket").fileno()
        return await SENDER.send(connection, file.fileno(), offset, count)
