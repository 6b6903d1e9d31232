# SPDX-License-Identifier: Apache-2.0
"""Power supplies, as SMBIOS type 39 lists them (many servers leave this to their BMC)."""

from muster.collect.reading import Reader, Root
from muster.collect.smbios import Structure, structures
from muster.wire.slots import PowerSupplies, PowerSupply

_POWER_SUPPLY = 39
_UNKNOWN_POWER = 0x8000
_HOT_REPLACEABLE, _PRESENT, _UNPLUGGED = 1 << 0, 1 << 1, 1 << 2
# DSP0134 7.40.1: bits 7 to 9 of the characteristics, and bits 10 to 13.
_STATUS = "|Other||OK|Non-critical|Critical||".split("|")
_TYPES = "|Other||Linear|Switching|Battery|UPS|Converter|Regulator|||||||".split("|")


def probe(root: Root) -> PowerSupplies:
    """Every bay that SMBIOS knows, empty ones too."""
    reader = Reader(root)
    found = [_supply(item) for item in structures(reader) if item.type == _POWER_SUPPLY]
    return PowerSupplies(supplies=found, errors=reader.complaints)


def _supply(item: Structure) -> PowerSupply:
    flags = item.number(0x0E, 2)
    power = item.number(0x0C, 2)
    return PowerSupply(
        slot=item.text(0x05),
        present=bool(flags & _PRESENT),
        unplugged=bool(flags & _UNPLUGGED),
        hot_replaceable=bool(flags & _HOT_REPLACEABLE),
        status=_STATUS[flags >> 7 & 0x07],
        type=_TYPES[flags >> 10 & 0x0F],
        name=item.text(0x06),
        manufacturer=item.text(0x07),
        part=item.text(0x0A),
        serial=item.text(0x08),
        revision=item.text(0x0B),
        asset_tag=item.text(0x09),
        power=0 if power == _UNKNOWN_POWER else power,
    )
