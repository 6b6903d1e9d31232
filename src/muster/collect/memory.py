# SPDX-License-Identifier: Apache-2.0
"""How much memory, in all and a NUMA node, from the kernel's memory blocks and meminfo."""

import re

from muster.collect.reading import Reader, Root
from muster.wire.hardware import Memory, MemoryNode

_BLOCKS = "/sys/devices/system/memory"
_NODES = "/sys/devices/system/node"
_BLOCK = re.compile(r"memory[0-9]{1,9}")
_AMOUNT = re.compile(r"([0-9]{1,15})(?: kB)?")
_NODE_PREFIX = re.compile(r"Node +[0-9]+ +")


def probe(root: Root) -> Memory:
    """The memory section, in bytes; `total` is what is installed, where the kernel has blocks."""
    reader = Reader(root)
    size = reader.count(f"{_BLOCKS}/block_size_bytes", 16)
    online = _online_blocks(reader)
    about = _meminfo(reader, "/proc/meminfo")
    page = about.get("Hugepagesize", 0)
    pages, free = about.get("HugePages_Total", 0), about.get("HugePages_Free", 0)
    total = size * len(online) or about.get("MemTotal", 0)
    return Memory(
        errors=reader.complaints,
        nodes=[
            _read_node(reader, name, size, online, page)
            for name in reader.names(_NODES)
            if re.fullmatch(r"node[0-9]{1,9}", name)
        ],
        hugepages_total=pages * page,
        hugepages_used=max(0, pages - free) * page,
        hugepages_size=page,
        used=max(0, total - _available(about)),
        total=total,
    )


def _read_node(reader: Reader, name: str, size: int, online: set[str], page: int) -> MemoryNode:
    folder = f"{_NODES}/{name}"
    about = _meminfo(reader, f"{folder}/meminfo")
    pages, free = about.get("HugePages_Total", 0), about.get("HugePages_Free", 0)
    blocks = online.intersection(reader.names(folder))
    return MemoryNode(
        numa_node=int(name[4:]),
        hugepages_used=max(0, pages - free) * page,
        hugepages_total=pages * page,
        used=about.get("MemUsed", 0),
        total=size * len(blocks) or about.get("MemTotal", 0),
    )


def _online_blocks(reader: Reader) -> set[str]:
    blocks = filter(_BLOCK.fullmatch, reader.names(_BLOCKS))
    return {name for name in blocks if reader.number(f"{_BLOCKS}/{name}/online") == 1}


def _available(about: dict[str, int]) -> int:
    """MemAvailable counts shared memory as used, free + cached does not (LXD #18120)."""
    if "MemAvailable" in about:
        return about["MemAvailable"]
    return sum(about.get(key, 0) for key in ("MemFree", "Buffers", "Cached"))


def _meminfo(reader: Reader, path: str) -> dict[str, int]:
    """Bytes (or counts, where the kernel gives no unit) by name, of the machine or of a node."""
    found: dict[str, int] = {}
    for key, value in reader.colon_table(path).items():
        match = _AMOUNT.fullmatch(value)
        if match is None:
            reader.complain(path, f"{key[:40]} is not an amount: {value[:40]!r}")
        else:
            name = _NODE_PREFIX.sub("", key, count=1)
            found[name] = int(match[1]) * (1024 if value.endswith("kB") else 1)
    return found
