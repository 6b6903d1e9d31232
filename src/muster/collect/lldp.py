# SPDX-License-Identifier: Apache-2.0
"""`agent.pyz lldp FOLDER`: what lldpd heard (XML on stdin), and what was heard before lldpd ran.

The initrd keeps every LLDP frame since the first second as FOLDER/IFINDEX-SENDER (initrd/bin/
listen); lldpd comes with the tools some ten seconds later, and a switch speaks when a port comes
up and then every 30 s. Prints one XML document of lldpctl's shape. Frames are of IEEE 802.1AB-2016,
clause 8, with the VLANs of IEEE 802.1Q, annex D. A damaged frame gives what stands before the
damage, and one line on stderr.
"""

import ipaddress
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from muster.collect.reading import Reader

_HEADER = 14
"""Bytes of destination, source and type before the first TLV."""
_NETWORKS = "/sys/class/net"
# Names that lldpctl gives to the kinds of ids (tables 8-2 and 8-3; they differ in 1 to 3 only).
_KINDS = {1: "ifalias", 2: "unhandled", 3: "mac", 4: "ip", 5: "ifname", 7: "local"}
_CHASSIS_KINDS = {**_KINDS, 1: "unhandled", 2: "ifalias", 3: "unhandled", 4: "mac", 5: "ip",
                  6: "ifname"}  # fmt: skip
_CAPABILITIES = ("Other", "Repeater", "Bridge", "Wlan", "Router", "Tel", "Docsis", "Station")
_DOT1 = b"\x00\x80\xc2"


class _Damaged(ValueError):
    """A TLV that is shorter than its kind; says which."""


@dataclass(frozen=True)
class Frame:
    """What was heard on one interface."""

    interface: str
    content: bytes


def main(argv: list[str]) -> int:
    """0, also when nothing was heard."""
    if len(argv) != 1:
        print("usage: lldpctl -f xml | python3 agent.pyz lldp FOLDER", file=sys.stderr)
        return 2
    frames = kept(Path(argv[0]), Reader("/"))
    sys.stdout.buffer.write(joined(sys.stdin.buffer.read(), frames))
    return 0


def kept(folder: Path, reader: Reader) -> list[Frame]:
    """The frames that the listener keeps, by today's names of the interfaces."""
    names = {reader.text(f"{_NETWORKS}/{nic}/ifindex"): nic for nic in reader.names(_NETWORKS)}
    files = sorted(folder.glob("*-*")) if folder.is_dir() else []
    return [
        Frame(names[index], file.read_bytes())
        for file in files
        if (index := file.name.partition("-")[0]) in names
    ]


def joined(heard: bytes, frames: list[Frame]) -> bytes:
    """lldpctl's document with the neighbours on ports that it has none for."""
    root = ET.fromstring(heard) if heard.strip() else ET.Element("lldp", label="LLDP neighbors")
    known = {item.get("name") for item in root.iter("interface")}
    for frame in frames:
        if frame.interface not in known:
            root.append(_neighbour(frame))
    ET.indent(root, " ")
    document: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return document + b"\n"


def _neighbour(frame: Frame) -> ET.Element:
    item = ET.Element("interface", label="Interface", name=frame.interface, via="LLDP")
    chassis = ET.SubElement(item, "chassis", label="Chassis")
    port = ET.SubElement(item, "port", label="Port")
    native, named = 0, dict[int, str]()
    try:
        for kind, value in _tlvs(frame.content):
            if kind == 127 and value[:4] == _DOT1 + b"\x01":
                native = int.from_bytes(_exactly(value[4:6], 2, "port VLAN"), "big")
            elif kind == 127 and value[:4] == _DOT1 + b"\x03":
                number = int.from_bytes(_exactly(value[4:6], 2, "VLAN name"), "big")
                named[number] = _text(value[7 : 7 + value[6]] if len(value) > 6 else b"")
            else:
                _basic(chassis, port, kind, value)
    except _Damaged as error:
        print(f"LLDP frame on {frame.interface}: {error}", file=sys.stderr)
    for number in sorted({*named, *([native] if native else [])}):
        words = {"vlan-id": str(number)} | ({"pvid": "yes"} if number == native else {})
        vlan = ET.SubElement(item, "vlan", {"label": "VLAN"} | words)
        vlan.text = named.get(number)
    return item


def _tlvs(content: bytes) -> Iterator[tuple[int, bytes]]:
    place = _HEADER
    while place + 2 <= len(content):
        head = int.from_bytes(content[place : place + 2], "big")
        kind, size = head >> 9, head & 0x1FF
        if kind == 0:
            return
        yield kind, _exactly(content[place + 2 : place + 2 + size], size, f"TLV {kind}")
        place += 2 + size


def _exactly(value: bytes, size: int, what: str) -> bytes:
    if len(value) != size:
        raise _Damaged(f"{what} has {len(value)} of {size} bytes")
    return value


def _basic(chassis: ET.Element, port: ET.Element, kind: int, value: bytes) -> None:
    """The TLVs of clause 8.5 that muster shows; others are passed over."""
    if kind == 1:
        _identity(ET.SubElement(chassis, "id", label="ChassisID"), value, _CHASSIS_KINDS)
    elif kind == 2:
        _identity(ET.SubElement(port, "id", label="PortID"), value, _KINDS)
    elif kind == 3:
        seconds = int.from_bytes(_exactly(value[:2], 2, "TTL"), "big")
        ET.SubElement(port, "ttl", label="TTL").text = str(seconds)
    elif kind in (4, 5, 6):
        owner, name, label = {
            4: (port, "descr", "PortDescr"),
            5: (chassis, "name", "SysName"),
            6: (chassis, "descr", "SysDescr"),
        }[kind]
        ET.SubElement(owner, name, label=label).text = _text(value)
    elif kind == 7:
        _capabilities(chassis, _exactly(value[:4], 4, "capabilities"))
    elif kind == 8:
        _management(chassis, value)


def _identity(item: ET.Element, value: bytes, kinds: dict[int, str]) -> None:
    if len(value) < 2:
        raise _Damaged("an id without content")
    kind = kinds.get(value[0], "unhandled")
    item.set("type", kind)
    content = value[1:]
    if kind == "mac" and len(content) == 6:
        item.text = content.hex(":")
    elif kind == "ip":
        item.text = _address(content[0], content[1:])
    else:
        item.text = _text(content)


def _capabilities(chassis: ET.Element, value: bytes) -> None:
    can, does = int.from_bytes(value[:2], "big"), int.from_bytes(value[2:], "big")
    for place, name in enumerate(_CAPABILITIES):
        if can >> place & 1:
            enabled = "on" if does >> place & 1 else "off"
            ET.SubElement(chassis, "capability", label="Capability", type=name, enabled=enabled)


def _management(chassis: ET.Element, value: bytes) -> None:
    size = value[0] if value else 0
    content = _exactly(value[1 : 1 + size], size, "management address")
    if len(content) > 1 and (address := _address(content[0], content[1:])):
        ET.SubElement(chassis, "mgmt-ip", label="MgmtIP").text = address


def _address(family: int, content: bytes) -> str:
    """By the address family numbers of IANA: 1 IPv4, 2 IPv6; empty for others."""
    if (family, len(content)) in ((1, 4), (2, 16)):
        return str(ipaddress.ip_address(content))
    return ""


def _text(value: bytes) -> str:
    """XML has no place for control characters."""
    return "".join(c for c in value.decode(errors="replace") if c.isprintable())
