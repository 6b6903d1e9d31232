# SPDX-License-Identifier: Apache-2.0
"""The BMC as the machine itself sees it: SMBIOS types 38 and 42, and the BMC's own answers."""

import os
from collections.abc import Callable

from muster.collect import ipmi
from muster.collect.reading import Reader, Root
from muster.collect.smbios import Structure, structures
from muster.collect.sockets import AF_INET6, inet_ntop
from muster.wire.slots import Bmc, BmcLan, IpmiInterface, RedfishHost

_IPMI, _HOST_INTERFACE = 38, 42
# DSP0134 7.39.1 and 7.43; DSP0270 tables 2 and 4.
_INTERFACES = {1: "KCS", 2: "SMIC", 3: "BT", 4: "SSIF"}
_NETWORK_INTERFACE, _REDFISH_OVER_IP = 0x40, 0x04
_DEVICE_TYPES = {0x02: "USB", 0x03: "PCI", 0x04: "USB", 0x05: "PCI"}
_ASSIGNMENTS = {1: "static", 2: "dhcp", 3: "auto", 4: "host"}

# IPMI 2.0, tables G-1, 20-2, 22-28 and 23-4.
_APPLICATION, _TRANSPORT = 0x06, 0x0C
_DEVICE_ID, _SYSTEM_GUID, _CHANNEL_INFO, _LAN_PARAMETERS = 0x01, 0x37, 0x42, 0x02
_ADDRESS, _SOURCE, _MAC, _NETMASK, _GATEWAY, _VLAN = 3, 4, 5, 6, 12, 20
# IPMI 2.0 rev. 1.1 with errata 7, table 23-4: which family is on, how many addresses there can be.
_IPV6_ENABLES, _IPV6_STATUS, _IPV6_STATIC, _IPV6_DYNAMIC = 51, 55, 56, 59
_IPV6_MOST = 16
_SOURCES = {1: "static", 2: "dhcp", 3: "bios", 4: "other"}
_LAN_MEDIUM = 0x04
_CHANNELS = range(1, 12)


def probe(root: Root) -> Bmc:
    """The bmc section of `extra`; only a live machine's BMC is asked."""
    reader = Reader(root)
    bmc = Bmc(errors=reader.complaints)
    for item in structures(reader):
        if item.type == _IPMI:
            bmc.interfaces.append(_interface(item))
        elif item.type == _HOST_INTERFACE and item.number(0x04) == _NETWORK_INTERFACE:
            bmc.redfish += _redfish(item)
    bmc.device = next(filter(reader.exists, ipmi.DEVICES), "")
    bmc.present = bool(bmc.device or bmc.interfaces or bmc.redfish)
    if bmc.device:
        _ask(reader, bmc)
    return bmc


def _interface(item: Structure) -> IpmiInterface:
    """DSP0134 7.39.2: bit 0 of the address is set for I/O space; SSIF has a bus address."""
    kind = item.number(0x04)
    revision, address = item.number(0x05), item.number(0x08, 8)
    smbus = kind == 4
    return IpmiInterface(
        type=_INTERFACES.get(kind, ""),
        specification=f"{revision >> 4}.{revision & 0x0F}",
        address=f"0x{address >> 1:x}" if smbus else f"0x{address & ~1:x}",
        bus="smbus" if smbus else "io" if address & 1 else "memory",
    )


def _redfish(item: Structure) -> list[RedfishHost]:
    """DSP0270 8: the device, then as many protocol records as a byte says."""
    length = item.number(0x05)
    device = _DEVICE_TYPES.get(item.number(0x06), "") if length else ""
    place = 0x06 + length
    hosts: list[RedfishHost] = []
    for _ in range(item.number(place)):
        kind, size = item.number(place + 1), item.number(place + 2)
        if kind == _REDFISH_OVER_IP and item.has(place + 3, size):
            hosts.append(_host(device, item.body[place + 3 : place + 3 + size]))
        place += 2 + size
    return hosts


def _host(device: str, record: bytes) -> RedfishHost:
    """DSP0270 table 4, from the service's UUID to the host name behind byte 91."""
    name = record[91 : 91 + record[90]] if len(record) > 90 else b""
    return RedfishHost(
        device=device,
        hostname="".join(c for c in name.decode(errors="replace") if c.isprintable()),
        service_address=_ip(record[51:52], record[52:68]),
        service_port=int.from_bytes(record[84:86], "little"),
        service_vlan=int.from_bytes(record[86:90], "little") & 0x0FFF,
        host_address=_ip(record[17:18], record[18:34]),
        host_assignment=_ASSIGNMENTS.get(record[16], "") if len(record) > 16 else "",
    )


