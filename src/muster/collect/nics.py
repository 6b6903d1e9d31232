# SPDX-License-Identifier: Apache-2.0
"""Driver, firmware and optics of every network interface, as its driver tells."""

import struct

from muster.collect.nicdriver import Driver, drivers
from muster.collect.optics import read_optics
from muster.collect.reading import Reader, Root
from muster.wire.peripherals import NicDriver, Nics, Optics

_MODULE_INFO, _MODULE_EEPROM = 0x42, 0x43
_MEMORY_LIMIT = 640  # ETH_MODULE_SFF_8436_MAX_LEN; SFF-8472 has 512.
_CHUNK = 128  # Drivers refuse a read over the end of a page.


def probe(root: Root) -> Nics:
    """The nics section of `extra`; nothing where `root` is a recorded tree."""
    reader = Reader(root)
    found = [_read_interface(driver) for driver in drivers(reader)]
    return Nics(interfaces=found, errors=reader.complaints)


def _read_interface(driver: Driver) -> NicDriver:
    told = driver.information()
    told.optics = _read_module(driver)
    return told


def _read_module(driver: Driver) -> Optics | None:
    """None without a module, as every port for twisted pair is."""
    answer = driver.ask(struct.pack("=I", _MODULE_INFO))
    if not answer:
        return None
    (size,) = struct.unpack_from("=8xI", answer)
    memory = b""
    while len(memory) < min(size, _MEMORY_LIMIT):
        question = struct.pack("=IIII", _MODULE_EEPROM, 0, len(memory), _CHUNK)
        answer = driver.ask(question)
        if not answer:
            break
        memory += answer[16 : 16 + _CHUNK]
    return read_optics(memory)
