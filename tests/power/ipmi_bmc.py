"""An IPMI 2.0 BMC that tests play: RMCP+ with cipher suites 3 and 17, K_g, and faults.

Written from IPMI v2.0 rev. 1.1, sections 13.17 to 13.33; no simulator that can be had does suite
17. ipmitool and ipmipower are its judges. One process can play thousands, an address each.
"""

import asyncio
import hashlib
import hmac
import os
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SUITES = {3: (1, 1, 1), 17: (3, 4, 1)}
_HASH = {1: (hashlib.sha1, 12), 3: (hashlib.sha256, 16)}
_RMCP = b"\x06\x00\xff\x07"
BUSY = 0xC0


@dataclass
class Session:
    """One console's session while it is being made and used."""

    console: bytes
    suite: int
    random: bytes = b""
    console_random: bytes = b""
    role: bytes = b""
    user: bytes = b""
    sik: bytes = b""
    sequence: int = 0

    def sign(self, key: bytes, message: bytes) -> bytes:
        return hmac.new(key, message, _HASH[SUITES[self.suite][0]][0]).digest()

    @property
    def code_length(self) -> int:
        return _HASH[SUITES[self.suite][0]][1]

    def key(self, number: int) -> bytes:
        return self.sign(self.sik, bytes([number]) * 20)


@dataclass
class IpmiBmc:
    """`power` follows commands when `obeys`; `code` is the completion code of chassis commands."""

    user: str = "maas"
    password: str = "hush"
    k_g: bytes = b""
    suites: tuple[int, ...] = (3, 17)
    power: bool = False
    obeys: bool = True
    code: int = 0
    answers: bool = True
    # Only this part of each answer within a session arrives.
    part: float = 1
    refuses_role: bool = False
    delay_s: float = 0
    boot_flags: bytes = b""
    heard: list[tuple[int, int, bytes]] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    guid: bytes = bytes(range(16))
    fru: bytes = b""
    sessions: dict[bytes, Session] = field(default_factory=dict)

    def answer(self, packet: bytes) -> bytes | None:
        """The answer to one datagram, or None."""
        if len(packet) < 12 or not self.answers:
            return None
        if packet[3] == 0x06:
            return self._pong(packet)
        if packet[4] != 0x06:
            return self._outside_session(packet)
        kind = packet[5]
        (length,) = struct.unpack_from("<H", packet, 14)
        payload = packet[16 : 16 + length]
        if kind == 0x10:
            return self._wrap(0x11, self._open(payload))
        if kind == 0x12:
            return self._wrap(0x13, self._rakp2(payload))
        if kind == 0x14:
            return self._wrap(0x15, self._rakp4(payload))
        session = self.sessions.get(packet[6:10])
        return self._command(session, payload, packet) if session and session.sik else None

    def _pong(self, packet: bytes) -> bytes:
        data = b"\x00\x00\x11\xbe" + bytes(4) + b"\x81\x00" + bytes(6)
        return b"\x06\x00\xff\x06\x00\x00\x11\xbe\x40" + packet[9:10] + b"\x00\x10" + data

    def _outside_session(self, packet: bytes) -> bytes | None:
        message = packet[14:]
        command, data = message[5], message[6:-1]
        if command == 0x38:  # Get Channel Authentication Capabilities
            status = 0x24 if self.k_g else 0x04
            body = bytes([1, 0x80, status, 0x02]) + bytes(4)
        elif command == 0x54:  # Get Channel Cipher Suites
            records = b"".join(
                bytes([0xC0, suite, a, 0x40 | i, 0x80 | c])
                for suite, (a, i, c) in SUITES.items()
                if suite in self.suites
            )
            body = b"\x01" + records[16 * (data[2] & 0x3F) :][:16]
        else:
            return None
        reply = self._message(message, 0, body)
        return _RMCP + bytes(9) + bytes([len(reply)]) + reply

    def _message(self, request: bytes, code: int, body: bytes) -> bytes:
        head = bytes([request[3], request[1] + 4])
        rest = bytes([request[0], request[4], request[5], code]) + body
        return head + bytes([-sum(head) & 0xFF]) + rest + bytes([-sum(rest) & 0xFF])

    def _wrap(self, kind: int, payload: bytes) -> bytes:
        return _RMCP + bytes([6, kind]) + bytes(8) + struct.pack("<H", len(payload)) + payload

    def _open(self, asked: bytes) -> bytes:
        tag, console = asked[0:1], asked[4:8]
        wanted = (asked[12], asked[20], asked[28])
        suite = next((s for s in self.suites if SUITES[s] == wanted), None)
        if suite is None:
            return tag + b"\x11\x00\x00" + console
        ours = os.urandom(4)
        self.sessions[ours] = Session(console, suite)
        self.used.append(suite)
        algorithms_ = asked[8:32]
        return tag + b"\x00\x04\x00" + console + ours + algorithms_

    def _rakp2(self, asked: bytes) -> bytes:
        session = self.sessions.get(asked[4:8])
        if session is None:
            return asked[0:1] + b"\x02\x00\x00" + bytes(4)
        session.console_random, session.role = asked[8:24], asked[24:25]
        session.user, session.random = asked[28 : 28 + asked[27]], os.urandom(16)
        head = asked[0:1] + b"\x00\x00\x00" + session.console
        if session.user != self.user.encode():
            return asked[0:1] + b"\x0d\x00\x00" + session.console
        if self.refuses_role:
            return asked[0:1] + b"\x0a\x00\x00" + session.console
        who = session.role + bytes([len(session.user)]) + session.user
        signed = session.console + asked[4:8] + session.console_random + session.random
        code = session.sign(self.password.encode(), signed + self.guid + who)
        return head + session.random + self.guid + code

    def _rakp4(self, asked: bytes) -> bytes:
        session = self.sessions[asked[4:8]]
        who = session.role + bytes([len(session.user)]) + session.user
        secret = self.password.encode()
        expected = session.sign(secret, session.random + session.console + who)
        head = session.console
        if not hmac.compare_digest(expected, asked[8:]):
            return asked[0:1] + b"\x0f\x00\x00" + head
        signed = session.console_random + session.random + who
        session.sik = session.sign(self.k_g.ljust(20, b"\0") if self.k_g else secret, signed)
        proof = session.sign(session.sik, session.console_random + asked[4:8] + self.guid)
        return asked[0:1] + b"\x00\x00\x00" + head + proof[: session.code_length]

    def _command(self, session: Session, payload: bytes, packet: bytes) -> bytes | None:
        end = 16 + len(payload)
        pad = packet[-session.code_length - 2]
        signed = packet[4 : end + pad + 2]
        code = session.sign(session.key(1), signed)[: session.code_length]
        if not hmac.compare_digest(code, packet[-session.code_length :]):
            return None
        aes = algorithms.AES(session.key(2)[:16])
        decryptor = Cipher(aes, modes.CBC(payload[:16])).decryptor()
        plain = decryptor.update(payload[16:])
        message = plain[: -1 - plain[-1]]
        reply = self._message(message, *self._do(message[1] >> 2, message[5], message[6:-1]))
        return self._sealed(session, reply)

    def _sealed(self, session: Session, reply: bytes) -> bytes:
        padding = -(len(reply) + 1) % 16
        iv = os.urandom(16)
        encryptor = Cipher(algorithms.AES(session.key(2)[:16]), modes.CBC(iv)).encryptor()
        plain = reply + bytes(range(1, padding + 1)) + bytes([padding])
        payload = iv + encryptor.update(plain)
        session.sequence += 1
        head = bytes([6, 0xC0]) + session.console + struct.pack("<I", session.sequence)
        body = head + struct.pack("<H", len(payload)) + payload
        pad = -(len(body) + 2) % 4
        body += b"\xff" * pad + bytes([pad, 7])
        return _RMCP + body + session.sign(session.key(1), body)[: session.code_length]

    def _do(self, network_function: int, command: int, data: bytes) -> tuple[int, bytes]:
        self.heard.append((network_function, command, data))
        if (told := self._identity(network_function, command, data)) is not None:
            return 0, told
        if network_function == 0x06:
            return 0, data[:1] if command == 0x3B else b""
        if self.code:
            return self.code, b""
        if command == 0x01:
            return 0, bytes([int(self.power), 0, 0])
        if command == 0x02 and self.obeys:
            self.power = {0: False, 1: True, 2: True, 3: True, 5: False}[data[0]]
        if command == 0x08 and data[0] & 0x7F == 5:
            self.boot_flags = data[1:]
        if command == 0x09:
            return 0, bytes([1, data[0]]) + (self.boot_flags or bytes(5))
        return 0, b""

    def _identity(self, network_function: int, command: int, data: bytes) -> bytes | None:
        if (network_function, command) == (0x06, 0x37):  # Get System GUID
            return self.guid
        if (network_function, command) == (0x0A, 0x10) and self.fru:  # Get FRU Inventory Area Info
            return struct.pack("<HB", len(self.fru), 0)
        if (network_function, command) == (0x0A, 0x11) and self.fru:  # Read FRU Data
            offset, count = struct.unpack_from("<HB", data, 1)
            piece = self.fru[offset : offset + count]
            return bytes([len(piece)]) + piece
        return None


