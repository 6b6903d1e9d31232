# SPDX-License-Identifier: Apache-2.0
"""The shapes of the resources document: the union of LXD's and Incus's `GET /1.0/resources`.

Field names, units and the rule which empty fields are left out are LXD's, so that its consumers
read ours. Sizes are bytes, frequencies MHz, link speeds Mbit/s.

The annotations are real types, not strings, because resources.py walks them to read a document;
that keeps `typing` (2.5 ms of start-up) out of the collector.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

API_VERSION = "1.0"
_OMIT = {"omit": True}
_APART = {"apart": True}


@dataclass
class Complaint:
    """One thing that could not be read: the path on the machine, and why."""

    path: str
    reason: str


@dataclass
class Section:
    """What a probe returns. `errors` travels apart, in the document's `extra`."""

    errors: list[Complaint] = field(default_factory=list, metadata=_APART)


@dataclass
class Cache:
    level: int = 0
    type: str = ""
    size: int = 0


@dataclass
class Thread:
    """One logical CPU: `id` is N of cpuN, `thread` its place within the core."""

    id: int = 0
    numa_node: int = 0
    thread: int = 0
    online: bool = True
    isolated: bool = False


@dataclass
class Core:
    core: int = 0
    die: int = 0
    cluster: int = 0
    threads: list[Thread] = field(default_factory=list)
    frequency: int = field(default=0, metadata=_OMIT)
    flags: list[str] = field(default_factory=list)


@dataclass
class AddressSizes:
    physical_bits: int = 0
    virtual_bits: int = 0


@dataclass
class Socket:
    name: str = field(default="", metadata=_OMIT)
    vendor: str = field(default="", metadata=_OMIT)
    socket: int = 0
    cache: list[Cache] = field(default_factory=list, metadata=_OMIT)
    cores: list[Core] = field(default_factory=list)
    frequency: int = field(default=0, metadata=_OMIT)
    frequency_minimum: int = field(default=0, metadata=_OMIT)
    frequency_turbo: int = field(default=0, metadata=_OMIT)
    address_sizes: AddressSizes | None = field(default=None, metadata=_OMIT)


@dataclass
class Cpu(Section):
    architecture: str = ""
    sockets: list[Socket] = field(default_factory=list)
    total: int = 0


@dataclass
class MemoryNode:
    numa_node: int = 0
    hugepages_used: int = 0
    hugepages_total: int = 0
    used: int = 0
    total: int = 0


@dataclass
class Memory(Section):
    nodes: list[MemoryNode] = field(default_factory=list, metadata=_OMIT)
    hugepages_total: int = 0
    hugepages_used: int = 0
    hugepages_size: int = 0
    used: int = 0
    total: int = 0


@dataclass
class Infiniband:
    issm_name: str = field(default="", metadata=_OMIT)
    issm_device: str = field(default="", metadata=_OMIT)
    mad_name: str = field(default="", metadata=_OMIT)
    mad_device: str = field(default="", metadata=_OMIT)
    verb_name: str = field(default="", metadata=_OMIT)
    verb_device: str = field(default="", metadata=_OMIT)


@dataclass
class Port:
    """One network interface of a card; `address` is the permanent one where the driver tells."""

    id: str
    address: str = field(default="", metadata=_OMIT)
    port: int = 0
    protocol: str = "unknown"
    supported_modes: list[str] = field(default_factory=list, metadata=_OMIT)
    supported_ports: list[str] = field(default_factory=list, metadata=_OMIT)
    port_type: str = field(default="", metadata=_OMIT)
    transceiver_type: str = field(default="", metadata=_OMIT)
    auto_negotiation: bool = False
    link_detected: bool = False
    link_speed: int = field(default=0, metadata=_OMIT)
    link_duplex: str = field(default="", metadata=_OMIT)
    infiniband: Infiniband | None = field(default=None, metadata=_OMIT)


@dataclass
class Vdpa:
    name: str = ""
    device: str = ""


@dataclass
class Sriov:
    """`vfs` are whole cards; they stay plain because a card would otherwise contain itself."""

    current_vfs: int = 0
    maximum_vfs: int = 0
    vfs: list[dict[str, object]] = field(default_factory=list)


@dataclass
class Card:
    driver: str = field(default="", metadata=_OMIT)
    driver_version: str = field(default="", metadata=_OMIT)
    ports: list[Port] = field(default_factory=list, metadata=_OMIT)
    sriov: Sriov | None = field(default=None, metadata=_OMIT)
    vdpa: Vdpa | None = field(default=None, metadata=_OMIT)
    numa_node: int = 0
    pci_address: str = field(default="", metadata=_OMIT)
    vendor: str = field(default="", metadata=_OMIT)
    vendor_id: str = field(default="", metadata=_OMIT)
    product: str = field(default="", metadata=_OMIT)
    product_id: str = field(default="", metadata=_OMIT)
    firmware_version: str = field(default="", metadata=_OMIT)
    usb_address: str = field(default="", metadata=_OMIT)


