# SPDX-License-Identifier: Apache-2.0
"""Asks addresses that an operator named whether a BMC is there: Redfish and IPMI, without password.

Sends to each: a TCP connection and `GET /redfish/v1/` (DSP0266, 6.3: needs no authentication), and
one datagram, Get Channel Authentication Capabilities (IPMI v2.0, 22.13), which says what the BMC
lets in. Nothing else is sent without credentials.
"""

import asyncio
import ipaddress
import struct
from dataclasses import dataclass, field

from muster.power import https
from muster.power.drivers import PowerError
from muster.power.https import Peer

MOST = 4096
"""Addresses of one range."""
CONNECT_S = 2.0
IPMI_S = 1.0
_TRIES = 2
_TEXT = 128

# RMCP, no session, and the message for channel 0Eh (this one) at the privilege ADMINISTRATOR.
_ASK = bytes.fromhex("0600ff07 00 00000000 00000000 09 20 18 c8 81 00 38 8e 04 b5")


@dataclass(frozen=True)
class Redfish:
    """The service root, and the SHA-256 of the certificate shown with it ("" for plain HTTP)."""

    fingerprint: str
    version: str
    vendor: str
    product: str
    uuid: str


@dataclass(frozen=True)
class Ipmi:
    """`version` 2.0 or 1.5; `weak`: what it lets in that it should not."""

    version: str
    weak: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What is at an address; None where nothing answers so."""

    address: str
    redfish: Redfish | None
    ipmi: Ipmi | None


def addresses(text: str) -> list[str]:
    """The addresses of "10.0.0.0/24", "10.0.0.5-10.0.0.40", "10.0.0.5-40" or "10.0.0.5".

    Raises PowerError naming the range.
    """
    try:
        if "-" in text:
            first, last = _ends(text)
            count = int(last) - int(first) + 1
        else:
            network = ipaddress.ip_network(text.strip(), strict=False)
            wide = network.num_addresses > 2
            first = network[0] if not wide else network[1]
            count = network.num_addresses if not wide else network.num_addresses - 2
    except (ValueError, IndexError) as error:
        wrong = f"range {text[:_TEXT]!r}: {error}; write 10.0.0.0/24, 10.0.0.5-40 or 10.0.0.5"
        raise PowerError(wrong, permanent=True) from error
    if not 1 <= count <= MOST:
        wrong = f"range {text[:_TEXT]!r}: has {count} addresses; 1 to {MOST} are asked at once"
        raise PowerError(wrong, permanent=True)
    return [str(first + number) for number in range(count)]


def _ends(
    text: str,
) -> tuple[
    ipaddress.IPv4Address | ipaddress.IPv6Address, ipaddress.IPv4Address | ipaddress.IPv6Address
]:
    start, _, end = (part.strip() for part in text.partition("-"))
    first = ipaddress.ip_address(start)
    if end.isascii() and end.isdigit():
        end = f"{start.rpartition('.')[0]}.{int(end)}"
    last = ipaddress.ip_address(end)
    if last.version != first.version:
        raise ValueError("its ends are of two kinds")
    return first, last


async def ask(address: str, *, redfish_port: int = 443, ipmi_port: int = 623) -> Answer:
    """What is there, within some seconds; never raises for what an address answers."""
    redfish, ipmi = await asyncio.gather(_redfish(address, redfish_port), _ipmi(address, ipmi_port))
    return Answer(address, redfish, ipmi)


async def _redfish(address: str, port: int) -> Redfish | None:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(address, port)
        writer.close()
    except (OSError, TimeoutError):
        return None
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    peer = https.peer_of({"power_address": where})
    try:
        seen = await https.fingerprint(peer)
        async with https.connect(Peer(peer.url, "pin", seen)) as link:
            root = (await link.get("/redfish/v1/")).body
    except PowerError:
        # Another web server, or a BMC too ill to say what it is.
        return None
    if "RedfishVersion" not in root and "Systems" not in root:
        return None
    words = [_text(root.get(name)) for name in ("RedfishVersion", "Vendor", "Product", "UUID")]
    return Redfish(seen, *words)


def _text(value: object) -> str:
    plain = value if isinstance(value, str) else ""
    return "".join(c for c in plain[:_TEXT] if c.isprintable())


class _Waiter(asyncio.DatagramProtocol):
    """Takes the first datagram."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _: object) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _ipmi(address: str, port: int) -> Ipmi | None:
    loop = asyncio.get_running_loop()
    for _ in range(_TRIES):
        try:
            transport, waiter = await loop.create_datagram_endpoint(
                _Waiter, remote_addr=(address, port)
            )
        except OSError:
            return None
        try:
            transport.sendto(_ASK)
            async with asyncio.timeout(IPMI_S):
                return read_capabilities(await waiter.answer)
        except TimeoutError:
            continue
        except OSError:
            return None
        finally:
            transport.close()
    return None


def read_capabilities(packet: bytes) -> Ipmi | None:
    """The answer to Get Channel Authentication Capabilities; None for anything else."""
    if len(packet) < 26 or packet[3] != 0x07 or packet[19] != 0x38 or packet[20] != 0:
        return None
    types, status, extended = struct.unpack_from("BBB", packet, 22)
    weak = []
    if types & 0x01:
        weak.append("lets in without authentication (NONE)")
    if types & 0x02:
        weak.append("offers MD2")
    if types & 0x10:
        weak.append("takes passwords in clear")
    if status & 0x01:
        weak.append("lets in anonymously (no user name, no password)")
    if status & 0x02:
        weak.append("has a user without a name")
    two = bool(types & 0x80 and extended & 0x02)
    return Ipmi("2.0" if two else "1.5", weak)
