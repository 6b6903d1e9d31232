# SPDX-License-Identifier: Apache-2.0
"""Keeps one dnsmasq running as a child and hands its log lines on.

A child that ends is started again with back-off; one that cannot start at all says why in words
of ours, because "failed to bind DHCP server socket" does not tell a person what to do.
"""

import asyncio
import fcntl
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

log = structlog.get_logger("dnsmasq")

_CHUNK = 8192
"""Bytes, as many as the pipe holds: dnsmasq waits when nobody reads, and machines with it.

With the usual 64 KiB, and asyncio's 128 behind it, 100 machines had an address at once whenever the
database was behind, and asked for their boot answers at once (p99 205 ms instead of 120).
"""
_FIRST_WAIT = 0.5
_STEADY = 60.0
"""Seconds after which a child that ends has not failed to start."""

_RIGHTS = "DHCP needs root, or CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE"
_REMEDIES = {
    "Address already in use": (
        "another DHCP or TFTP server runs on this machine (UDP 67 or 69 is taken): stop it, or"
        " start muster with --dhcp none"
    ),
    "unknown interface": "the network interface is missing: see 'ip link'",
    "Operation not permitted": _RIGHTS,
    "Permission denied": _RIGHTS,
}


class DhcpError(Exception):
    """DHCP cannot be served; the message says why and what to do."""


class Dnsmasq:
    """One child; `on_lines` gets every log line, with all others that have come meanwhile."""

    def __init__(
        self, configuration: str, folder: Path, on_lines: Callable[[list[str]], Awaitable[None]]
    ) -> None:
        self._folder = folder
        self._on_lines = on_lines
        self._process: asyncio.subprocess.Process | None = None
        self._lines = asyncio.StreamReader()
        self._keeper: asyncio.Task[None] | None = None
        self._last_lines: list[str] = []
        self._started = asyncio.Event()
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "dnsmasq.conf"
        self._file.write_text(configuration)

    async def start(self) -> None:
        """Returns when dnsmasq serves; raises DhcpError when it cannot."""
        program = shutil.which("dnsmasq", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin")
        if program is None:
            raise DhcpError("dnsmasq is not installed: apt-get install dnsmasq-base")
        self._program = program
        await self._spawn()
        ended = asyncio.ensure_future(self._require().wait())
        started = asyncio.ensure_future(self._started.wait())
        reading = asyncio.create_task(self._read())
        await asyncio.wait({ended, started}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if not self._started.is_set():
            await asyncio.wait({reading}, timeout=1)
            await self.stop()
            raise DhcpError(_explain(self._last_lines))
        self._keeper = asyncio.create_task(self._keep(reading))

    async def stop(self) -> None:
        """End the child; it is gone when this returns."""
        if self._keeper:
            self._keeper.cancel()
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _spawn(self) -> None:
        written = await self._pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                # The kernel ends the child with us: after kill -9 the port must be free again.
                "setpriv",
                "--pdeathsig=KILL",
                self._program,
                # In the foreground and as we are: it reads our folder, and in a user namespace (the
                # lab without root) a change of group is refused.
                "--no-daemon",
                f"--conf-file={self._file}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=written,
            )
        finally:
            os.close(written)

    async def _pipe(self) -> int:
        """A new pipe that holds no more than is noted at once; returns the end to write to."""
        read, written = os.pipe()
        fcntl.fcntl(written, fcntl.F_SETPIPE_SZ, _CHUNK)
        self._lines = lines = asyncio.StreamReader(limit=_CHUNK // 2)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(read, "rb")
        )
        return written

    def _require(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def _read(self) -> None:
        lines, rest = self._lines, b""
        while chunk := await lines.read(_CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            # It writes no line of this length: what has no end is dropped before it fills memory.
            rest = rest if len(rest) < _CHUNK else b""
            if whole:
                await self._hand_on([line.decode(errors="replace").rstrip() for line in whole])

    async def _hand_on(self, lines: list[str]) -> None:
        self._last_lines = [*self._last_lines, *lines][-10:]
        if any(": started, version" in line for line in lines):
            # Said once every socket is bound; "failed to bind DHCP server socket" is not it.
            self._started.set()
        try:
            await self._on_lines(lines)
        except Exception as error:
            # A pipe that nobody reads any more would stop DHCP itself.
            log.error("lines of dnsmasq were not noted", lines=lines, exc_info=error)

    async def _keep(self, reading: asyncio.Task[None]) -> None:
        """Start it again whenever it ends, ever more slowly while it does not stay up."""
        wait = _FIRST_WAIT
        clock = asyncio.get_running_loop().time
        since = clock()
        while True:
            await self._require().wait()
            await reading
            if clock() - since > _STEADY:
                wait = _FIRST_WAIT
            log.error("dnsmasq ended", why=_explain(self._last_lines), again_in_s=wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, 30)
            since = clock()
            await self._spawn()
            reading = asyncio.create_task(self._read())


def _explain(lines: list[str]) -> str:
    said = next((line for line in reversed(lines) if line.strip()), "it said nothing")
    said = said.replace("dnsmasq: ", "", 1).strip()
    for sign, remedy in _REMEDIES.items():
        if any(sign in line for line in lines):
            return f"dnsmasq: {said}: {remedy}"
    return f"dnsmasq: {said}"
