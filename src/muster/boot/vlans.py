# SPDX-License-Identifier: Apache-2.0
"""Hears machines that ask for DHCP with a VLAN tag, which nobody untagged answers.

Their switch port, or their firmware's menu, is set to another VLAN than ours: they would wait for a
minute and be silent, and nothing else on this host sees their packets.
"""

import ctypes
import socket
import struct
from dataclasses import dataclass

_SOL_PACKET, _AUXDATA, _ATTACH_FILTER = 263, 8, 26
_VLAN_VALID = 1 << 4
_AUX = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata, packet(7): the kernel takes the tag out of the frame."""

_LD_B, _LD_H, _JEQ, _RET = 0x30, 0x28, 0x15, 0x06
_TAG_PRESENT = 0xFFFFF000 + 48
"""SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT, linux/filter.h."""
_FILTER = (
    (_LD_B, 0, 0, _TAG_PRESENT),
    (_JEQ, 0, 5, 1),
    # IPv4 without options, as all DHCP clients send it: UDP, to port 67.
    (_LD_B, 0, 0, 23),
    (_JEQ, 0, 2, 17),
    (_LD_H, 0, 0, 36),
    (_JEQ, 8, 0, 67),
    (_RET, 0, 0, 0),
    # A tag that is still in the frame.
    (_LD_H, 0, 0, 12),
    (_JEQ, 0, 4, 0x8100),
    (_LD_B, 0, 0, 27),
    (_JEQ, 0, 2, 17),
    (_LD_H, 0, 0, 40),
    (_JEQ, 1, 0, 67),
    (_RET, 0, 0, 0),
    (_RET, 0, 0, 2048),
)


@dataclass(frozen=True)
class Tagged:
    """Somebody asked for DHCP on another VLAN; `mac` is as the frame says."""

    mac: str
    vlan: int


def listen(interface: str) -> socket.socket:
    """A socket that hears such frames only; needs root (packet(7)). Raises OSError."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        code = b"".join(struct.pack("=HBBI", *step) for step in _FILTER)
        kept = ctypes.create_string_buffer(code)
        program = struct.pack("@HP", len(_FILTER), ctypes.addressof(kept))
        wire.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
        wire.setsockopt(_SOL_PACKET, _AUXDATA, 1)
        # Bound to no protocol until the filter is there: nothing else was ever heard.
        wire.bind((interface, 0x0003))
        wire.setblocking(False)  # noqa: FBT003
    except OSError:
        wire.close()
        raise
    return wire


def heard(wire: socket.socket, at_most: int = 100) -> set[Tagged]:
    """Who has asked since the last look; raises OSError."""
    found = set()
    for _ in range(at_most):
        try:
            frame, told, _, _ = wire.recvmsg(2048, socket.CMSG_SPACE(_AUX.size))
        except BlockingIOError:
            break
        if tagged := read(frame, _beside(told)):
            found.add(tagged)
    return found


def _beside(told: list[tuple[int, int, bytes]]) -> list[bytes]:
    return [data for level, kind, data in told if (level, kind) == (_SOL_PACKET, _AUXDATA)]


def read(frame: bytes, beside: list[bytes]) -> Tagged | None:
    """Who sent a frame and its VLAN; the tag is in it or, taken out by the kernel, `beside` it."""
    if len(frame) < 18:
        return None
    mac = frame[6:12].hex(":")
    vlan = 0
    if frame[12:14] == b"\x81\x00":
        vlan = int.from_bytes(frame[14:16]) & 0xFFF
    for data in beside:
        if len(data) >= _AUX.size:
            status, *_, tag, _ = _AUX.unpack_from(data)
            vlan = vlan or (tag & 0xFFF if status & _VLAN_VALID else 0)
    # Tag 0 is a priority on the untagged segment (IEEE 802.1Q, 9.6).
    return Tagged(mac, vlan) if vlan else None
