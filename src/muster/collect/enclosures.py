# SPDX-License-Identifier: Apache-2.0
"""Drive enclosures and their slots, as the kernel's ses driver shows them."""

from muster.collect.reading import Reader, Root
from muster.wire.peripherals import Enclosure, Enclosures, EnclosureSlot

_ENCLOSURES = "/sys/class/enclosure"


def probe(root: Root) -> Enclosures:
    """Every enclosure; a slot is a folder in it that has a status."""
    reader = Reader(root)
    found = [_read_enclosure(reader, name) for name in reader.names(_ENCLOSURES)]
    return Enclosures(enclosures=found, errors=reader.complaints)


def _read_enclosure(reader: Reader, name: str) -> Enclosure:
    folder = f"{_ENCLOSURES}/{name}"
    return Enclosure(
        device=name,
        id=reader.text(f"{folder}/id"),
        vendor=reader.text(f"{folder}/device/vendor"),
        model=reader.text(f"{folder}/device/model"),
        slots=[
            _read_slot(reader, f"{folder}/{slot}", slot)
            for slot in reader.names(folder)
            if reader.exists(f"{folder}/{slot}/status")
        ],
    )


def _read_slot(reader: Reader, folder: str, name: str) -> EnclosureSlot:
    number = reader.number(f"{folder}/slot")
    power = reader.text(f"{folder}/power_status")
    return EnclosureSlot(
        name=name,
        slot=number if number is not None and number >= 0 else None,
        type=reader.text(f"{folder}/type"),
        status=reader.text(f"{folder}/status"),
        disk=next(iter(reader.names(f"{folder}/device/block")), ""),
        fault=reader.count(f"{folder}/fault") == 1,
        locate=reader.count(f"{folder}/locate") == 1,
        powered=power == "on" if power in ("on", "off") else None,
    )
