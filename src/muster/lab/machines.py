# SPDX-License-Identifier: Apache-2.0
"""What a lab machine is: the order that a person or a test gives, and the machine built from it.

The same lab and machine name always give the same UUID, serials and MACs, so that a
lab brought down and up again holds the same machines for the server that met them.
"""

import uuid
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from muster.lab.errors import BadOrder


class Firmware(StrEnum):
    """How a machine starts: BIOS or UEFI by PXE, the others by HTTP, Secure Boot on, or IPv6."""

    BIOS = "bios"
    UEFI = "uefi"
    UEFI_HTTP = "uefi-http"
    SECURE_BOOT = "secure-boot"
    SECURE_BOOT_HTTP = "secure-boot-http"
    UEFI_IPV6 = "uefi-ipv6"

    @property
    def secure(self) -> bool:
        """Whether the firmware starts signed loaders only."""
        return self in (Firmware.SECURE_BOOT, Firmware.SECURE_BOOT_HTTP)

    @property
    def by_ipv6(self) -> bool:
        """Whether the firmware's IPv4 is switched off, and its IPv6 on; else the other way."""
        return self is Firmware.UEFI_IPV6

    @property
    def by_http(self) -> bool:
        """Whether the firmware fetches its loader by HTTP and never by TFTP."""
        return self in (Firmware.UEFI_HTTP, Firmware.SECURE_BOOT_HTTP)

    @property
    def kind(self) -> str:
        """What the operating system sees: bios or uefi."""
        return "bios" if self is Firmware.BIOS else "uefi"


class Arch(StrEnum):
    """Whose processors: an arm64 machine is an Arm base board, which has UEFI, PCI and no more."""

    AMD64 = "amd64"
    ARM64 = "arm64"


class NicModel(StrEnum):
    """`i82551` has no link before its driver (e100) has given it firmware."""

    VIRTIO = "virtio-net-pci"
    E1000E = "e1000e"
    E1000 = "e1000"
    VMXNET3 = "vmxnet3"
    I82551 = "i82551"


class DiskKind(StrEnum):
    VIRTIO = "virtio"
    NVME = "nvme"
    SATA = "sata"
    SCSI = "scsi"
    USB = "usb"


class Bmc(StrEnum):
    """`kcs` answers in-band and has no LAN; `ipmi` has both; `redfish` is outside only."""

    KCS = "kcs"
    IPMI = "ipmi"
    REDFISH = "redfish"


class MediumBus(StrEnum):
    """How the machine sees its medium: as a CD, as a BMC's virtual media too, or as a USB disk."""

    CD = "cd"
    USB = "usb"


class Boot(StrEnum):
    """What the firmware tries first; `cd`, the BMC's virtual drive, for one start only."""

    PXE = "pxe"
    DISK = "disk"
    CD = "cd"


# The board's own AHCI controller has so many ports.
SATA_PORTS = 6


Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Mac = Annotated[str, Meta(pattern=r"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$")]
Uuid = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
# SMBIOS strings: printable ASCII; QEMU cuts nothing, firmware menus do at about 64.
SmbiosText = Annotated[str, Meta(pattern=r"^[ -~]{1,64}$")]
# QEMU truncates a virtio disk serial to 20 bytes (VIRTIO 1.2, 5.2.6.1 VIRTIO_BLK_T_GET_ID).
DiskSerial = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,20}$")]


class Nic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mac: Mac
    model: NicModel = NicModel.VIRTIO


class Disk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    serial: DiskSerial
    size_mib: int = 4096
    kind: DiskKind = DiskKind.VIRTIO


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A complete machine. `uuid` None: SMBIOS says all-zero, as boards never programmed do.

    `dimms` 0: the emulator describes the memory by itself, as one module for 16 GiB.
    """

    name: Name
    arch: Arch = Arch.AMD64
    firmware: Firmware
    memory_mib: int
    cpus: int
    uuid: str | None
    serial: str
    vendor: str
    product: str
    nics: tuple[Nic, ...]
    disks: tuple[Disk, ...]
    numa_nodes: int = 1
    dimms: int = 0
    tpm: bool = False
    bmc: Bmc | None = None
    boot: Boot = Boot.PXE
    medium: str = ""
    medium_bus: MediumBus = MediumBus.CD


class NicOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mac: Mac | None = None
    model: NicModel = NicModel.VIRTIO


class DiskOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    serial: DiskSerial | None = None
    size_mib: Annotated[int, Meta(ge=1, le=16 * 1024 * 1024)] = 4096
    kind: DiskKind = DiskKind.VIRTIO


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for; whatever is left out is derived. `uuid` null means all-zero.

    Processors and memory are shared out equally to `numa_nodes`, the memory to `dimms` too. `tpm`
    is a TPM 2.0 (needs swtpm). `medium` is the path of an ISO, which the firmware tries first.
    An arm64 machine is always emulated.
    """

    name: Name
    arch: Arch = Arch.AMD64
    firmware: Firmware = Firmware.BIOS
    memory_mib: Annotated[int, Meta(ge=128, le=1024 * 1024)] = 2048
    cpus: Annotated[int, Meta(ge=1, le=64)] = 2
    uuid: Uuid | UnsetType | None = UNSET
    serial: SmbiosText | None = None
    vendor: SmbiosText = "muster"
    product: SmbiosText = "Lab Machine"
    nics: Annotated[tuple[NicOrder, ...], Meta(min_length=1, max_length=8)] = (NicOrder(),)
    disks: Annotated[tuple[DiskOrder, ...], Meta(max_length=64)] = (DiskOrder(),)
    numa_nodes: Annotated[int, Meta(ge=1, le=8)] = 1
    dimms: Annotated[int, Meta(ge=0, le=32)] = 0
    tpm: bool = False
    bmc: Bmc | None = None
    boot: Boot = Boot.PXE
    medium: str = ""
    medium_bus: MediumBus = MediumBus.CD


