# SPDX-License-Identifier: Apache-2.0
"""QEMU's machine protocol over one end of a socket pair (QEMU docs: interop/qmp-spec)."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any

from muster.lab.errors import PowerFailed

COMMAND_LIMIT_S = 30.0


class Qmp:
    """One connection. Events go to `on_event(name, data)` as they come."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_event: "OnEvent"
    ) -> None:
        self._reader, self._writer, self._on_event = reader, writer, on_event
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._listener: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, end: socket.socket, on_event: "OnEvent", *, limit_s: float) -> "Qmp":
        """Wait for QEMU's greeting. Raises PowerFailed when QEMU ends or is silent instead."""
        reader, writer = await asyncio.open_unix_connection(sock=end)
        qmp = cls(reader, writer, on_event)
        try:
            async with asyncio.timeout(limit_s):
                greeting = await reader.readline()
        except TimeoutError:
            greeting = b""
        if not greeting:
            writer.close()
            raise PowerFailed(f"QEMU gave no greeting within {limit_s:.0f} s")
        qmp._listener = asyncio.create_task(qmp._listen())
        await qmp.command("qmp_capabilities")
        return qmp

    async def command(self, verb: str, /, **arguments: Any) -> Any:
        self._number += 1
        number = self._number
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        line = json.dumps({"execute": verb, "arguments": arguments, "id": number})
        try:
            self._writer.write(line.encode() + b"\n")
            await self._writer.drain()
            async with asyncio.timeout(COMMAND_LIMIT_S):
                return await answer
        except (OSError, TimeoutError) as error:
            raise PowerFailed(f"QEMU does not answer {verb}: {error!r}") from error
        finally:
            self._waiting.pop(number, None)

    async def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while line := await self._reader.readline():
                self._dispatch(json.loads(line))
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(PowerFailed("QEMU ended before it answered"))
        self._writer.close()

    def _dispatch(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self._on_event(message["event"], message.get("data", {}))
            return
        answer = self._waiting.get(message.get("id", 0))
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(PowerFailed(f"QEMU: {message['error']['desc']}"))
        else:
            answer.set_result(message["return"])


OnEvent = Callable[[str, dict[str, Any]], None]
