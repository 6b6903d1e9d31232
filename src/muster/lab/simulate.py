# SPDX-License-Identifier: Apache-2.0
"""Simulated machines that speak to a server as real ones do: boot answer, hello, scripts, end.

Each is one connection. It asks for its boot answer, says hello, fetches each script, reports what
fleet.py says it prints, asks for more, and ends. What the server does not answer is sent again, as
the agent does. Nothing is run; many thousands cost little, so that the server is what is measured.
"""

import asyncio
import base64
import itertools
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from muster import __version__
from muster.lab import fleet
from muster.lab.errors import LabError

CHUNK = 32 * 1024
"""Bytes of output in one event."""
BATCH = 48 * 1024
"""Bytes of output after which a batch is sent; a real agent sends one every half second."""
_PATIENCE_S = 120.0
"""For so long a request is repeated that nobody answers; an agent never gives up."""
_TIMEOUT_S = 60.0


class Refused(LabError):
    """The server does not take a simulated machine; the message says what it answered."""


@dataclass
class Outcome:
    """What became of the machines; `seconds` are of every request that was answered."""

    done: int = 0
    repeated: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Wave:
    """`count` machines with numbers from `first` on, `at_once` of them at a time."""

    server: str
    count: int
    first: int = 0
    at_once: int = 32


async def run(wave: Wave, outcome: Outcome) -> None:
    """Every machine enlists itself once; raises Refused when the server is none."""
    parts = urlsplit(wave.server)
    if parts.scheme != "http" or not parts.hostname:
        raise Refused(f"{wave.server!r} is no server's address: write http://SERVER:8472")
    numbers = iter(range(wave.first, wave.first + wave.count))
    workers = [
        _work(Line(parts.hostname, parts.port or 80, outcome), numbers, outcome)
        for _ in range(min(wave.at_once, wave.count))
    ]
    await asyncio.gather(*workers)


async def _work(line: "Line", numbers: Iterator[int], outcome: Outcome) -> None:
    for number in numbers:
        try:
            await _machine(line, number)
            outcome.done += 1
        except Refused as error:
            outcome.failures.append(f"machine {number}: {error}")
    line.close()


async def _machine(line: "Line", number: int) -> None:
    who, model = fleet.identity(number), fleet.model(number)
    query = f"uuid={who.uuid}&mac={quote(who.macs[0])}&serial={who.serial}"
    script = await line.ask("GET", f"/boot/ipxe?{query}&arch=x86_64&firmware=efi")
    found = re.search(rb"/boot/report/(\S+)", script)
    if found is None:
        raise Refused(f"its boot answer starts no ephemeral OS: {_told(script)}")
    nics = [{"mac": mac, "name": f"ens1f{n}np{n}"} for n, mac in enumerate(who.macs)]
    evidence = {"uuid": who.uuid, "serial": who.serial, "vendor": model.vendor,
                "product": model.product, "nics": nics}  # fmt: skip
    hello = {"evidence": evidence, "nonce": found[1].decode(), "key": f"key-{number}",
             "boot_mac": who.macs[0], "architecture": "x86_64", "firmware": "uefi",
             "kernel": "simulated", "agent_version": __version__}  # fmt: skip
    welcome = json.loads(await line.ask("POST", "/agent/hello", hello))
    if welcome["decision"] != "run":
        raise Refused(f"{welcome['decision']}: {welcome['reason']}")
    await _report(line, welcome, number)


async def _report(line: "Line", welcome: dict[str, Any], number: int) -> None:
    token, scripts, sent = welcome["token"], welcome["scripts"], {**welcome["bodies"]}
    batch = _Batch(line, token)
    while todo := [item for item in scripts if not item["done"]]:
        for item in todo:
            if item["sha256"] not in sent:
                await line.ask("GET", f"/agent/scripts/{item['sha256']}", token=token)
            await batch.add(kind="started", result=item["result"])
            printed = fleet.output(item["name"], number)
            for at in range(0, len(printed), CHUNK):
                data = base64.b64encode(printed[at : at + CHUNK]).decode()
                await batch.add(kind="output", result=item["result"], data=data)
            await batch.add(kind="finished", result=item["result"], runtime_s=0.5)
        await batch.send()
        plan = json.loads(await line.ask("POST", "/agent/plan", {}, token=token))
        scripts = plan["scripts"]
        sent |= plan["bodies"]
    await batch.add(kind="end")
    await batch.send()


class _Batch:
    """Events that wait to be sent, numbered as they come."""

    def __init__(self, line: "Line", token: str) -> None:
        self._line = line
        self._token = token
        self._seq = 0
        self._size = 0
        self._events: list[dict[str, Any]] = []

    async def add(self, **event: Any) -> None:
        """Sends when there is enough."""
        self._seq += 1
        self._events.append({"seq": self._seq, **event})
        self._size += len(event.get("data", ""))
        if self._size > BATCH:
            await self.send()

    async def send(self) -> None:
        """All that waits; raises Refused."""
        if not self._events:
            return
        body = {"events": self._events}
        ack = json.loads(await self._line.ask("POST", "/agent/events", body, token=self._token))
        if ack["seq"] != self._seq:
            raise Refused(f"the server has events up to {ack['seq']}, not {self._seq}")
        self._events, self._size = [], 0


class Line:
    """One connection, kept; a request is repeated on a new one when no answer comes."""

    def __init__(self, host: str, port: int, outcome: Outcome) -> None:
        self._host = host
        self._port = port
        self._outcome = outcome
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, body: object = None, *, token: str = "") -> bytes:
        """The answer's body; raises Refused for any other answer than 200."""
        data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(data)}\r\n"
        if data:
            head += "Content-Type: application/json\r\n"
        if token:
            head += f"Authorization: Bearer {token}\r\n"
        until = time.monotonic() + _PATIENCE_S
        for attempt in itertools.count():
            began = time.monotonic()
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    status, answer = await self._once(head.encode() + b"\r\n" + data)
            except (OSError, EOFError, ValueError, TimeoutError):
                self.close()
                status, answer = 0, b"no answer"
            if 200 <= status < 300:
                self._outcome.seconds.append(time.monotonic() - began)
                return answer
            if 400 <= status < 500 or began > until:
                break
            self._outcome.repeated += 1
            await asyncio.sleep(min(2.0, 0.1 * 2 ** min(attempt, 8)))
        raise Refused(f"{method} {path.partition('?')[0]}: {status}: {_told(answer)}")

    async def _once(self, request: bytes) -> tuple[int, bytes]:
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"(?i)^content-length:\s*(\d+)", head, re.MULTILINE)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        return int(head.split(" ", 2)[1]), body

    def close(self) -> None:
        """Give the connection up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _told(answer: bytes) -> str:
    return answer.decode(errors="replace").strip()[:300]