class Listener(asyncio.DatagramProtocol):
    """Gives datagrams to one BMC."""

    def __init__(self, bmc: IpmiBmc) -> None:
        self.bmc = bmc

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple) -> None:
        answer = self.bmc.answer(data)
        if answer is None:
            return
        if answer[5] == 0xC0:
            answer = answer[: int(len(answer) * self.bmc.part)]
        send = lambda: self.transport.sendto(answer, address)  # noqa: E731
        if self.bmc.delay_s:
            asyncio.get_running_loop().call_later(self.bmc.delay_s, send)
        else:
            send()


async def listen(bmc: IpmiBmc, host: str = "127.0.0.1", port: int = 0) -> asyncio.DatagramTransport:
    """Play the BMC there; close the transport to stop."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Listener(bmc), local_addr=(host, port)
    )
    return transport


def fru(chassis: list[str], board: list[str], product: list[str]) -> bytes:
    """A FRU inventory (IPMI Platform Management FRU Information Storage Definition v1.0)."""
    areas = [_area(chassis, b"\x01\x00\x17"), _area(board, b"\x01\x00\x19\0\0\0")]
    areas.append(_area(product, b"\x01\x00\x19"))
    first, second = 1 + len(areas[0]) // 8, 1 + (len(areas[0]) + len(areas[1])) // 8
    head = bytes([1, 0, 1, first, second, 0, 0])
    return head + bytes([-sum(head) & 0xFF]) + b"".join(areas)


def _area(fields: list[str], head: bytes) -> bytes:
    texts = b"".join(bytes([0xC0 | len(text)]) + text.encode() for text in fields)
    body = bytearray(head + texts + b"\xc1")
    body += bytes(-(len(body) + 1) % 8)
    body[1] = (len(body) + 1) // 8
    return bytes(body) + bytes([-sum(body) & 0xFF])
