# SPDX-License-Identifier: Apache-2.0
"""Network cards and their ports, from /sys/class/net and the PCI bus.

Link facts here are sysfs's; what only the driver knows is ethtool.py's to add.
"""

from muster.collect.buses import (
    PCI,
    Names,
    driver_of,
    identify,
    pci_folder,
    usb_address,
    usb_folder,
)
from muster.collect.reading import Reader, Root
from muster.wire.networks import Card, Infiniband, Network, Port, Sriov, Vdpa
from muster.wire.section import plain

_NET = "/sys/class/net"
_NETWORK_CLASS = "0x02"
# <linux/if_arp.h>
_PROTOCOLS = {1: "ethernet", 19: "ATM", 32: "infiniband"}


def probe(root: Root) -> Network:
    """The network section; `total` counts cards and, inside them, virtual functions."""
    reader = Reader(root)
    homes = _homes(reader)
    names = Names(reader)
    cards = [_read_card(names, reader, home, ports) for home, ports in homes.items()]
    return Network(
        errors=reader.complaints,
        cards=_nest_functions(reader, dict(zip(homes, cards, strict=True))),
        total=len(cards),
    )


def _homes(reader: Reader) -> dict[str, list[str]]:
    """The interfaces of each card, by the real path of its function; some cards have none."""
    homes: dict[str, list[str]] = {}
    for name in reader.names(_NET):
        if reader.exists(f"{_NET}/{name}/device"):
            real = reader.real(f"{_NET}/{name}/device")
            homes.setdefault(_home(reader, real), []).append(name)
    for address in reader.names(PCI):
        folder = f"{PCI}/{address}"
        if reader.text(f"{folder}/class").startswith(_NETWORK_CLASS):
            homes.setdefault(reader.real(folder), [])
    return homes


def _home(reader: Reader, real: str) -> str:
    """A USB device, else the PCI function, else (platform, virtio-mmio) the device itself."""
    return usb_folder(reader, real) or pci_folder(real) or real


def _read_card(names: Names, reader: Reader, home: str, interfaces: list[str]) -> Card:
    device = f"{_NET}/{interfaces[0]}/device" if interfaces else home
    pci = pci_folder(home)
    usb = usb_folder(reader, home)
    driver, version = driver_of(reader, device)
    card = Card(
        driver=driver,
        driver_version=version,
        ports=[_read_port(reader, name) for name in interfaces],
        sriov=_read_sriov(reader, home),
        vdpa=_read_vdpa(reader, home),
        numa_node=reader.count(f"{pci or home}/numa_node"),
        pci_address="" if usb else pci.rpartition("/")[2],
        usb_address=usb_address(reader, home),
    )
    if usb:
        _name_usb(names, reader, card, usb)
    else:
        # Of the PCI function: a virtio NIC's own device id is its place on the virtio bus.
        identify(names, reader, card, home)
    return card


def _name_usb(names: Names, reader: Reader, card: Card, usb: str) -> None:
    card.vendor_id = reader.text(f"{usb}/idVendor")
    card.product_id = reader.text(f"{usb}/idProduct")
    vendor, product = names.usb(card.vendor_id, card.product_id)
    card.vendor = vendor or reader.text(f"{usb}/manufacturer")
    card.product = reader.text(f"{usb}/product") or product


def _read_port(reader: Reader, name: str) -> Port:
    folder = f"{_NET}/{name}"
    port = Port(
        id=name,
        address=reader.text(f"{folder}/address"),
        port=reader.count(f"{folder}/dev_port"),
        protocol=_PROTOCOLS.get(reader.count(f"{folder}/type"), "unknown"),
        link_detected=reader.count(f"{folder}/carrier") == 1,
    )
    if port.link_detected:
        port.link_speed = reader.count(f"{folder}/speed")
        duplex = reader.text(f"{folder}/duplex")
        port.link_duplex = duplex if duplex in ("half", "full") else ""
    if port.protocol == "infiniband" and reader.exists(f"{folder}/device/infiniband"):
        port.infiniband = _read_infiniband(reader, f"{folder}/device", port.port + 1)
    return port


def _read_infiniband(reader: Reader, device: str, number: int) -> Infiniband:
    """InfiniBand counts ports from 1, `dev_port` from 0."""
    found = Infiniband()
    for name in reader.names(f"{device}/infiniband_mad"):
        folder = f"{device}/infiniband_mad/{name}"
        if reader.number(f"{folder}/port") != number:
            continue
        if name.startswith("issm"):
            found.issm_name, found.issm_device = name, reader.text(f"{folder}/dev")
        elif name.startswith("umad"):
            found.mad_name, found.mad_device = name, reader.text(f"{folder}/dev")
    for name in reader.names(f"{device}/infiniband_verbs")[:1]:
        found.verb_name = name
        found.verb_device = reader.text(f"{device}/infiniband_verbs/{name}/dev")
    return found


def _read_sriov(reader: Reader, home: str) -> Sriov | None:
    maximum = reader.number(f"{home}/sriov_totalvfs")
    if maximum is None:
        return None
    return Sriov(current_vfs=reader.count(f"{home}/sriov_numvfs"), maximum_vfs=max(0, maximum))


def _read_vdpa(reader: Reader, home: str) -> Vdpa | None:
    for name in reader.names(home):
        if name.startswith("vdpa"):
            inside = reader.names(f"{home}/{name}")
            return Vdpa(name, next((n for n in inside if n.startswith("vhost-vdpa-")), ""))
    return None


def _nest_functions(reader: Reader, cards: dict[str, Card]) -> list[Card]:
    """Virtual functions move into the card whose `physfn` they name."""
    top: list[Card] = []
    by_address = {card.pci_address: card for card in cards.values() if card.pci_address}
    for home, card in cards.items():
        parent = by_address.get(reader.link(f"{home}/physfn"))
        if parent is None or parent.sriov is None or parent is card:
            top.append(card)
        else:
            function = plain(card)
            assert isinstance(function, dict)
            parent.sriov.vfs.append(function)
    return top
