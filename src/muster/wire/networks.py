# SPDX-License-Identifier: Apache-2.0
"""Network cards, their ports, and the state of every interface, as in LXD's document.

Link speeds are Mbit/s.
"""

from muster.wire.section import OMIT, Section, Shape
from muster.wire.shape import dataclass, field


@dataclass(eq=False, repr=False)
class Infiniband(Shape):
    """Device nodes of an InfiniBand port: names and "major:minor"."""

    issm_name: str = field(default="", metadata=OMIT)
    issm_device: str = field(default="", metadata=OMIT)
    mad_name: str = field(default="", metadata=OMIT)
    mad_device: str = field(default="", metadata=OMIT)
    verb_name: str = field(default="", metadata=OMIT)
    verb_device: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class Port(Shape):
    """One network interface of a card; `address` is the permanent one where the driver tells."""

    id: str
    address: str = field(default="", metadata=OMIT)
    port: int = 0
    protocol: str = "unknown"
    supported_modes: list[str] = field(default_factory=list, metadata=OMIT)
    supported_ports: list[str] = field(default_factory=list, metadata=OMIT)
    port_type: str = field(default="", metadata=OMIT)
    transceiver_type: str = field(default="", metadata=OMIT)
    auto_negotiation: bool = False
    link_detected: bool = False
    link_speed: int = field(default=0, metadata=OMIT)
    link_duplex: str = field(default="", metadata=OMIT)
    infiniband: Infiniband | None = field(default=None, metadata=OMIT)


@dataclass(eq=False, repr=False)
class Vdpa(Shape):
    """The vDPA device of a card and its node."""

    name: str = ""
    device: str = ""


@dataclass(eq=False, repr=False)
class Sriov(Shape):
    """`vfs` are whole cards; they stay plain because a card would otherwise contain itself."""

    current_vfs: int = 0
    maximum_vfs: int = 0
    vfs: list[dict[str, object]] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class Card(Shape):
    """One PCI function, USB device or platform device with its interfaces."""

    driver: str = field(default="", metadata=OMIT)
    driver_version: str = field(default="", metadata=OMIT)
    ports: list[Port] = field(default_factory=list, metadata=OMIT)
    sriov: Sriov | None = field(default=None, metadata=OMIT)
    vdpa: Vdpa | None = field(default=None, metadata=OMIT)
    numa_node: int = 0
    pci_address: str = field(default="", metadata=OMIT)
    vendor: str = field(default="", metadata=OMIT)
    vendor_id: str = field(default="", metadata=OMIT)
    product: str = field(default="", metadata=OMIT)
    product_id: str = field(default="", metadata=OMIT)
    firmware_version: str = field(default="", metadata=OMIT)
    usb_address: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class Network(Section):
    """`total` counts cards and, inside them, virtual functions."""

    cards: list[Card] = field(default_factory=list)
    total: int = 0


@dataclass(eq=False, repr=False)
class Address(Shape):
    """`netmask` is the prefix length, as text: that is what LXD emits."""

    family: str = ""
    address: str = ""
    netmask: str = ""
    scope: str = ""


@dataclass(eq=False, repr=False)
class Counters(Shape):
    """Since the interface exists."""

    bytes_received: int = 0
    bytes_sent: int = 0
    packets_received: int = 0
    packets_sent: int = 0


@dataclass(eq=False, repr=False)
class Bond(Shape):
    """Delays and intervals are milliseconds."""

    mode: str = ""
    transmit_policy: str = ""
    up_delay: int = 0
    down_delay: int = 0
    mii_frequency: int = 0
    mii_state: str = ""
    lower_devices: list[str] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class Bridge(Shape):
    """`upper_devices` are its ports; LXD calls them so."""

    id: str = ""
    stp: bool = False
    forward_delay: int = 0
    vlan_default: int = 0
    vlan_filtering: bool = False
    upper_devices: list[str] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class Vlan(Shape):
    """An interface tagged with `vid` on top of another."""

    lower_device: str = ""
    vid: int = 0


@dataclass(eq=False, repr=False)
class NetworkState(Shape):
    """One interface of the running system."""

    addresses: list[Address] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    hwaddr: str = ""
    mtu: int = 0
    state: str = ""
    type: str = ""
    bond: Bond | None = None
    bridge: Bridge | None = None
    vlan: Vlan | None = None
    ovn: dict[str, object] | None = None
