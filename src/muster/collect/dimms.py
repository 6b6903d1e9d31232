# SPDX-License-Identifier: Apache-2.0
"""Memory modules slot by slot, from raw SMBIOS; their errors, from the kernel's EDAC."""

import re

from muster.collect.reading import Reader, Root
from muster.collect.smbios import Structure, named, structures
from muster.wire.slots import Dimm, Dimms, EdacDimm, MemoryArray

_EDAC = "/sys/devices/system/edac/mc"
_ARRAY, _DEVICE = 16, 17
_KIB, _MIB = 1 << 10, 1 << 20

# DSP0134 3.7, tables 72 to 79. "Unknown" is said by an empty text.
_LOCATIONS = (
    "Other||System Board Or Motherboard|ISA Add-on Card|EISA Add-on Card|PCI Add-on Card|"
    "MCA Add-on Card|PCMCIA Add-on Card|Proprietary Add-on Card|NuBus"
).split("|")
_USES = ("Other||System Memory|Video Memory|Flash Memory|Non-volatile RAM|Cache Memory").split("|")
_CORRECTIONS = "Other||None|Parity|Single-bit ECC|Multi-bit ECC|CRC".split("|")
_FORM_FACTORS = (
    "Other||SIMM|SIP|Chip|DIP|ZIP|Proprietary Card|DIMM|TSOP|Row Of Chips|RIMM|SODIMM|SRIMM|"
    "FB-DIMM|Die|CAMM"
).split("|")
_TYPES = (
    "Other||DRAM|EDRAM|VRAM|SRAM|RAM|ROM|Flash|EEPROM|FEPROM|EPROM|CDRAM|3DRAM|SDRAM|SGRAM|RDRAM|"
    "DDR|DDR2|DDR2 FB-DIMM||||DDR3|FBD2|DDR4|LPDDR|LPDDR2|LPDDR3|LPDDR4|"
    "Logical non-volatile device|HBM|HBM2|DDR5|LPDDR5|HBM3"
).split("|")
_DETAILS = (
    "Other|Unknown|Fast-paged|Static Column|Pseudo-static|RAMBus|Synchronous|CMOS|EDO|Window DRAM|"
    "Cache DRAM|Non-Volatile|Registered (Buffered)|Unbuffered (Unregistered)|LRDIMM"
).split("|")
_TECHNOLOGIES = (
    "Other||DRAM|NVDIMM-N|NVDIMM-F|NVDIMM-P|Intel Optane DC persistent memory|MRDIMM"
).split("|")


def probe(root: Root) -> Dimms:
    """Every slot that SMBIOS knows, empty ones too."""
    reader = Reader(root)
    found = structures(reader)
    return Dimms(
        errors=reader.complaints,
        arrays=[_array(item) for item in found if item.type == _ARRAY],
        slots=[_dimm(item) for item in found if item.type == _DEVICE],
        errors_counted=_read_edac(reader),
    )


def _array(item: Structure) -> MemoryArray:
    kibibytes = item.number(0x07, 4)
    return MemoryArray(
        location=item.word(0x04, _LOCATIONS),
        use=item.word(0x05, _USES),
        error_correction=item.word(0x06, _CORRECTIONS),
        maximum_size=item.number(0x0F, 8) if kibibytes == 0x80000000 else kibibytes * _KIB,
        slots=item.number(0x0D, 2),
    )


def _dimm(item: Structure) -> Dimm:
    total, data = _known(item.number(0x08, 2)), _known(item.number(0x0A, 2))
    size = _size(item)
    return Dimm(
        slot=item.text(0x10),
        bank=item.text(0x11),
        size=size,
        type=item.word(0x12, _TYPES),
        type_detail=named(item.number(0x13, 2), _DETAILS) if size != 0 else [],
        form_factor=item.word(0x0E, _FORM_FACTORS),
        technology=item.word(0x28, _TECHNOLOGIES),
        speed=_speed(item, 0x15, 0x54),
        configured_speed=_speed(item, 0x20, 0x58),
        manufacturer=item.text(0x17),
        part=item.text(0x1A),
        serial=item.text(0x18),
        asset_tag=item.text(0x19),
        rank=item.number(0x1B) & 0x0F,
        total_width=total,
        data_width=data,
        ecc=total > data if total and data else None,
        voltage=item.number(0x26, 2),
        firmware_version=item.text(0x2B),
    )


def _known(width: int) -> int:
    return 0 if width == 0xFFFF else width


def _size(item: Structure) -> int | None:
    """DSP0134 7.18.5: MiB, or KiB with bit 15; 7FFFh sends to the field for 32 GiB and more."""
    size = item.number(0x0C, 2)
    if size == 0xFFFF:
        return None
    if size == 0x7FFF:
        return (item.number(0x1C, 4) & 0x7FFFFFFF) * _MIB
    return (size & 0x7FFF) * (_KIB if size & 0x8000 else _MIB)


def _speed(item: Structure, place: int, extended: int) -> int:
    speed = item.number(place, 2)
    return item.number(extended, 4) & 0x7FFFFFFF if speed == 0xFFFF else speed


def _read_edac(reader: Reader) -> list[EdacDimm]:
    """One folder a module (dimm3) or, with old drivers, a rank (rank3)."""
    return [
        _read_counts(reader, f"{_EDAC}/{controller}/{name}", f"{controller}/{name}")
        for controller in reader.names(_EDAC)
        if re.fullmatch(r"mc[0-9]{1,4}", controller)
        for name in reader.names(f"{_EDAC}/{controller}")
        if re.fullmatch(r"(dimm|rank)[0-9]{1,4}", name)
    ]


def _read_counts(reader: Reader, folder: str, name: str) -> EdacDimm:
    return EdacDimm(
        id=name,
        label=reader.text(f"{folder}/dimm_label"),
        location=reader.text(f"{folder}/dimm_location"),
        size=reader.amount(f"{folder}/size", _MIB),
        corrected=reader.count(f"{folder}/dimm_ce_count"),
        uncorrected=reader.count(f"{folder}/dimm_ue_count"),
    )
