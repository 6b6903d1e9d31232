# SPDX-License-Identifier: Apache-2.0
"""Shapes of `extra` that SMBIOS (DSP0134), firmware and TPM tell: what sits in which slot.

Words such as "DDR5" or "Multi-bit ECC" are those of the SMBIOS specification.
"""

from muster.wire.section import OMIT, Section, Shape
from muster.wire.shape import dataclass, field


@dataclass(eq=False, repr=False)
class MemoryArray(Shape):
    """SMBIOS type 16: the slots that belong together; `slots` counts them, empty ones too."""

    location: str = field(default="", metadata=OMIT)
    use: str = field(default="", metadata=OMIT)
    error_correction: str = field(default="", metadata=OMIT)
    maximum_size: int = field(default=0, metadata=OMIT)
    slots: int = field(default=0, metadata=OMIT)


@dataclass(eq=False, repr=False)
class Dimm(Shape):
    """SMBIOS type 17: one slot. `size` 0 is an empty one, null a module of unknown size.

    Speeds are MT/s, `voltage` millivolts, widths bits; `ecc` is null where the widths are unknown.
    """

    slot: str = ""
    bank: str = field(default="", metadata=OMIT)
    size: int | None = 0
    type: str = field(default="", metadata=OMIT)
    type_detail: list[str] = field(default_factory=list, metadata=OMIT)
    form_factor: str = field(default="", metadata=OMIT)
    technology: str = field(default="", metadata=OMIT)
    speed: int = field(default=0, metadata=OMIT)
    configured_speed: int = field(default=0, metadata=OMIT)
    manufacturer: str = field(default="", metadata=OMIT)
    part: str = field(default="", metadata=OMIT)
    serial: str = field(default="", metadata=OMIT)
    asset_tag: str = field(default="", metadata=OMIT)
    rank: int = field(default=0, metadata=OMIT)
    total_width: int = field(default=0, metadata=OMIT)
    data_width: int = field(default=0, metadata=OMIT)
    ecc: bool | None = field(default=None, metadata=OMIT)
    voltage: int = field(default=0, metadata=OMIT)
    firmware_version: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class EdacDimm(Shape):
    """Errors that the memory controller counted since boot, by its own label for the module."""

    id: str = ""
    label: str = field(default="", metadata=OMIT)
    location: str = field(default="", metadata=OMIT)
    size: int = field(default=0, metadata=OMIT)
    corrected: int = 0
    uncorrected: int = 0


@dataclass(eq=False, repr=False)
class Dimms(Section):
    """Memory slots, and what EDAC counted."""

    arrays: list[MemoryArray] = field(default_factory=list, metadata=OMIT)
    slots: list[Dimm] = field(default_factory=list, metadata=OMIT)
    errors_counted: list[EdacDimm] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class CpuIdentity(Shape):
    """What the processor says of itself; numbers as /proc/cpuinfo prints them."""

    socket: int = 0
    family: str = field(default="", metadata=OMIT)
    model: str = field(default="", metadata=OMIT)
    stepping: str = field(default="", metadata=OMIT)
    microcode: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class ProcessorSlot(Shape):
    """SMBIOS type 4: one socket of the board, `populated` or not. Speeds are MHz."""

    slot: str = ""
    populated: bool = False
    status: str = field(default="", metadata=OMIT)
    manufacturer: str = field(default="", metadata=OMIT)
    version: str = field(default="", metadata=OMIT)
    id: str = field(default="", metadata=OMIT)
    serial: str = field(default="", metadata=OMIT)
    part: str = field(default="", metadata=OMIT)
    asset_tag: str = field(default="", metadata=OMIT)
    maximum_speed: int = field(default=0, metadata=OMIT)
    current_speed: int = field(default=0, metadata=OMIT)
    cores: int = field(default=0, metadata=OMIT)
    cores_enabled: int = field(default=0, metadata=OMIT)
    threads: int = field(default=0, metadata=OMIT)


