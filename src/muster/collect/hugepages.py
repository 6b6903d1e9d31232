# SPDX-License-Identifier: Apache-2.0
"""Huge pages of every size, of the machine and of each NUMA node."""

import re

from muster.collect.reading import Reader, Root
from muster.wire.extra import HugePagePool, HugePages

_MACHINE = "/sys/kernel/mm/hugepages"
_NODES = "/sys/devices/system/node"
_POOL = re.compile(r"hugepages-([0-9]{1,12})kB")


def probe(root: Root) -> HugePages:
    """The machine's pools first, then those of each node, which lack reservations."""
    reader = Reader(root)
    pools = _read_pools(reader, _MACHINE, None)
    for name in reader.names(_NODES):
        if re.fullmatch(r"node[0-9]{1,9}", name):
            pools += _read_pools(reader, f"{_NODES}/{name}/hugepages", int(name[4:]))
    return HugePages(pools=pools, errors=reader.complaints)


def _read_pools(reader: Reader, folder: str, node: int | None) -> list[HugePagePool]:
    matches = filter(None, map(_POOL.fullmatch, reader.names(folder)))
    return [
        HugePagePool(
            size=int(match[1]) * 1024,
            total=reader.count(f"{folder}/{match[0]}/nr_hugepages"),
            free=reader.count(f"{folder}/{match[0]}/free_hugepages"),
            reserved=reader.count(f"{folder}/{match[0]}/resv_hugepages"),
            surplus=reader.count(f"{folder}/{match[0]}/surplus_hugepages"),
            numa_node=node,
        )
        for match in matches
    ]
