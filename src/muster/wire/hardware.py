# SPDX-License-Identifier: Apache-2.0
"""The shapes of the resources document: the union of LXD's and Incus's `GET /1.0/resources`.

Field names, units and the rule which empty fields are left out are LXD's, so that its consumers
read ours. Sizes are bytes, frequencies MHz. Here are processor, memory, disks and system;
networks.py and devices.py have the rest, extra.py what neither of both collects.
"""

from muster.wire.devices import Gpu, Load, Pci, Serial, Usb
from muster.wire.networks import Network
from muster.wire.section import OMIT, Section, Shape
from muster.wire.shape import dataclass, field

API_VERSION = "1.0"


@dataclass(eq=False, repr=False)
class Cache(Shape):
    """One cache of the socket's first processor; `type` Data, Instruction or Unified."""

    level: int = 0
    type: str = ""
    size: int = 0


@dataclass(eq=False, repr=False)
class Thread(Shape):
    """One logical CPU: `id` is N of cpuN, `thread` its place within the core."""

    id: int = 0
    numa_node: int = 0
    thread: int = 0
    online: bool = True
    isolated: bool = False


@dataclass(eq=False, repr=False)
class Core(Shape):
    """Threads that share one core; `core` repeats on some machines, threads do not."""

    core: int = 0
    die: int = 0
    cluster: int = 0
    threads: list[Thread] = field(default_factory=list)
    frequency: int = field(default=0, metadata=OMIT)
    flags: list[str] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class AddressSizes(Shape):
    """Bits that the processor puts out and translates."""

    physical_bits: int = 0
    virtual_bits: int = 0


@dataclass(eq=False, repr=False)
class Socket(Shape):
    """One processor package; frequencies are of its first core."""

    name: str = field(default="", metadata=OMIT)
    vendor: str = field(default="", metadata=OMIT)
    socket: int = 0
    cache: list[Cache] = field(default_factory=list, metadata=OMIT)
    cores: list[Core] = field(default_factory=list)
    frequency: int = field(default=0, metadata=OMIT)
    frequency_minimum: int = field(default=0, metadata=OMIT)
    frequency_turbo: int = field(default=0, metadata=OMIT)
    address_sizes: AddressSizes | None = field(default=None, metadata=OMIT)


@dataclass(eq=False, repr=False)
class Cpu(Section):
    """`total` counts threads."""

    architecture: str = ""
    sockets: list[Socket] = field(default_factory=list)
    total: int = 0


@dataclass(eq=False, repr=False)
class MemoryNode(Shape):
    """Memory of one NUMA node."""

    numa_node: int = 0
    hugepages_used: int = 0
    hugepages_total: int = 0
    used: int = 0
    total: int = 0


@dataclass(eq=False, repr=False)
class Memory(Section):
    """`total` is what is installed; huge pages are those of the default size."""

    nodes: list[MemoryNode] = field(default_factory=list, metadata=OMIT)
    hugepages_total: int = 0
    hugepages_used: int = 0
    hugepages_size: int = 0
    used: int = 0
    total: int = 0


@dataclass(eq=False, repr=False)
class Partition(Shape):
    """`partition` is its number in the table."""

    id: str
    device: str = ""
    read_only: bool = False
    size: int = 0
    partition: int = 0
    mounted: bool = False
    device_fs_uuid: str = ""


@dataclass(eq=False, repr=False)
class Disk(Shape):
    """`rpm` is 0 unless the disk states its speed; `rotational` (ours) says whether it turns."""

    id: str
    device: str = ""
    model: str = field(default="", metadata=OMIT)
    type: str = field(default="", metadata=OMIT)
    read_only: bool = False
    mounted: bool = False
    size: int = 0
    removable: bool = False
    wwn: str = field(default="", metadata=OMIT)
    numa_node: int = 0
    device_path: str = field(default="", metadata=OMIT)
    block_size: int = 0
    firmware_version: str = field(default="", metadata=OMIT)
    rpm: int = 0
    rotational: bool | None = field(default=None, metadata=OMIT)
    serial: str = field(default="", metadata=OMIT)
    device_id: str = ""
    partitions: list[Partition] = field(default_factory=list)
    pci_address: str = field(default="", metadata=OMIT)
    usb_address: str = field(default="", metadata=OMIT)
    device_fs_uuid: str = ""
    used_by: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class Storage(Section):
    """`total` counts disks and partitions together, as LXD does."""

    disks: list[Disk] = field(default_factory=list)
    total: int = 0


@dataclass(eq=False, repr=False)
class Firmware(Shape):
    """BIOS or UEFI, as SMBIOS names it."""

    vendor: str = ""
    date: str = ""
    version: str = ""


@dataclass(eq=False, repr=False)
class Chassis(Shape):
    """`type` in the words of SMBIOS, "Rack Mount Chassis"."""

    vendor: str = ""
    type: str = ""
    serial: str = ""
    version: str = ""


@dataclass(eq=False, repr=False)
class Motherboard(Shape):
    """The board, as SMBIOS names it."""

    vendor: str = ""
    product: str = ""
    serial: str = ""
    version: str = ""


@dataclass(eq=False, repr=False)
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


@dataclass(eq=False, repr=False)
class Resources(Shape):
    """`load` and `serial` are Incus's; the rest is in both."""

    cpu: Cpu = field(default_factory=Cpu)
    memory: Memory = field(default_factory=Memory)
    gpu: Gpu = field(default_factory=Gpu)
    network: Network = field(default_factory=Network)
    storage: Storage = field(default_factory=Storage)
    usb: Usb = field(default_factory=Usb)
    pci: Pci = field(default_factory=Pci)
    system: System = field(default_factory=System)
    load: Load = field(default_factory=Load)
    serial: Serial = field(default_factory=Serial)
