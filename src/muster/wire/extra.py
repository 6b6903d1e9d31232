# SPDX-License-Identifier: Apache-2.0
"""The document's `extra`: what neither LXD nor Incus collects. A schema of its own, versioned.

Sizes are bytes, link speeds of PCIe GT/s, temperatures degrees Celsius. Nothing is required:
empty text, 0, null and empty lists are left out and mean "not stated". slots.py has what SMBIOS
and the TPM tell, peripherals.py what buses and drivers tell.
"""

from muster.wire.peripherals import (
    Accelerators,
    DiskHealth,
    Enclosures,
    Nics,
    Pcie,
    RaidControllers,
)
from muster.wire.section import OMIT, Complaint, Section, Shape
from muster.wire.shape import dataclass, field
from muster.wire.slots import Bmc, BootFirmware, Dimms, PowerSupplies, Processors, Tpm

EXTRA_SCHEMA = "muster.extra/1"


@dataclass(eq=False, repr=False)
class ProbeReport(Shape):
    """How one probe went: `ok` unless it failed as a whole, `ms` of wall time."""

    ok: bool = True
    ms: float = 0.0
    errors: list[Complaint] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class HugePagePool(Shape):
    """Pages of one size, of the whole machine where `numa_node` is null; counts, not bytes."""

    size: int = 0
    total: int = 0
    free: int = 0
    reserved: int = 0
    surplus: int = 0
    numa_node: int | None = None


@dataclass(eq=False, repr=False)
class HugePages(Section):
    """LXD tells of the default size only."""

    pools: list[HugePagePool] = field(default_factory=list, metadata=OMIT)


@dataclass(eq=False, repr=False)
class Extra(Shape):
    """`disk_writes` are sectors of 512 bytes written since power-on, by disk."""

    schema: str = EXTRA_SCHEMA
    probes: dict[str, ProbeReport] = field(default_factory=dict)
    disk_writes: dict[str, int] = field(default_factory=dict)
    dimms: Dimms = field(default_factory=Dimms)
    processors: Processors = field(default_factory=Processors)
    hugepages: HugePages = field(default_factory=HugePages)
    boot_firmware: BootFirmware = field(default_factory=BootFirmware)
    tpm: Tpm = field(default_factory=Tpm)
    bmc: Bmc = field(default_factory=Bmc)
    power_supplies: PowerSupplies = field(default_factory=PowerSupplies)
    pcie: Pcie = field(default_factory=Pcie)
    nics: Nics = field(default_factory=Nics)
    disk_health: DiskHealth = field(default_factory=DiskHealth)
    raid: RaidControllers = field(default_factory=RaidControllers)
    enclosures: Enclosures = field(default_factory=Enclosures)
    accelerators: Accelerators = field(default_factory=Accelerators)
