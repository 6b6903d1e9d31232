"""One simulated machine as the wire sees it: DHCP, TFTP, DHCP again as iPXE, HTTP, hello.

Real datagrams and connections, from an address of its own; nothing is run. It repeats and waits as
PXE firmware (PXE 2.1, 2.2.3: 4, 8, 16, 32 s), iPXE, the initrd and the agent do; firmware whose
netboot failed goes through its boot order again.
"""

import asyncio
import contextlib
import hashlib
import json
import re
import secrets
import socket
import struct
import time
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from muster.lab import fleet

MAGIC = b"\x63\x82\x53\x63"
HEADER = struct.Struct("!BBBB4sHH4s4s4s4s16s64s128s")
BIOS = b"PXEClient:Arch:00000:UNDI:002001"
RCVBUFFORCE = 33
"""socket(7), SO_RCVBUFFORCE; Python has no name for it."""
REPEATS_S = (4.0, 8.0, 16.0, 32.0)
TFTP_TRIES, TFTP_WAIT_S = 6, 4.0
"""As EDK2 (UefiPxeBcDxe, PXEBC_MTFTP_RETRIES); then netboot has failed. A TFTP server that was

started anew knows nothing of the transfer, so what was cut always ends so.
"""
ROUNDS, ROUND_S = 20, 30.0
"""Servers begin their boot order again when it has ended: Dell's after 30 s (BootSeqRetry, on by

default since the 14th generation), HPE's 20 times (NetworkBootRetryCount).
"""
BUFFER = bytearray(4 * 1024 * 1024)


class Lost(Exception):
    """This machine gave up; the message says at what."""


@dataclass
class Told:
    """What happened to all machines."""

    answers_s: list[float] = field(default_factory=list)
    waits: int = 0
    repeated: dict[str, int] = field(default_factory=dict)
    fetched: int = 0
    hashed: int = 0
    arrived_s: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def repeat(self, what: str) -> None:
        self.repeated[what] = self.repeated.get(what, 0) + 1


class Dhcp(asyncio.DatagramProtocol):
    """Port 68 of everybody, answers told apart by their transaction."""

    def __init__(self, interface: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        self.socket.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 8 * 1024 * 1024)
        self.socket.bind(("", 68))
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}

    def datagram_received(self, data: bytes, addr: object) -> None:
        waiting = self._waiting.get(data[4:8])
        if waiting and not waiting.done():
            waiting.set_result(data)

    async def lease(self, mac: bytes, told: Told, *, ipxe: bool) -> tuple[str, str]:
        """(address, boot file) by DISCOVER, OFFER, REQUEST, ACK; raises Lost."""
        for wait in REPEATS_S:
            xid = secrets.token_bytes(4)
            try:
                async with asyncio.timeout(wait):
                    offer = await self._ask(_message(1, mac, xid, ipxe=ipxe), xid)
                    server, address = _options(offer)[54], offer[16:20]
                    more = [(54, server), (50, address)]
                    ack = await self._ask(_message(3, mac, xid, *more, ipxe=ipxe), xid)
            except TimeoutError:
                told.repeat("dhcp")
                continue
            options = _options(ack)
            if options[53] == b"\x05":
                file = ack[108:236].split(b"\0")[0] or options.get(67, b"").rstrip(b"\0")
                return socket.inet_ntoa(ack[16:20]), file.decode()
        raise Lost("no DHCP answer")

    async def _ask(self, packet: bytes, xid: bytes) -> bytes:
        self._waiting[xid] = asyncio.get_running_loop().create_future()
        try:
            self.socket.sendto(packet, ("255.255.255.255", 67))
            return await self._waiting[xid]
        finally:
            del self._waiting[xid]


def _message(kind: int, mac: bytes, xid: bytes, *more: tuple[int, bytes], ipxe: bool) -> bytes:
    options = [(53, bytes([kind])), (60, BIOS), (93, b"\0\0"), (94, b"\x01\x02\x01"),
               (55, bytes([1, 3, 6, 43, 54, 60, 66, 67, 175])), *more]  # fmt: skip
    if ipxe:
        options += [(77, b"iPXE"), (175, b"\xb1\x04\x80\x86\x10\x0e")]
    zero = bytes(4)
    fixed = (1, 1, 6, 0, xid, 0, 0x8000, zero, zero, zero, zero, mac, b"", b"")
    told = b"".join(bytes([number, len(value)]) + value for number, value in options)
    return HEADER.pack(*fixed) + MAGIC + told + b"\xff"


