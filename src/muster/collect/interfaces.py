# SPDX-License-Identifier: Apache-2.0
"""The state of every network interface, loopback included: the document's `networks`."""

import struct
from collections.abc import Iterator

from muster.collect.reading import Reader, Root
from muster.collect.sockets import AF_INET6, AF_NETLINK, SOCK_RAW, Channel, inet_ntop
from muster.wire.networks import Address, Bond, Bridge, Counters, NetworkState, Vlan
from muster.wire.section import Section
from muster.wire.shape import dataclass, field

_NET = "/sys/class/net"
# <linux/if.h>
_UP, _BROADCAST, _LOOPBACK, _POINT_TO_POINT = 0x1, 0x2, 0x8, 0x10
# <linux/rtnetlink.h>, rtnetlink(7)
_GET_ADDRESSES, _NEW_ADDRESS, _DONE, _ERROR = 22, 20, 3, 2
_REQUEST_DUMP = 0x301
_ATTRIBUTE_LOCAL = 2
_ANSWER_SIZE = 65536


@dataclass
class Interfaces(Section):
    """The interfaces by name."""

    states: dict[str, NetworkState] = field(default_factory=dict)


def probe(root: Root) -> Interfaces:
    """IPv6 addresses come from /proc; IPv4 has no file for them, so only a live root shows any."""
    reader = Reader(root)
    vlans = _read_vlans(reader)
    found = Interfaces(errors=reader.complaints)
    indexes: dict[int, NetworkState] = {}
    for name in reader.names(_NET):
        # /sys/class/net also holds control files, such as bonding_masters.
        if reader.exists(f"{_NET}/{name}/ifindex"):
            found.states[name] = _read_state(reader, name, vlans)
            indexes[reader.count(f"{_NET}/{name}/ifindex")] = found.states[name]
    for index, address in [*_read_ipv4(reader), *_read_ipv6(reader)]:
        if index in indexes:
            indexes[index].addresses.append(address)
    return found


def _read_state(reader: Reader, name: str, vlans: dict[str, Vlan]) -> NetworkState:
    folder = f"{_NET}/{name}"
    flags = reader.count(f"{folder}/flags", 16)
    address = reader.text(f"{folder}/address")
    return NetworkState(
        counters=_read_counters(reader, f"{folder}/statistics"),
        hwaddr=address if address.strip("0:") else "",
        mtu=reader.count(f"{folder}/mtu"),
        state="up" if flags & _UP else "down",
        type=_kind(flags),
        bond=_read_bond(reader, f"{folder}/bonding"),
        bridge=_read_bridge(reader, folder),
        vlan=vlans.get(name),
    )


def _kind(flags: int) -> str:
    if flags & _LOOPBACK:
        return "loopback"
    if flags & _POINT_TO_POINT:
        return "point-to-point"
    return "broadcast" if flags & _BROADCAST else "unknown"


def _read_counters(reader: Reader, folder: str) -> Counters:
    return Counters(
        bytes_received=reader.count(f"{folder}/rx_bytes"),
        bytes_sent=reader.count(f"{folder}/tx_bytes"),
        packets_received=reader.count(f"{folder}/rx_packets"),
        packets_sent=reader.count(f"{folder}/tx_packets"),
    )


def _read_bond(reader: Reader, folder: str) -> Bond | None:
    """The modes read as "802.3ad 4": name and number."""
    if not reader.exists(folder):
        return None
    return Bond(
        mode=reader.text(f"{folder}/mode").partition(" ")[0],
        transmit_policy=reader.text(f"{folder}/xmit_hash_policy").partition(" ")[0],
        up_delay=reader.count(f"{folder}/updelay"),
        down_delay=reader.count(f"{folder}/downdelay"),
        mii_frequency=reader.count(f"{folder}/miimon"),
        mii_state=reader.text(f"{folder}/mii_status"),
        lower_devices=reader.text(f"{folder}/slaves").split(),
    )


