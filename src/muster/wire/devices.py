# SPDX-License-Identifier: Apache-2.0
"""Graphics cards, USB and PCI devices, serial ports and load, as in LXD's and Incus's document."""

from muster.wire.section import OMIT, Section, Shape
from muster.wire.shape import dataclass, field


@dataclass(eq=False, repr=False)
class Drm(Shape):
    """The device nodes of a graphics card: names below /dev/dri and "major:minor"."""

    id: int = 0
    card_name: str = ""
    card_device: str = ""
    control_name: str = field(default="", metadata=OMIT)
    control_device: str = field(default="", metadata=OMIT)
    render_name: str = field(default="", metadata=OMIT)
    render_device: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class GpuSriov(Shape):
    """`vfs` are whole cards; they stay plain because a card would otherwise contain itself."""

    current_vfs: int = 0
    maximum_vfs: int = 0
    vfs: list[dict[str, object]] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class Nvidia(Shape):
    """What NVIDIA's own driver tells; `vbios_version` is ours."""

    cuda_version: str = field(default="", metadata=OMIT)
    nvrm_version: str = field(default="", metadata=OMIT)
    brand: str = ""
    model: str = ""
    uuid: str = field(default="", metadata=OMIT)
    architecture: str = field(default="", metadata=OMIT)
    card_name: str = ""
    card_device: str = ""
    vbios_version: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class Mdev(Shape):
    """One type of mediated device; `devices` are the UUIDs of those that exist."""

    api: str = ""
    available: int = 0
    name: str = field(default="", metadata=OMIT)
    description: str = field(default="", metadata=OMIT)
    devices: list[str] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class GpuCard(Shape):
    """One graphics card; on PCI, USB or, with neither address, the board."""

    driver: str = field(default="", metadata=OMIT)
    driver_version: str = field(default="", metadata=OMIT)
    drm: Drm | None = field(default=None, metadata=OMIT)
    sriov: GpuSriov | None = field(default=None, metadata=OMIT)
    nvidia: Nvidia | None = field(default=None, metadata=OMIT)
    mdev: dict[str, Mdev] = field(default_factory=dict, metadata=OMIT)
    numa_node: int = 0
    pci_address: str = field(default="", metadata=OMIT)
    vendor: str = field(default="", metadata=OMIT)
    vendor_id: str = field(default="", metadata=OMIT)
    product: str = field(default="", metadata=OMIT)
    product_id: str = field(default="", metadata=OMIT)
    usb_address: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class Gpu(Section):
    """`total` counts cards and, inside them, virtual functions."""

    cards: list[GpuCard] = field(default_factory=list)
    total: int = 0


@dataclass(eq=False, repr=False)
class UsbInterface(Shape):
    """`class` is a word of Python's, so the document's `class` is `class_name` here."""

    class_name: str = field(default="", metadata={"as": "class"})
    class_id: int = 0
    driver: str = ""
    driver_version: str = ""
    number: int = 0
    subclass: str = ""
    subclass_id: int = 0


@dataclass(eq=False, repr=False)
class UsbDevice(Shape):
    """`speed` in Mbit/s; low speed is 1.5."""

    bus_address: int = 0
    device_address: int = 0
    interfaces: list[UsbInterface] = field(default_factory=list)
    vendor: str = ""
    vendor_id: str = ""
    product: str = ""
    product_id: str = ""
    speed: float = 0.0
    serial: str = ""


@dataclass(eq=False, repr=False)
class Usb(Section):
    """All USB devices but hubs."""

    devices: list[UsbDevice] = field(default_factory=list)
    total: int = 0


@dataclass(eq=False, repr=False)
class Vpd(Shape):
    """Vital product data: `entries` by the two letters of the PCI specification ("PN", "SN")."""

    product_name: str = field(default="", metadata=OMIT)
    entries: dict[str, str] = field(default_factory=dict, metadata=OMIT)


@dataclass(eq=False, repr=False)
class PciDevice(Shape):
    """`iommu_group` is 0 also where there is no IOMMU; extra's `pcie` tells these apart."""

    driver: str = ""
    driver_version: str = ""
    numa_node: int = 0
    pci_address: str = ""
    vendor: str = ""
    vendor_id: str = ""
    product: str = ""
    product_id: str = ""
    iommu_group: int = 0
    vpd: Vpd = field(default_factory=Vpd)


@dataclass(eq=False, repr=False)
class Pci(Section):
    """All PCI functions, bridges too."""

    devices: list[PciDevice] = field(default_factory=list)
    total: int = 0


@dataclass(eq=False, repr=False)
class SerialPort(Shape):
    """`id` is a name below /dev, `device` "major:minor".

    `device_id` and `device_path` are whole paths; ports on the board have none.
    """

    id: str = ""
    device: str = ""
    device_id: str = ""
    device_path: str = ""
    driver: str = ""
    vendor: str = ""
    vendor_id: str = ""
    product: str = ""
    product_id: str = ""


@dataclass(eq=False, repr=False)
class Serial(Section):
    """Serial ports with a chip behind them."""

    devices: list[SerialPort] = field(default_factory=list)
    total: int = 0


@dataclass(eq=False, repr=False)
class Load(Section):
    """Incus's own spelling; `Average10Min` holds the average of 15 minutes."""

    Average1Min: float = 0.0
    Average5Min: float = 0.0
    Average10Min: float = 0.0
    Processes: int = 0
