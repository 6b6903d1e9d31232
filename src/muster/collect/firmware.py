# SPDX-License-Identifier: Apache-2.0
"""How the machine was started: UEFI or BIOS, Secure Boot, boot entries, firmware versions."""

from muster.collect.reading import Reader, Root
from muster.collect.smbios import Structure, structures, version
from muster.wire.slots import BootFirmware

_EFI = "/sys/firmware/efi"
_DMI = "/sys/class/dmi/id"
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"  # UEFI 2.10, 3.3: EFI_GLOBAL_VARIABLE
_ATTRIBUTES_SIZE = 4  # efivarfs puts them before the value.
_BIOS = 0
_ROM_UNIT = 64 << 10


def probe(root: Root) -> BootFirmware:
    """The boot_firmware section of `extra`."""
    reader = Reader(root)
    uefi = reader.exists(_EFI)
    bios = next((item for item in structures(reader) if item.type == _BIOS), Structure(b"\0", []))
    return BootFirmware(
        mode="uefi" if uefi else "bios" if reader.exists(_DMI) else "",
        secure_boot=_flag(reader, "SecureBoot"),
        setup_mode=_flag(reader, "SetupMode"),
        boot_entry=_entry(reader, _variable(reader, "BootCurrent")[:2]),
        boot_order=_read_order(reader),
        vendor=bios.text(0x04) or reader.text(f"{_DMI}/bios_vendor"),
        version=bios.text(0x05) or reader.text(f"{_DMI}/bios_version"),
        date=bios.text(0x08) or reader.text(f"{_DMI}/bios_date"),
        release=_release(bios, 0x14),
        controller_release=_release(bios, 0x16),
        rom_size=_rom_size(bios),
        smbios_version=version(reader),
        chassis_asset_tag=reader.text(f"{_DMI}/chassis_asset_tag"),
        board_asset_tag=reader.text(f"{_DMI}/board_asset_tag"),
        errors=reader.complaints,
    )


def _release(bios: Structure, place: int) -> str:
    """DSP0134 7.1: FFh in both bytes is "not supported"."""
    major, minor = bios.number(place), bios.number(place + 1)
    known = bios.has(place + 1) and (major, minor) != (0xFF, 0xFF)
    return f"{major}.{minor}" if known else ""


def _rom_size(bios: Structure) -> int:
    """DSP0134 7.1: units of 64 KiB; FFh sends to the field for 16 MiB and more."""
    if not bios.has(0x09):
        return 0
    size, extended = bios.number(0x09), bios.number(0x18, 2)
    if size == 0xFF and bios.has(0x18, 2):
        return (extended & 0x3FFF) << (30 if extended >> 14 == 1 else 20)
    return (size + 1) * _ROM_UNIT


def _variable(reader: Reader, name: str) -> bytes:
    raw = reader.raw(f"{_EFI}/efivars/{name}-{_GLOBAL}", 65536) or b""
    return raw[_ATTRIBUTES_SIZE:]


def _flag(reader: Reader, name: str) -> bool | None:
    value = _variable(reader, name)
    return value[0] == 1 if value else None


def _read_order(reader: Reader) -> list[str]:
    order = _variable(reader, "BootOrder")
    return [_entry(reader, order[place : place + 2]) for place in range(0, len(order) - 1, 2)]


def _entry(reader: Reader, number: bytes) -> str:
    """ "0003 UEFI PXEv4": UEFI 2.10, 3.1.3: attributes, length of the path, text in UTF-16."""
    if len(number) < 2:
        return ""
    name = f"{int.from_bytes(number, 'little'):04X}"
    option = _variable(reader, f"Boot{name}")[6:].decode("utf-16-le", errors="replace")
    text = "".join(c for c in option.partition("\0")[0] if c.isprintable())
    return f"{name} {text}".strip()