def _read_bridge(reader: Reader, interface: str) -> Bridge | None:
    folder = f"{interface}/bridge"
    if not reader.exists(folder):
        return None
    return Bridge(
        id=reader.text(f"{folder}/bridge_id"),
        stp=reader.count(f"{folder}/stp_state") == 1,
        forward_delay=reader.count(f"{folder}/forward_delay"),
        vlan_default=reader.count(f"{folder}/default_pvid"),
        vlan_filtering=reader.count(f"{folder}/vlan_filtering") == 1,
        upper_devices=reader.names(f"{interface}/brif"),
    )


def _read_vlans(reader: Reader) -> dict[str, Vlan]:
    """Below two lines of heading: "eth0.100  | 100  | eth0"."""
    found: dict[str, Vlan] = {}
    for line in reader.lines("/proc/net/vlan/config")[2:]:
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == 3 and parts[1].isascii() and parts[1].isdecimal() and len(parts[1]) < 5:
            found[parts[0]] = Vlan(lower_device=parts[2], vid=int(parts[1]))
    return found


def _read_ipv6(reader: Reader) -> Iterator[tuple[int, Address]]:
    """Lines of address, interface index, prefix length and scope in hexadecimal, and two more."""
    path = "/proc/net/if_inet6"
    for line in reader.lines(path):
        try:
            digits, index, prefix, scope = line.split()[:4]
            text = inet_ntop(AF_INET6, bytes.fromhex(digits))
            yield int(index, 16), _address(text, int(prefix, 16), int(scope, 16))
        except ValueError:
            reader.complain(path, f"is not an address: {line[:60]!r}")


def _address(text: str, prefix: int, scope: int) -> Address:
    """Scopes of if_inet6 (<net/ipv6.h>): 0x10 is the host itself, 0x20 the link."""
    names = {0x10: "local", 0x20: "link"}
    return Address("inet6", text, str(prefix), names.get(scope, "global"))


def _read_ipv4(reader: Reader) -> list[tuple[int, Address]]:
    if not reader.live:
        return []
    try:
        return list(_parse_addresses(_ask_addresses()))
    except (OSError, struct.error) as error:
        reader.complain("netlink", f"IPv4 addresses: {error}")
        return []


def _ask_addresses() -> list[bytes]:
    """One rtnetlink dump; the kernel answers from memory, the limit is for a broken sandbox."""
    request = struct.pack("=IHHIIBBBBI", 24, _GET_ADDRESSES, _REQUEST_DUMP, 1, 0, 2, 0, 0, 0, 0)
    with Channel(AF_NETLINK, SOCK_RAW) as link:
        link.settimeout(2.0)
        link.send(request)
        answers: list[bytes] = []
        while not answers or not _is_last(answers[-1]):
            answers.append(link.recv(_ANSWER_SIZE))
        return answers


def _messages(answer: bytes) -> Iterator[tuple[int, bytes]]:
    while len(answer) >= 16:
        length, kind = struct.unpack_from("=IH", answer)
        if length < 16:
            raise struct.error(f"a netlink message of {length} bytes")
        yield kind, answer[16:length]
        answer = answer[(length + 3) & ~3 :]


def _is_last(answer: bytes) -> bool:
    return not answer or any(kind in (_DONE, _ERROR) for kind, _ in _messages(answer))


def _parse_addresses(answers: list[bytes]) -> Iterator[tuple[int, Address]]:
    for answer in answers:
        for kind, body in _messages(answer):
            if kind == _NEW_ADDRESS:
                _, prefix, _, _, index = struct.unpack_from("=BBBBI", body)
                local = _attribute(body[8:], _ATTRIBUTE_LOCAL)
                if len(local) == 4:
                    text = ".".join(map(str, local))
                    yield index, Address("inet", text, str(prefix), _ipv4_scope(local))


def _attribute(body: bytes, wanted: int) -> bytes:
    while len(body) >= 4:
        length, kind = struct.unpack_from("=HH", body)
        if kind == wanted:
            return body[4:length]
        body = body[(max(length, 4) + 3) & ~3 :]
    return b""


def _ipv4_scope(address: bytes) -> str:
    """By the address, as LXD does: the kernel's own scope is "host" for 127/8 only by habit."""
    if address[0] == 127:
        return "local"
    return "link" if address[:2] == b"\xa9\xfe" else "global"
