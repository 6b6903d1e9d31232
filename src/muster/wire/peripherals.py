# SPDX-License-Identifier: Apache-2.0
"""Shapes of `extra` that buses and drivers tell: PCIe links, NICs, disks, RAID, enclosures."""

from muster.wire.section import OMIT, Section, Shape
from muster.wire.shape import dataclass, field


@dataclass(eq=False, repr=False)
class PcieLink(Shape):
    """A link's speed (GT/s) and width (lanes)."""

    speed: float = 0.0
    width: int = 0


@dataclass(eq=False, repr=False)
class PcieFunction(Shape):
    """One PCI function. `link` is now, `maximum` its own, `parent` the most of the port above.

    `degraded` says what the link lacks against what both ends can, "" where nothing. `iommu_group`
    is null where there is no IOMMU. The error counts are those of AER since boot.
    """

    pci_address: str
    class_id: str = ""
    revision: str = field(default="", metadata=OMIT)
    subsystem_vendor_id: str = field(default="", metadata=OMIT)
    subsystem_id: str = field(default="", metadata=OMIT)
    slot: str = field(default="", metadata=OMIT)
    port: str = field(default="", metadata=OMIT)
    iommu_group: int | None = field(default=None, metadata=OMIT)
    link: PcieLink | None = field(default=None, metadata=OMIT)
    maximum: PcieLink | None = field(default=None, metadata=OMIT)
    parent: PcieLink | None = field(default=None, metadata=OMIT)
    degraded: str = field(default="", metadata=OMIT)
    errors_correctable: int = field(default=0, metadata=OMIT)
    errors_nonfatal: int = field(default=0, metadata=OMIT)
    errors_fatal: int = field(default=0, metadata=OMIT)


@dataclass(eq=False, repr=False)
class Pcie(Section):
    """`degraded` are the PCI addresses of functions with a degraded link."""

    functions: list[PcieFunction] = field(default_factory=list, metadata=OMIT)
    degraded: list[str] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class Optics(Shape):
    """What the module in a port says of itself (SFF-8472, SFF-8636, CMIS).

    `wavelength` nm, `length` metres of cable or 0; the rest as printed on the module.
    """

    type: str = ""
    connector: str = field(default="", metadata=OMIT)
    vendor: str = field(default="", metadata=OMIT)
    vendor_oui: str = field(default="", metadata=OMIT)
    part: str = field(default="", metadata=OMIT)
    revision: str = field(default="", metadata=OMIT)
    serial: str = field(default="", metadata=OMIT)
    date: str = field(default="", metadata=OMIT)
    wavelength: float = field(default=0.0, metadata=OMIT)
    length: float = field(default=0.0, metadata=OMIT)
    temperature: float | None = field(default=None, metadata=OMIT)


@dataclass(eq=False, repr=False)
class NicDriver(Shape):
    """One interface of hardware; `bus` is where the driver says that it sits."""

    interface: str
    driver: str = field(default="", metadata=OMIT)
    version: str = field(default="", metadata=OMIT)
    firmware_version: str = field(default="", metadata=OMIT)
    bus: str = field(default="", metadata=OMIT)
    optics: Optics | None = field(default=None, metadata=OMIT)