@dataclass(eq=False, repr=False)
class Processors(Section):
    """`smt` is the kernel's control: on, off, forceoff, notsupported, notimplemented."""

    smt: str = field(default="", metadata=OMIT)
    smt_active: bool | None = field(default=None, metadata=OMIT)
    governor: str = field(default="", metadata=OMIT)
    vulnerabilities: dict[str, str] = field(default_factory=dict, metadata=OMIT)
    packages: list[CpuIdentity] = field(default_factory=list, metadata=OMIT)
    slots: list[ProcessorSlot] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class BootFirmware(Section):
    """`mode` is uefi or bios; `boot_entry` the UEFI entry that was booted ("0003 UEFI PXEv4").

    `secure_boot` and `setup_mode` are null where there is no UEFI; `rom_size` bytes.
    """

    mode: str = ""
    secure_boot: bool | None = field(default=None, metadata=OMIT)
    setup_mode: bool | None = field(default=None, metadata=OMIT)
    boot_entry: str = field(default="", metadata=OMIT)
    boot_order: list[str] = field(default_factory=list, metadata=OMIT)
    vendor: str = field(default="", metadata=OMIT)
    version: str = field(default="", metadata=OMIT)
    date: str = field(default="", metadata=OMIT)
    release: str = field(default="", metadata=OMIT)
    controller_release: str = field(default="", metadata=OMIT)
    rom_size: int = field(default=0, metadata=OMIT)
    smbios_version: str = field(default="", metadata=OMIT)
    chassis_asset_tag: str = field(default="", metadata=OMIT)
    board_asset_tag: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class Tpm(Section):
    """`ek_sha256` is of the endorsement key's certificate (DER), `pcr_banks` hash names."""

    present: bool = False
    device: str = field(default="", metadata=OMIT)
    version: str = field(default="", metadata=OMIT)
    manufacturer: str = field(default="", metadata=OMIT)
    description: str = field(default="", metadata=OMIT)
    firmware_version: str = field(default="", metadata=OMIT)
    pcr_banks: list[str] = field(default_factory=list, metadata=OMIT)
    ek_sha256: str = field(default="", metadata=OMIT)
    ek_certificate: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class IpmiInterface(Shape):
    """SMBIOS type 38: how the board says its BMC is reached; `address` in hexadecimal."""

    type: str = ""
    specification: str = field(default="", metadata=OMIT)
    address: str = field(default="", metadata=OMIT)
    bus: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class BmcLan(Shape):
    """One LAN channel, as the BMC itself tells; `source` is static, dhcp, bios or other.

    `ipv6` are addresses with their prefix length, "fd00::9/64".
    """

    channel: int = 0
    address: str = field(default="", metadata=OMIT)
    netmask: str = field(default="", metadata=OMIT)
    gateway: str = field(default="", metadata=OMIT)
    mac: str = field(default="", metadata=OMIT)
    source: str = field(default="", metadata=OMIT)
    vlan: int = field(default=0, metadata=OMIT)
    ipv6: list[str] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class RedfishHost(Shape):
    """SMBIOS type 42, protocol Redfish over IP (DSP0270): the BMC as a network neighbour."""

    device: str = field(default="", metadata=OMIT)
    hostname: str = field(default="", metadata=OMIT)
    service_address: str = field(default="", metadata=OMIT)
    service_port: int = field(default=0, metadata=OMIT)
    service_vlan: int = field(default=0, metadata=OMIT)
    host_address: str = field(default="", metadata=OMIT)
    host_assignment: str = field(default="", metadata=OMIT)


@dataclass(eq=False, repr=False)
class Bmc(Section):
    """`present` when the BMC answered, or SMBIOS or a device says that there is one."""

    present: bool = False
    device: str = field(default="", metadata=OMIT)
    ipmi_version: str = field(default="", metadata=OMIT)
    firmware_version: str = field(default="", metadata=OMIT)
    manufacturer_id: int = field(default=0, metadata=OMIT)
    product_id: int = field(default=0, metadata=OMIT)
    guid: str = field(default="", metadata=OMIT)
    lan: list[BmcLan] = field(default_factory=list, metadata=OMIT)
    interfaces: list[IpmiInterface] = field(default_factory=list, metadata=OMIT)
    redfish: list[RedfishHost] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class PowerSupply(Shape):
    """SMBIOS type 39. `power` is the maximum in watts."""

    slot: str = ""
    present: bool = False
    unplugged: bool = False
    hot_replaceable: bool = False
    status: str = field(default="", metadata=OMIT)
    type: str = field(default="", metadata=OMIT)
    name: str = field(default="", metadata=OMIT)
    manufacturer: str = field(default="", metadata=OMIT)
    part: str = field(default="", metadata=OMIT)
    serial: str = field(default="", metadata=OMIT)
    revision: str = field(default="", metadata=OMIT)
    asset_tag: str = field(default="", metadata=OMIT)
    power: int = field(default=0, metadata=OMIT)


@dataclass(eq=False, repr=False)
class PowerSupplies(Section):
    """Bays that SMBIOS knows."""

    supplies: list[PowerSupply] = field(default_factory=list, metadata=OMIT)
