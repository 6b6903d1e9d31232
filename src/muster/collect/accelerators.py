# SPDX-License-Identifier: Apache-2.0
"""Processing accelerators, PCI class 0x12: NPUs, inference cards, which LXD never lists."""

from muster.collect.buses import PCI, Names, describe
from muster.collect.reading import Reader, Root
from muster.wire.peripherals import Accelerator, Accelerators

_ACCELERATOR_CLASS = "0x12"


def probe(root: Root) -> Accelerators:
    """Every function of the class; `device` is its node where a driver made one (accel0)."""
    reader = Reader(root)
    names = Names(reader)
    devices = []
    for address in reader.names(PCI):
        folder = f"{PCI}/{address}"
        if reader.text(f"{folder}/class").startswith(_ACCELERATOR_CLASS):
            device = Accelerator(address, device=next(iter(reader.names(f"{folder}/accel")), ""))
            describe(names, reader, device, folder)
            devices.append(device)
    return Accelerators(devices=devices, errors=reader.complaints)