def _options(packet: bytes) -> dict[int, bytes]:
    found, at = {}, HEADER.size + 4
    while at + 1 < len(packet) and packet[at] != 255:
        if packet[at] == 0:
            at += 1
            continue
        found[packet[at]] = packet[at + 2 : at + 2 + packet[at + 1]]
        at += 2 + packet[at + 1]
    return found


class Tftp(asyncio.DatagramProtocol):
    """Reads one file with blocks of 1468 bytes; what is lost is asked for again."""

    def __init__(self) -> None:
        self.size = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.moved = time.monotonic()
        """When a packet came or was sent for the last time."""
        self._next = 1
        self._transport: asyncio.DatagramTransport | None = None
        self._last = (b"", ("", 0))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def say(self, packet: bytes, to: tuple[str, int]) -> None:
        assert self._transport is not None
        self._last = (packet, to)
        self.moved = time.monotonic()
        self._transport.sendto(packet, to)

    def again(self) -> None:
        self.say(*self._last)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.moved = time.monotonic()
        kind, number = struct.unpack_from("!HH", data)
        if kind == 6:
            self.say(b"\0\x04\0\0", addr)
        elif kind == 3 and number == self._next & 0xFFFF:
            self._next += 1
            self.size += len(data) - 4
            self.say(struct.pack("!HH", 4, number), addr)
            if len(data) < 4 + 1468 and not self.done.done():
                self.done.set_result(None)
        elif kind == 5 and not self.done.done():
            self.done.set_exception(Lost(f"TFTP: {data[4:].decode(errors='replace')}"))


async def tftp(address: str, server: str, name: str, told: Told) -> int:
    """The size of a file; raises Lost."""
    loop = asyncio.get_running_loop()
    transport, reader = await loop.create_datagram_endpoint(Tftp, local_addr=(address, 0))
    try:
        reader.say(b"\0\x01" + name.encode() + b"\0octet\0blksize\x001468\0", (server, 69))
        tries = 1
        while True:
            since = reader.moved
            left = since + TFTP_WAIT_S - time.monotonic()
            await asyncio.wait([reader.done], timeout=max(left, 0))
            if reader.done.done():
                reader.done.result()
                return reader.size
            if reader.moved > since:
                tries = 1
                continue
            if tries == TFTP_TRIES:
                raise Lost(f"TFTP of {name} was cut")
            tries += 1
            told.repeat("tftp")
            reader.again()
    finally:
        transport.close()