@dataclass
class Network(Section):
    cards: list[Card] = field(default_factory=list)
    total: int = 0


@dataclass
class Partition:
    id: str
    device: str = ""
    read_only: bool = False
    size: int = 0
    partition: int = 0
    mounted: bool = False
    device_fs_uuid: str = ""


@dataclass
class Disk:
    """`rpm` is 0 unless the disk states its speed; `rotational` (ours) says whether it turns."""

    id: str
    device: str = ""
    model: str = field(default="", metadata=_OMIT)
    type: str = field(default="", metadata=_OMIT)
    read_only: bool = False
    mounted: bool = False
    size: int = 0
    removable: bool = False
    wwn: str = field(default="", metadata=_OMIT)
    numa_node: int = 0
    device_path: str = field(default="", metadata=_OMIT)
    block_size: int = 0
    firmware_version: str = field(default="", metadata=_OMIT)
    rpm: int = 0
    rotational: bool | None = field(default=None, metadata=_OMIT)
    serial: str = field(default="", metadata=_OMIT)
    device_id: str = ""
    partitions: list[Partition] = field(default_factory=list)
    pci_address: str = field(default="", metadata=_OMIT)
    usb_address: str = field(default="", metadata=_OMIT)
    device_fs_uuid: str = ""
    used_by: str = field(default="", metadata=_OMIT)


@dataclass
class Storage(Section):
    """`total` counts disks and partitions together, as LXD does."""

    disks: list[Disk] = field(default_factory=list)
    total: int = 0


@dataclass
class Firmware:
    vendor: str = ""
    date: str = ""
    version: str = ""


@dataclass
class Chassis:
    vendor: str = ""
    type: str = ""
    serial: str = ""
    version: str = ""


@dataclass
class Motherboard:
    vendor: str = ""
    product: str = ""
    serial: str = ""
    version: str = ""


@dataclass
class System(Section):
    """`type` is physical, virtual-machine, container or unknown."""

    uuid: str = ""
    vendor: str = ""
    product: str = ""
    family: str = ""
    version: str = ""
    sku: str = ""
    serial: str = ""
    type: str = "unknown"
    firmware: Firmware | None = None
    chassis: Chassis | None = None
    motherboard: Motherboard | None = None


@dataclass
class Address:
    """`netmask` is the prefix length, as text: that is what LXD emits."""

    family: str = ""
    address: str = ""
    netmask: str = ""
    scope: str = ""


@dataclass
class Counters:
    bytes_received: int = 0
    bytes_sent: int = 0
    packets_received: int = 0
    packets_sent: int = 0


@dataclass
class Bond:
    mode: str = ""
    transmit_policy: str = ""
    up_delay: int = 0
    down_delay: int = 0
    mii_frequency: int = 0
    mii_state: str = ""
    lower_devices: list[str] = field(default_factory=list)


@dataclass
class Bridge:
    id: str = ""
    stp: bool = False
    forward_delay: int = 0
    vlan_default: int = 0
    vlan_filtering: bool = False
    upper_devices: list[str] = field(default_factory=list)


@dataclass
class Vlan:
    lower_device: str = ""
    vid: int = 0


@dataclass
class NetworkState:
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


def _no_cards() -> dict[str, object]:
    return {"cards": [], "total": 0}


def _no_devices() -> dict[str, object]:
    return {"devices": [], "total": 0}


@dataclass
class Resources:
    cpu: Cpu = field(default_factory=Cpu)
    memory: Memory = field(default_factory=Memory)
    gpu: dict[str, object] = field(default_factory=_no_cards)
    network: Network = field(default_factory=Network)
    storage: Storage = field(default_factory=Storage)
    usb: dict[str, object] = field(default_factory=_no_devices)
    pci: dict[str, object] = field(default_factory=_no_devices)
    system: System = field(default_factory=System)


def plain(value: object) -> object:
    """`value` as dicts and lists for a JSON library, without what LXD leaves out when empty."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is None:
        return value
    return {
        name: plain(getattr(value, name))
        for name, spec in fields.items()
        if not _left_out(getattr(value, name), spec.metadata)
    }


def _left_out(item: object, metadata: Mapping[str, bool]) -> bool:
    """False is a statement, not an absence: only empty text, 0, null and empty lists go."""
    empty = not item and item is not False
    return "apart" in metadata or ("omit" in metadata and empty)
