# SPDX-License-Identifier: Apache-2.0
"""What only a network driver knows: link modes, permanent address, firmware.

Only a live machine can be asked. A refused question costs its own answer alone.
"""

import struct

from muster.collect.nicdriver import Driver, drivers
from muster.collect.reading import Reader, Root
from muster.wire.networks import Network, Port
from muster.wire.section import Section
from muster.wire.shape import dataclass, field

_GSET, _GLINK, _GPERMADDR, _GLINKSETTINGS = 0x1, 0xA, 0x20, 0x4C
_ADDRESS_SIZE = 32
_SETTINGS_SIZE = 48
_SPEED_UNKNOWN = (0, 0xFFFF, 0xFFFFFFFF)

_DUPLEX = {0: "half", 1: "full"}
_TRANSCEIVERS = {0: "internal", 1: "external"}
_PORT_TYPES = {
    0x00: "twisted pair",
    0x01: "AUI",
    0x02: "media-independent",
    0x03: "fibre",
    0x04: "BNC",
    0x05: "direct attach",
    0xEF: "none",
    0xFF: "other",
}
_PORTS = {
    7: "twisted pair",
    8: "AUI",
    9: "media-independent",
    10: "fibre",
    11: "BNC",
    16: "backplane",
}
# enum ethtool_link_mode_bit_indices of Linux 6.19, the bits that are speeds; full duplex unless
# said. LXD's table ends at bit 48, so that a 100G or faster card shows as 40G.
_MODES_TEXT = """
0=10baseT/Half 1=10baseT 2=100baseT/Half 3=100baseT 4=1000baseT/Half 5=1000baseT 12=10000baseT
15=2500baseX 17=1000baseKX 18=10000baseKX4 19=10000baseKR 21=20000baseMLD2 22=20000baseKR2
23=40000baseKR4 24=40000baseCR4 25=40000baseSR4 26=40000baseLR4 27=56000baseKR4 28=56000baseCR4
29=56000baseSR4 30=56000baseLR4 31=25000baseCR 32=25000baseKR 33=25000baseSR 34=50000baseCR2
35=50000baseKR2 36=100000baseKR4 37=100000baseSR4 38=100000baseCR4 39=100000baseLR4_ER4
40=50000baseSR2 41=1000baseX 42=10000baseCR 43=10000baseSR 44=10000baseLR 45=10000baseLRM
46=10000baseER 47=2500baseT 48=5000baseT 52=50000baseKR 53=50000baseSR 54=50000baseCR
55=50000baseLR_ER_FR 56=50000baseDR 57=100000baseKR2 58=100000baseSR2 59=100000baseCR2
60=100000baseLR2_ER2_FR2 61=100000baseDR2 62=200000baseKR4 63=200000baseSR4
64=200000baseLR4_ER4_FR4 65=200000baseDR4 66=200000baseCR4 67=100baseT1 68=1000baseT1
69=400000baseKR8 70=400000baseSR8 71=400000baseLR8_ER8_FR8 72=400000baseDR8 73=400000baseCR8
75=100000baseKR 76=100000baseSR 77=100000baseLR_ER_FR 78=100000baseCR 79=100000baseDR
80=200000baseKR2 81=200000baseSR2 82=200000baseLR2_ER2_FR2 83=200000baseDR2 84=200000baseCR2
85=400000baseKR4 86=400000baseSR4 87=400000baseLR4_ER4_FR4 88=400000baseDR4 89=400000baseCR4
90=100baseFX/Half 91=100baseFX 92=10baseT1L 93=800000baseCR8 94=800000baseKR8 95=800000baseDR8
96=800000baseDR8_2 97=800000baseSR8 98=800000baseVR8 99=10baseT1S 100=10baseT1S/Half
101=10baseT1S_P2MP/Half 102=10baseT1BRR 103=200000baseCR 104=200000baseKR 105=200000baseDR
106=200000baseDR_2 107=200000baseSR 108=200000baseVR 109=400000baseCR2 110=400000baseKR2
111=400000baseDR2 112=400000baseDR2_2 113=400000baseSR2 114=400000baseVR2 115=800000baseCR4
116=800000baseKR4 117=800000baseDR4 118=800000baseDR4_2 119=800000baseSR4 120=800000baseVR4
121=1600000baseCR8 122=1600000baseKR8 123=1600000baseDR8 124=1600000baseDR8_2
"""
_MODES = {
    int(bit): name if "/" in name else f"{name}/Full"
    for bit, name in (pair.split("=") for pair in _MODES_TEXT.split())
}