def _ip(form: bytes, raw: bytes) -> str:
    """Format 1 is IPv4 in the first four bytes, 2 IPv6; all zeros say nothing."""
    if len(raw) < 16 or not any(raw):
        return ""
    if form == b"\1":
        return _quad(raw[:4])
    return inet_ntop(AF_INET6, raw) if form == b"\2" else ""


def _ask(reader: Reader, bmc: Bmc) -> None:
    channel = reader.device(bmc.device, os.O_RDWR | os.O_NONBLOCK)
    if channel is None:
        return
    device = ipmi.Bmc(channel)
    try:
        _identify(bmc, device.ask(_APPLICATION, _DEVICE_ID))
        bmc.guid = _guid(_answer(device, _APPLICATION, _SYSTEM_GUID))
        bmc.lan = [_read_lan(device, channel) for channel in _CHANNELS if _is_lan(device, channel)]
    except (OSError, ipmi.NoAnswer, ipmi.Refused) as error:
        reader.complain(bmc.device, str(error))
    finally:
        os.close(channel)


def _identify(bmc: Bmc, answer: bytes) -> None:
    """IPMI 2.0, table 20-2: the minor numbers are BCD, the version has its nibbles swapped."""
    if len(answer) < 11:
        raise ipmi.Refused(f"Get Device ID: answered {len(answer)} bytes, not 11")
    bmc.firmware_version = f"{answer[2] & 0x7F}.{answer[3]:02x}"
    bmc.ipmi_version = f"{answer[4] & 0x0F}.{answer[4] >> 4}"
    bmc.manufacturer_id = int.from_bytes(answer[6:9], "little") & 0xFFFFF
    bmc.product_id = int.from_bytes(answer[9:11], "little")


def _guid(answer: bytes) -> str:
    """As IPMI 2.0 20.8 has it (least significant byte first), which most BMCs do not keep to."""
    digits = answer[:16][::-1].hex()
    if len(digits) < 32 or not any(answer):
        return ""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _answer(device: ipmi.Bmc, function: int, command: int, data: bytes = b"") -> bytes:
    """b"" where the BMC does not know the command or the parameter."""
    try:
        return device.ask(function, command, data)
    except ipmi.Refused:
        return b""


def _is_lan(device: ipmi.Bmc, channel: int) -> bool:
    answer = _answer(device, _APPLICATION, _CHANNEL_INFO, bytes([channel]))
    return len(answer) > 1 and answer[1] & 0x7F == _LAN_MEDIUM


def _read_lan(device: ipmi.Bmc, channel: int) -> BmcLan:
    def parameter(number: int, size: int, selector: int = 0) -> bytes:
        question = bytes([channel, number, selector, 0])
        answer = _answer(device, _TRANSPORT, _LAN_PARAMETERS, question)[1:]
        return answer[:size] if len(answer) >= size else b""

    return _lan(channel, parameter)


def _lan(channel: int, parameter: Callable[..., bytes]) -> BmcLan:
    """`parameter(number, size, selector=0)` is b"" where the BMC has less than `size` bytes."""
    source, vlan = parameter(_SOURCE, 1), parameter(_VLAN, 2)
    tag = int.from_bytes(vlan, "little")
    return BmcLan(
        channel=channel,
        address=_quad(parameter(_ADDRESS, 4)),
        netmask=_quad(parameter(_NETMASK, 4)),
        gateway=_quad(parameter(_GATEWAY, 4)),
        mac=parameter(_MAC, 6).hex(":"),
        source=_SOURCES.get(source[0] & 0x0F, "") if source else "",
        vlan=tag & 0x0FFF if tag & 0x8000 else 0,
        ipv6=_ipv6(parameter),
    )


def _ipv6(parameter: Callable[..., bytes]) -> list[str]:
    """The static addresses that are enabled, and what SLAAC and DHCPv6 gave."""
    if parameter(_IPV6_ENABLES, 1)[:1] in (b"", b"\0"):
        return []
    found = []
    room = parameter(_IPV6_STATUS, 3)
    for number, most in zip((_IPV6_STATIC, _IPV6_DYNAMIC), room, strict=False):
        for selector in range(min(most, _IPV6_MOST)):
            told = parameter(number, 20, selector)
            address, enabled = told[2:18], number == _IPV6_DYNAMIC or told[1:2] >= b"\x80"
            # The last byte: 0 is active, the others pending, failed, deprecated.
            if enabled and any(address) and told[19] == 0:
                found.append(f"{inet_ntop(AF_INET6, address)}/{told[18]}")
    return found


def _quad(raw: bytes) -> str:
    return ".".join(map(str, raw)) if any(raw) else ""