@dataclass(eq=False, repr=False)
class Nics(Section):
    """All interfaces of hardware."""

    interfaces: list[NicDriver] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class NvmePath(Shape):
    """One controller through which a namespace is reached; `state` live, connecting, dead ..."""

    controller: str = ""
    transport: str = field(default="", metadata=OMIT)
    address: str = field(default="", metadata=OMIT)
    state: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class Health(Shape):
    """What one disk says of its health. Null is "not stated"; `source` nvme or smartctl.

    `percentage_used` may pass 100; counts are of the disk's life, sizes bytes.
    """

    disk: str
    source: str = field(default="", metadata=OMIT)
    passed: bool | None = field(default=None, metadata=OMIT)
    warnings: list[str] = field(default_factory=list, metadata=OMIT)
    temperature: float | None = field(default=None, metadata=OMIT)
    power_on_hours: int | None = field(default=None, metadata=OMIT)
    power_cycles: int | None = field(default=None, metadata=OMIT)
    unsafe_shutdowns: int | None = field(default=None, metadata=OMIT)
    percentage_used: int | None = field(default=None, metadata=OMIT)
    available_spare: int | None = field(default=None, metadata=OMIT)
    media_errors: int | None = field(default=None, metadata=OMIT)
    reallocated_sectors: int | None = field(default=None, metadata=OMIT)
    pending_sectors: int | None = field(default=None, metadata=OMIT)
    bytes_written: int | None = field(default=None, metadata=OMIT)
    bytes_read: int | None = field(default=None, metadata=OMIT)
    transport: str = field(default="", metadata=OMIT)
    state: str = field(default="", metadata=OMIT)
    sas_address: str = field(default="", metadata=OMIT)
    subsystem: str = field(default="", metadata=OMIT)
    paths: list[NvmePath] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class DiskHealth(Section):
    """All disks of hardware."""

    disks: list[Health] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class RaidDisk(Health):
    """A disk behind a RAID controller; `disk` is its name as smartctl takes it ("megaraid,8").

    `size` bytes, `rpm` 0 for one that does not turn.
    """

    vendor: str = field(default="", metadata=OMIT)
    model: str = field(default="", metadata=OMIT)
    serial: str = field(default="", metadata=OMIT)
    firmware_version: str = field(default="", metadata=OMIT)
    protocol: str = field(default="", metadata=OMIT)
    size: int = field(default=0, metadata=OMIT)
    rpm: int | None = field(default=None, metadata=OMIT)


@dataclass(eq=False, repr=False)
class RaidController(Shape):
    """A PCI function of class 0x0104; `disks` are those it shows to the kernel.

    `members` are the disks that it keeps to itself, as far as smartctl can ask them.
    """

    pci_address: str
    vendor: str = field(default="", metadata=OMIT)
    vendor_id: str = field(default="", metadata=OMIT)
    product: str = field(default="", metadata=OMIT)
    product_id: str = field(default="", metadata=OMIT)
    driver: str = field(default="", metadata=OMIT)
    driver_version: str = field(default="", metadata=OMIT)
    firmware_version: str = field(default="", metadata=OMIT)
    numa_node: int = 0
    hosts: list[str] = field(default_factory=list, metadata=OMIT)
    disks: list[str] = field(default_factory=list, metadata=OMIT)
    members: list[RaidDisk] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class RaidControllers(Section):
    """All that PCI class or driver give away."""

    controllers: list[RaidController] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class EnclosureSlot(Shape):
    """One slot (SES-3); `disk` is the block device in it."""

    name: str = ""
    slot: int | None = field(default=None, metadata=OMIT)
    type: str = field(default="", metadata=OMIT)
    status: str = field(default="", metadata=OMIT)
    disk: str = field(default="", metadata=OMIT)
    fault: bool = False
    locate: bool = False
    powered: bool | None = field(default=None, metadata=OMIT)


@dataclass(eq=False, repr=False)
class Enclosure(Shape):
    """One SCSI enclosure; `id` its logical identifier (a WWN)."""

    device: str = ""
    id: str = field(default="", metadata=OMIT)
    vendor: str = field(default="", metadata=OMIT)
    model: str = field(default="", metadata=OMIT)
    slots: list[EnclosureSlot] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class Enclosures(Section):
    """All that the ses driver found."""

    enclosures: list[Enclosure] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class Accelerator(Shape):
    """A PCI function of class 0x12 (processing accelerator), which LXD never lists."""

    pci_address: str
    vendor: str = field(default="", metadata=OMIT)
    vendor_id: str = field(default="", metadata=OMIT)
    product: str = field(default="", metadata=OMIT)
    product_id: str = field(default="", metadata=OMIT)
    driver: str = field(default="", metadata=OMIT)
    driver_version: str = field(default="", metadata=OMIT)
    numa_node: int = 0
    device: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class Accelerators(Section):
    """All of PCI class 0x12."""

    devices: list[Accelerator] = field(default_factory=list, metadata=OMIT)