async def http(address: str, url: str, body: object = None) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own; OSError when there is none."""
    parts = urlsplit(url)
    data = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    path = f"{parts.path}{'?' + parts.query if parts.query else ''}"
    head = f"{method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port, local_addr=(address, 0)
    )
    try:
        writer.write(head.encode() + data)
        answer = await reader.read()
    finally:
        writer.close()
    head_bytes, _, content = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head_bytes)
    if not head_bytes or (length and int(length[1]) != len(content)):
        raise ConnectionResetError("the answer was cut short")
    return int(head_bytes.split(b" ")[1]), content


async def fetch(address: str, url: str, told: Told, *, sha256: str = "") -> None:
    """A whole file; the kernel throws the bytes away (MSG_TRUNC) unless they are to be hashed."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    with socket.socket() as link:
        link.setblocking(False)
        link.bind((address, 0))
        await loop.sock_connect(link, (parts.hostname, parts.port))
        ask = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        await loop.sock_sendall(link, ask.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            part = await loop.sock_recv(link, 1)
            if not part:
                raise ConnectionResetError("no answer")
            head += part
        size = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        if b" 200 " not in head[:20]:
            raise ConnectionResetError(head[:40].decode())
        hashed = hashlib.sha256() if sha256 else None
        got = 0
        while got < size:
            got += await _part(link, size - got, hashed)
        told.fetched += got
        if hashed:
            assert hashed.hexdigest() == sha256, url
            told.hashed += 1


async def _part(link: socket.socket, most: int, hashed: "hashlib._Hash | None") -> int:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(link, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(link)
    flags = 0 if hashed else socket.MSG_TRUNC
    got = link.recv_into(BUFFER, min(most, len(BUFFER)), flags)
    if not got:
        raise ConnectionResetError("cut short")
    if hashed:
        hashed.update(BUFFER[:got])
    return got


async def _report(address: str, root: str, nonce: str, phase: str) -> None:
    report = {"phase": phase, "status": "done", "detail": "simulated", "uptime_s": 2.0}
    with contextlib.suppress(OSError):
        await http(address, f"{root}/boot/report/{nonce}", report)


@dataclass(frozen=True)
class Machine:
    """Number `number` of the fleet; `check`: whether it hashes what it fetches."""

    number: int
    check: bool = False

    async def boot(self, wire: Dhcp, server: str, told: Told) -> None:
        """Power-on to the run that the hello is answered with; raises Lost."""
        address, script = await self._load(wire, server, told)
        for _ in range(60):
            try:
                await self._start(address, script, told)
                return
            except (OSError, EOFError) as error:
                # iPXE's own script: no answer, asking again.
                told.repeat(f"http: {type(error).__name__}")
                await asyncio.sleep(3 + 6 * secrets.randbelow(100) / 100)
        raise Lost("the server does not answer")

    async def _load(self, wire: Dhcp, server: str, told: Told) -> tuple[str, str]:
        """Until iPXE runs: its address, and where its script is."""
        mac = bytes.fromhex(fleet.identity(self.number).macs[0].replace(":", ""))
        for _ in range(ROUNDS):
            try:
                address, loader = await wire.lease(mac, told, ipxe=False)
                await tftp(address, server, loader, told)
                return await wire.lease(mac, told, ipxe=True)
            except Lost as error:
                told.repeat(f"boot order, after: {error}")
                await asyncio.sleep(ROUND_S)
        raise Lost("the boot order was gone through too often")

    async def _start(self, address: str, script: str, told: Told) -> None:
        who = fleet.identity(self.number)
        _, first = await http(address, script)
        root = re.search(rb"chain --replace (\S+)/boot/ipxe\?", first)
        assert root, first
        query = f"uuid={who.uuid}&mac={quote(who.macs[0])}&serial={who.serial}"
        url = f"{root[1].decode()}/boot/ipxe?{query}&arch=x86_64&firmware=pcbios"
        url += "&busid=011af41000"
        while True:
            began = time.monotonic()
            status, answer = await http(address, url)
            told.answers_s.append(time.monotonic() - began)
            text = answer.decode()
            if status != 200:
                raise Lost(f"the boot answer is {status}: {text[:200]}")
            if "\nkernel " in text:
                break
            pause = re.search(r"\nsleep (\d+)\nchain", text)
            if pause is None:
                raise Lost(f"the boot answer starts nothing: {text[:300]}")
            told.waits += 1
            await asyncio.sleep(int(pause[1]))
            await http(address, script)
        for url in re.findall(r"^(?:kernel|initrd --name initrd) (\S+)", text, re.MULTILINE):
            await fetch(address, url, told, sha256=url.split("/")[5] if self.check else "")
        await self._hello(address, root[1].decode(), text, told)

    async def _hello(self, address: str, root: str, text: str, told: Told) -> None:
        who, model = fleet.identity(self.number), fleet.model(self.number)
        nonce = text.split("/boot/report/")[1].split()[0]
        for phase in ("kernel", "network"):
            await _report(address, root, nonce, phase)
        await self._part("swift", address, root, text, told)
        await http(address, f"{root}/agent/agent.pyz")
        nics = [{"mac": who.macs[0], "name": "eth0"}]
        evidence = {"uuid": who.uuid, "serial": who.serial, "vendor": model.vendor,
                    "product": model.product, "nics": nics}  # fmt: skip
        hello = {"evidence": evidence, "nonce": nonce, "key": f"key-{self.number}",
                 "boot_mac": who.macs[0], "architecture": "x86_64", "firmware": "bios",
                 "kernel": "simulated", "agent_version": "1"}  # fmt: skip
        for _ in range(60):
            status, answer = await http(address, f"{root}/agent/hello", hello)
            if status == 503:
                await asyncio.sleep(1 + secrets.randbelow(400) / 100)
                continue
            if status != 200 or json.loads(answer)["decision"] != "run":
                raise Lost(f"hello: {status}: {answer.decode()[:200]}")
            await self._part("drivers", address, root, text, told)
            return
        raise Lost("hello is never taken")

    async def _part(self, name: str, address: str, root: str, text: str, told: Told) -> None:
        """What the initrd fetches of a swift start's parts, when its turn has come."""
        wanted = re.search(rf" root=squash:(\S+)/\w+/squashfs .* muster\.{name}=(\w+)", text)
        if wanted is None:
            return
        nonce = text.split("/boot/report/")[1].split()[0]
        turn = f"{root}/boot/turn/{nonce}"
        while name == "swift" and (wait := int((await http(address, turn))[1])):
            told.waits += 1
            await asyncio.sleep(wait)
        url = f"{wanted[1]}/{wanted[2]}/{name}"
        await fetch(address, url, told, sha256=wanted[2] if self.check else "")
        await _report(address, root, nonce, name)
