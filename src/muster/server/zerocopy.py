# SPDX-License-Identifier: Apache-2.0
"""Files that go from the page cache to the socket without passing through this process.

The ASGI extension "Zero Copy Send" (asgi.readthedocs.io, extensions), which uvicorn lacks: a
handler sends a file, an offset and a count, the kernel does the rest (sendfile(2)).
"""

import asyncio
import os
from typing import Any, BinaryIO

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from muster.boot.files import ZERO_COPY


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
        # A descriptor of our own: asyncio lets nobody wait for one that a transport has.
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
        try:
            return await _Sending(descriptor, file.fileno(), offset, count).finished
        finally:
            asyncio.get_running_loop().remove_writer(descriptor)
            os.close(descriptor)


class _Sending:
    """One sendfile(2) whenever the socket has room.

    One registration with the poller for a whole file; `loop.sendfile` makes one a chunk.
    """

    def __init__(self, socket: int, file: int, offset: int, count: int) -> None:
        self._socket, self._file = socket, file
        self._offset, self._end, self._begin = offset, offset + count, offset
        loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[int] = loop.create_future()
        loop.add_writer(socket, self._more)

    def _more(self) -> None:
        if self.finished.done():
            return
        try:
            sent = os.sendfile(self._socket, self._file, self._offset, self._end - self._offset)
        except BlockingIOError:
            return
        except OSError as error:
            self.finished.set_exception(error)
            return
        self._offset += sent
        # Nothing was sent: the file is shorter than it was.
        if self._offset == self._end or not sent:
            self.finished.set_result(self._offset - self._begin)