def derived_uuid(lab: str, machine: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_DNS, f"{machine}.{lab}.muster-lab.invalid")


def derived_mac(lab: str, machine: str, index: int) -> str:
    """A MAC under 52:54:00, the prefix that QEMU guests carry by custom."""
    tail = derived_uuid(lab, f"nic{index}.{machine}").bytes[:3]
    return f"52:54:00:{tail.hex(':')}"


def build(lab: str, order: Order) -> Machine:
    """Raises BadOrder for what no board can have."""
    _refuse_unequal_shares(order)
    if order.boot is Boot.CD:
        raise BadOrder("boot: cd: a medium goes before all else as it is: say pxe or disk")
    if order.arch is Arch.ARM64:
        _refuse_what_arm_lacks(order)
    own = derived_uuid(lab, order.name)
    tag = own.hex[:8].upper()
    return Machine(
        name=order.name,
        arch=order.arch,
        firmware=order.firmware,
        memory_mib=order.memory_mib,
        cpus=order.cpus,
        uuid=str(own) if isinstance(order.uuid, UnsetType) else order.uuid,
        serial=order.serial or f"LAB-{tag}",
        vendor=order.vendor,
        product=order.product,
        nics=tuple(
            Nic(mac=(nic.mac or derived_mac(lab, order.name, index)).lower(), model=nic.model)
            for index, nic in enumerate(order.nics)
        ),
        disks=tuple(
            Disk(serial=disk.serial or f"LAB{tag}D{index}", size_mib=disk.size_mib, kind=disk.kind)
            for index, disk in enumerate(order.disks)
        ),
        numa_nodes=order.numa_nodes,
        dimms=order.dimms,
        tpm=order.tpm,
        bmc=order.bmc,
        boot=order.boot,
        medium=order.medium,
        medium_bus=order.medium_bus,
    )


def _refuse_unequal_shares(order: Order) -> None:
    for name, parts in (("numa_nodes", order.numa_nodes), ("dimms", order.dimms or 1)):
        if order.memory_mib % parts:
            raise BadOrder(
                f"{name}: {order.memory_mib} MiB do not make {parts} equal parts: "
                "give another memory_mib"
            )
    if order.cpus % order.numa_nodes:
        raise BadOrder(
            f"numa_nodes: {order.cpus} CPUs do not make {order.numa_nodes} equal parts: "
            "give another number of cpus"
        )
    if sum(disk.kind is DiskKind.SATA for disk in order.disks) > SATA_PORTS:
        raise BadOrder(f"disks: a board has {SATA_PORTS} SATA ports: make the others scsi or nvme")


def _refuse_what_arm_lacks(order: Order) -> None:
    if order.firmware not in (Firmware.UEFI, Firmware.UEFI_HTTP):
        raise BadOrder(f"firmware: {order.firmware}: an arm64 machine has uefi or uefi-http")
    lacking = {
        "tpm": order.tpm,
        "bmc": order.bmc is not None,
        "medium": bool(order.medium),
        "disks: sata": any(disk.kind is DiskKind.SATA for disk in order.disks),
    }
    for name, wanted in lacking.items():
        if wanted:
            raise BadOrder(f"{name}: an arm64 machine of the lab has none: leave it out")


def parse_order(body: bytes) -> Order:
    """Read a JSON order.

    Raises BadOrder with the field's path, for example
    "Expected `int` >= 128 - at `$.memory_mib`".
    """
    try:
        return msgspec.json.decode(body, type=Order)
    except msgspec.DecodeError as error:
        raise BadOrder(
            f"machine order: {error}; send a JSON object with at least a name, "
            f"and any of: {', '.join(Order.__struct_fields__[1:])}"
        ) from error


def refuse_clashing_macs(machines: list[Machine]) -> None:
    """Two NICs of one MAC on one bridge would steal each other's frames at random."""
    owner: dict[str, str] = {}
    for machine in machines:
        for nic in machine.nics:
            if nic.mac in owner:
                raise BadOrder(
                    f"nics.mac {nic.mac} of {machine.name} is already a NIC of {owner[nic.mac]}: "
                    "give one of them another MAC"
                )
            owner[nic.mac] = machine.name
