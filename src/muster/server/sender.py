# SPDX-License-Identifier: Apache-2.0
"""Sends files in a thread of its own, so that nobody's question waits behind somebody's bytes.

sendfile(2) of what a socket takes (up to 4 MiB) lasts 1 ms, and it waits for the disk where the
kernel has dropped a page. With 256 machines that fetch, one turn of the event loop took 50 ms that
way, and an answer takes several turns; without the interpreter's lock it goes on beside the loop.
"""

import asyncio
import contextlib
import os
import select
import socket
import threading


class Sender:
    """One thread, one poller; started by the first file."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._sendings: dict[int, _Sending] = {}
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    async def send(self, connection: int, file: int, offset: int, count: int) -> int:
        """The bytes sent of descriptor `file`; fewer than `count` when the file is shorter.

        Raises OSError when the other end does not take them. Both descriptors stay the caller's.
        """
        sending = _Sending(connection, file, offset, count)
        # The thread looks it up as soon as it is registered.
        self._sendings[sending.number] = sending
        self._poll.register(sending.number, select.EPOLLOUT)
        self._work()
        try:
            return await sending.finished
        except asyncio.CancelledError:
            sending.cut()
            raise

    def _work(self) -> None:
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="send-files", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            for number, _ in self._poll.poll():
                sending = self._sendings[number]
                if sending.more():
                    self._poll.unregister(number)
                    del self._sendings[number]
                    sending.close()


class _Sending:
    """A part of one file on its way; its descriptors are copies, which the thread closes."""

    def __init__(self, connection: int, file: int, offset: int, count: int) -> None:
        # asyncio lets nobody wait for a descriptor that a transport has.
        self._socket = socket.socket(fileno=os.dup(connection))
        self._file = os.dup(file)
        self.number = self._socket.fileno()
        self._offset, self._end, self._begin = offset, offset + count, offset
        self._loop = asyncio.get_running_loop()
        self._open = threading.Lock()
        self.finished: asyncio.Future[int] = self._loop.create_future()
        self._outcome: int | Exception = 0

    def more(self) -> bool:
        """Send what the socket takes now; whether that was the end."""
        try:
            sent = os.sendfile(self.number, self._file, self._offset, self._end - self._offset)
        except BlockingIOError:
            return False
        except Exception as error:  # noqa: BLE001
            # Whatever it is, it is this request's, and the thread is everybody's.
            self._outcome = error
            return True
        self._offset += sent
        self._outcome = self._offset - self._begin
        # Nothing was sent: the file is shorter than it was.
        return self._offset == self._end or not sent

    def close(self) -> None:
        """Give the descriptors back and tell the outcome."""
        with self._open:
            self._socket.close()
        os.close(self._file)
        # A loop that was closed waits for nothing.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if self.finished.done():
            return
        if isinstance(self._outcome, Exception):
            self.finished.set_exception(self._outcome)
        else:
            self.finished.set_result(self._outcome)

    def cut(self) -> None:
        """End it early: the thread finds the connection broken."""
        with self._open, contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


SENDER = Sender()
"""Of this process."""
