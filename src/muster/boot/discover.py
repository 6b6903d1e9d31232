# SPDX-License-Identifier: Apache-2.0
"""Asks a segment's DHCP servers what they would tell a netboot client, and who they are.

DISCOVER only: no address is taken (RFC 2131, 4.4.1). The packets are those of a machine: sent from
0.0.0.0 below the host's own IP, so that neither its firewall nor its DHCP client takes part; the
hardware address is the interface's own, as switches with DHCP snooping drop any other.
"""

import secrets
import socket
import struct
import time
from dataclasses import dataclass

_ETH_P_IP = 0x0800
_MAGIC = b"\x63\x82\x53\x63"
_BROADCAST = b"\xff" * 6
_REPEAT_S = 1.2
"""Longer than the ping that ISC's server sends before it offers an address (1 s)."""

_HEADER = struct.Struct("!BBBB4sHH4s4s4s4s16s64s128s")
_WANTED = bytes([1, 3, 6, 43, 54, 60, 66, 67, 128, 175])


@dataclass(frozen=True)
class Asking:
    """A kind of client; `vendor` is option 60, `architecture` option 93."""

    name: str
    vendor: str
    architecture: int
    ipxe: bool = False


@dataclass(frozen=True)
class Offer:
    """What one server said. `address` is "" when it gives none (proxyDHCP)."""

    server: str
    mac: str
    address: str
    next_server: str
    file: str
    vendor: str
    message: str = ""

    @property
    def named(self) -> str:
        """The server as a person finds it: its address, and its hardware address on this wire."""
        return f"{self.server} ({self.mac})"


def discover(asking: Asking, mac: bytes, xid: bytes) -> bytes:
    """A DISCOVER from UDP on, with its IP header; `mac` has 6 bytes, `xid` 4."""
    options = [
        (53, b"\x01"),
        (55, _WANTED),
        (57, struct.pack("!H", 1472)),
        (60, asking.vendor.encode()),
        (93, struct.pack("!H", asking.architecture)),
        (94, bytes([1, 3, 16])),
        (97, b"\x00" + mac + bytes(10)),
    ]
    if asking.ipxe:
        options += [(77, b"iPXE"), (175, b"\xb1\x04\x80\x86\x10\x0e")]
    zero = bytes(4)
    # The flag asks for an answer by broadcast: the address offered is not ours to receive on.
    fixed = (1, 1, 6, 0, xid, 0, 0x8000, zero, zero, zero, zero, mac, b"", b"")
    told = b"".join(bytes([number, len(value)]) + value for number, value in options)
    bootp = (_HEADER.pack(*fixed) + _MAGIC + told + b"\xff").ljust(300, b"\0")
    return _ip(struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp)


def _ip(datagram: bytes) -> bytes:
    """UDP from 0.0.0.0 to 255.255.255.255; no UDP checksum is one that need not be checked."""
    fields = (0x45, 0, 20 + len(datagram), 0, 0, 64, 17)
    blank = struct.pack("!BBHHHBBH4s4s", *fields, 0, bytes(4), b"\xff" * 4)
    total = sum(struct.unpack("!10H", blank))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    checksum = ~total & 0xFFFF
    return struct.pack("!BBHHHBBH4s4s", *fields, checksum, bytes(4), b"\xff" * 4) + datagram


def read_offer(packet: bytes, xid: bytes, sender: bytes) -> Offer | None:
    """The offer in an IP packet, None when it is anything else; anybody may have sent it."""
    bootp = _bootp(packet)
    if bootp is None or len(bootp) < _HEADER.size + 4:
        return None
    op, *_, yiaddr, siaddr, _giaddr, _mac, name, file = _HEADER.unpack_from(bootp)
    if op != 2 or bootp[4:8] != xid or bootp[_HEADER.size : _HEADER.size + 4] != _MAGIC:
        return None
    options = _options(bootp[_HEADER.size + 4 :])
    overload = options.get(52, b"\0")[:1]
    if overload in (b"\x01", b"\x03"):
        options |= _options(file)
    if overload in (b"\x02", b"\x03"):
        options |= _options(name)
    if options.get(53) != b"\x02":
        return None
    server = options.get(54, b"")
    offered = b"" if overload in (b"\x01", b"\x03") else file
    return Offer(
        server=socket.inet_ntoa(server if len(server) == 4 else packet[12:16]),
        mac=sender[:6].hex(":"),
        address="" if yiaddr == bytes(4) else socket.inet_ntoa(yiaddr),
        next_server=_text(options.get(66, b"")) if siaddr == bytes(4) else socket.inet_ntoa(siaddr),
        file=_text(offered) or _text(options.get(67, b"")),
        vendor=_text(options.get(60, b"")),
        message=_text(options.get(56, b"")),
    )


def _bootp(packet: bytes) -> bytes | None:
    if len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != 17:
        return None
    start = (packet[0] & 15) * 4
    if len(packet) < start + 8 or packet[start + 2 : start + 4] != b"\x00\x44":
        return None
    return packet[start + 8 :]


def _options(field: bytes) -> dict[int, bytes]:
    """Options by number; parts of one option are joined (RFC 3396), what is cut short ends it."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(field) and field[at] != 255:
        if field[at] == 0:
            at += 1
            continue
        if at + 2 > len(field) or at + 2 + field[at + 1] > len(field):
            break
        value = field[at + 2 : at + 2 + field[at + 1]]
        found[field[at]] = found.get(field[at], b"") + value
        at += 2 + field[at + 1]
    return found


def _text(value: bytes) -> str:
    """Printable ASCII up to the first zero: it goes onto a terminal."""
    cut = value.split(b"\0", 1)[0][:200]
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in cut)


def offers(interface: str, asking: Asking, *, wait_s: float = 3.0, all_s: float = 0) -> list[Offer]:
    """Every server's offer on this interface, each once.

    Waits `wait_s` for the first and `all_s` from the start for others. Needs root (packet(7));
    raises OSError. Servers on this very host, and on this interface, are not heard.
    """
    xid = secrets.token_bytes(4)
    found: dict[tuple[str, str], Offer] = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP)) as wire:
        wire.bind((interface, _ETH_P_IP))
        mac = wire.getsockname()[4]
        if len(mac) != 6:
            raise OSError(f"{interface} is no Ethernet interface")
        start = time.monotonic()
        sent = 0
        while (now := time.monotonic() - start) < (all_s if found else max(wait_s, all_s)):
            if sent <= now / _REPEAT_S and sent < 3:
                target = (interface, _ETH_P_IP, 0, 0, _BROADCAST)
                wire.sendto(discover(asking, mac, xid), target)
                sent += 1
            wire.settimeout(0.1)
            try:
                packet, sender = wire.recvfrom(4096)
            except TimeoutError:
                continue
            if offer := read_offer(packet, xid, sender[4]):
                found.setdefault((offer.server, offer.mac), offer)
    return list(found.values())


def servers(interface: str) -> list[Offer]:
    """Everyone who answers a PXE client within two seconds and a half; others than this host."""
    asking = Asking("UEFI x86-64", "PXEClient:Arch:00007:UNDI:003016", 7)
    return offers(interface, asking, wait_s=2.5, all_s=2.5)