@dataclass
class Links(Section):
    """By interface: a Port with what the driver said, and the firmware version."""

    ports: dict[str, Port] = field(default_factory=dict)
    firmware: dict[str, str] = field(default_factory=dict)


def probe(root: Root) -> Links:
    """Ask the driver of every interface of hardware; nothing where `root` is a recorded tree."""
    reader = Reader(root)
    links = Links(errors=reader.complaints)
    for driver in drivers(reader):
        links.ports[driver.name] = _ask_port(driver)
        links.firmware[driver.name] = driver.information().firmware_version
    return links


def join(links: Links, network: Network) -> None:
    """Put the drivers' answers into the cards; a port whose driver is silent stays as it is."""
    for card in network.cards:
        for port in card.ports:
            if port.id in links.ports:
                _merge(links.ports[port.id], port)
        firmware = (links.firmware.get(port.id, "") for port in card.ports)
        card.firmware_version = next(filter(None, firmware), "")


def _merge(told: Port, port: Port) -> None:
    port.address = told.address or port.address
    port.supported_modes = told.supported_modes
    port.supported_ports = told.supported_ports
    port.port_type = told.port_type
    port.transceiver_type = told.transceiver_type
    port.auto_negotiation = told.auto_negotiation
    port.link_detected = port.link_detected or told.link_detected
    if port.link_detected:
        port.link_speed = told.link_speed or port.link_speed
        port.link_duplex = told.link_duplex or port.link_duplex


def _ask_port(driver: Driver) -> Port:
    port = Port(id=driver.name)
    answer = driver.ask(struct.pack("=II", _GPERMADDR, _ADDRESS_SIZE))
    if answer:
        port.address = _address(answer)
    answer = driver.ask(struct.pack("=I", _GLINK))
    port.link_detected = answer[4:8] == struct.pack("=I", 1)
    if not _ask_settings(driver, port):
        _ask_old_settings(driver, port)
    return port


def _address(answer: bytes) -> str:
    """Drivers without a permanent address answer zeros, or no length."""
    (size,) = struct.unpack_from("=I", answer, 4)
    address = answer[8 : 8 + min(size, _ADDRESS_SIZE)]
    return address.hex(":") if any(address) else ""


def _ask_settings(driver: Driver, port: Port) -> bool:
    """ETHTOOL_GLINKSETTINGS: the first answer only says, negated, how many words a mask has."""
    offer = driver.ask(struct.pack("=I", _GLINKSETTINGS))
    if not offer:
        return False
    (words,) = struct.unpack_from("=b", offer, 15)
    if words >= 0:
        return False
    answer = driver.ask(struct.pack("=I11xb", _GLINKSETTINGS, -words))
    if not answer:
        return False
    (speed,) = struct.unpack_from("=I", answer, 4)
    mask = answer[_SETTINGS_SIZE : _SETTINGS_SIZE - 4 * words]
    _describe(port, speed, _Wire(answer[8], answer[9], answer[16], answer[11]), _bits(mask))
    return True


def _ask_old_settings(driver: Driver, port: Port) -> None:
    """ETHTOOL_GSET, for drivers older than Linux 4.6's interface."""
    answer = driver.ask(struct.pack("=I", _GSET))
    if answer:
        supported, low, high = struct.unpack_from("=4xI4xH14xH", answer)
        wire = _Wire(answer[14], answer[15], answer[17], answer[18])
        _describe(port, high << 16 | low, wire, supported)


@dataclass
class _Wire:
    """Four numbers that both questions answer."""

    duplex: int
    port: int
    transceiver: int
    autoneg: int


def _describe(port: Port, speed: int, wire: _Wire, supported: int) -> None:
    """Speed and duplex are only meant while there is a link."""
    port.auto_negotiation = wire.autoneg == 1
    port.port_type = _PORT_TYPES.get(wire.port, "")
    port.transceiver_type = _TRANSCEIVERS.get(wire.transceiver, "")
    port.supported_modes = [name for bit, name in _MODES.items() if supported >> bit & 1]
    port.supported_ports = [name for bit, name in _PORTS.items() if supported >> bit & 1]
    if port.link_detected:
        port.link_duplex = _DUPLEX.get(wire.duplex, "")
        port.link_speed = 0 if speed in _SPEED_UNKNOWN else speed


def _bits(mask: bytes) -> int:
    """The words are in the machine's own order, each of them 32 bits."""
    words = struct.unpack(f"={len(mask) // 4}I", mask)
    return sum(word << (32 * place) for place, word in enumerate(words))
