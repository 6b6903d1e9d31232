# SPDX-License-Identifier: Apache-2.0
"""Sockets, caches, cores and threads, from /sys/devices/system/cpu and /proc/cpuinfo.

A core is told by the list of its threads, not by its number: core_id repeats on s390x,
big.LITTLE and RISC-V, where LXD 5.0.2 merges 64 cores into 4.
"""

import re

from muster.collect.reading import FILE_LIMIT, Reader, Root
from muster.collect.smbios import structures
from muster.wire.hardware import AddressSizes, Cache, Core, Cpu, Socket, Thread
from muster.wire.shape import dataclass, field

_CPUS = "/sys/devices/system/cpu"
_NODES = "/sys/devices/system/node"
# DSP0134 7.5.
_PROCESSOR, _MANUFACTURER, _VERSION = 4, 0x07, 0x10
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_CACHE_SIZE = re.compile(r"([0-9]{1,12})([KMG]?)")
_ADDRESS_SIZES = re.compile(r"([0-9]{1,4}) bits physical, ([0-9]{1,4}) bits virtual")
_S390_PROCESSOR = re.compile(r"processor ([0-9]{1,9})")
_Info = dict[str, str]


@dataclass
class _Place:
    """Where one logical CPU sits."""

    cpu: int
    socket: int
    core: Core
    siblings: str
    thread: Thread


@dataclass
class _Package:
    """What gathers for one socket; cores by the identity of their threads."""

    first: int
    cores: dict[object, Core] = field(default_factory=dict)


def probe(root: Root) -> Cpu:
    """The cpu section; `total` counts threads that have a topology."""
    reader = Reader(root)
    infos = _read_cpuinfo(reader)
    places = _read_places(reader)
    if not any(info.get("model name") or info.get("cpu") for info in infos.values()):
        _name_by_smbios(reader, infos, [place.cpu for place in places])
    packages: dict[int, _Package] = {}
    for place in places:
        package = packages.setdefault(place.socket, _Package(place.cpu))
        # The two halves of an AMD Bulldozer module are siblings, and cores of their own number.
        home = place.siblings or (place.core.die, place.core.cluster)
        identity = (home, place.core.core)
        core = package.cores.setdefault(identity, place.core)
        if core is place.core:
            _describe_core(reader, core, place.cpu, _info_of(infos, place.cpu))
        place.thread.thread = len(core.threads)
        core.threads.append(place.thread)
    return Cpu(
        errors=reader.complaints,
        architecture=reader.architecture(),
        sockets=[_socket(reader, number, packages[number], infos) for number in sorted(packages)],
        total=len(places),
    )


def _name_by_smbios(reader: Reader, infos: dict[int, _Info], cpus: list[int]) -> None:
    """ARM's cpuinfo has numbers only; SMBIOS type 4 has maker and name (LXD does the same)."""
    slots = (item for item in structures(reader) if item.type == _PROCESSOR)
    slot = next((item for item in slots if item.text(_VERSION)), None)
    if slot:
        for cpu in cpus:
            info = infos.setdefault(cpu, {})
            info["model name"] = slot.text(_VERSION)
            info.setdefault("vendor_id", slot.text(_MANUFACTURER))


def _read_places(reader: Reader) -> list[_Place]:
    isolated = reader.cpu_list(f"{_CPUS}/isolated")
    nodes = [
        (int(name[4:]), reader.cpu_list(f"{_NODES}/{name}/cpulist"))
        for name in reader.names(_NODES)
        if re.fullmatch(r"node[0-9]{1,9}", name)
    ]
    return [
        _read_place(reader, int(name[3:]), nodes, isolated)
        for name in reader.names(_CPUS)
        if re.fullmatch(r"cpu[0-9]{1,9}", name) and reader.exists(f"{_CPUS}/{name}/topology")
    ]


def _read_place(
    reader: Reader, cpu: int, nodes: list[tuple[int, list[range]]], isolated: list[range]
) -> _Place:
    folder = f"{_CPUS}/cpu{cpu}"
    topology = f"{folder}/topology"
    siblings = reader.text(f"{topology}/core_cpus_list")
    thread = Thread(
        id=cpu,
        numa_node=_node_of(reader, cpu, nodes),
        online=reader.number(f"{folder}/online") != 0,
        isolated=_holds(isolated, cpu),
    )
    core = Core(
        core=reader.count(f"{topology}/core_id"),
        die=_identifier(reader, f"{topology}/die_id"),
        cluster=_identifier(reader, f"{topology}/cluster_id"),
    )
    socket = reader.count(f"{topology}/physical_package_id")
    siblings = siblings or reader.text(f"{topology}/thread_siblings_list")
    return _Place(cpu, socket, core, siblings, thread)


def _node_of(reader: Reader, cpu: int, nodes: list[tuple[int, list[range]]]) -> int:
    """Firmware has been seen to give every CPU to every node; then the CPU's own link decides."""
    told = [node for node, cpus in nodes if _holds(cpus, cpu)]
    if len(told) > 1:
        told.sort(key=lambda node: not reader.exists(f"{_CPUS}/cpu{cpu}/node{node}"))
    return told[0] if told else 0


def _identifier(reader: Reader, path: str) -> int:
    """Firmware without dies or clusters says -1, or 65535 where the kernel kept 16 bits of it."""
    number = reader.count(path)
    return 0 if number == 65535 else number


def _holds(ranges: list[range], cpu: int) -> bool:
    return any(cpu in part for part in ranges)


def _describe_core(reader: Reader, core: Core, cpu: int, info: _Info) -> None:
    core.frequency = _megahertz(reader, cpu, "scaling_cur_freq")
    core.flags = info.get("flags", info.get("Features", info.get("features", ""))).split()


def _socket(reader: Reader, number: int, package: _Package, infos: dict[int, _Info]) -> Socket:
    cpu = package.first
    info = _info_of(infos, cpu)
    cores = list(package.cores.values())
    speeds = [core.frequency for core in cores if core.frequency]
    return Socket(
        name=info.get("model name") or info.get("cpu", ""),
        vendor=info.get("vendor_id", ""),
        socket=number,
        cache=_read_caches(reader, cpu),
        cores=cores,
        frequency=sum(speeds) // len(speeds) if speeds else 0,
        frequency_minimum=_megahertz(reader, cpu, "cpuinfo_min_freq", "scaling_min_freq"),
        frequency_turbo=_megahertz(reader, cpu, "cpuinfo_max_freq", "scaling_max_freq"),
        address_sizes=_address_sizes(info),
    )


def _megahertz(reader: Reader, cpu: int, *names: str) -> int:
    """The first of cpufreq's attributes that says something; sysfs has kHz."""
    speeds = (reader.count(f"{_CPUS}/cpu{cpu}/cpufreq/{name}") for name in names)
    return next((speed // 1000 for speed in speeds if speed), 0)


def _read_caches(reader: Reader, cpu: int) -> list[Cache]:
    folder = f"{_CPUS}/cpu{cpu}/cache"
    return [
        _read_cache(reader, f"{folder}/{name}")
        for name in reader.names(folder)
        if name.startswith("index")
    ]


def _read_cache(reader: Reader, folder: str) -> Cache:
    size = reader.text(f"{folder}/size")
    match = _CACHE_SIZE.fullmatch(size)
    if size and match is None:
        reader.complain(f"{folder}/size", f"is not a size: {size[:40]!r}")
    return Cache(
        level=reader.count(f"{folder}/level"),
        type=reader.text(f"{folder}/type") or "Unknown",
        size=int(match[1]) * _UNITS.get(match[2], 1) if match else 0,
    )


def _address_sizes(info: _Info) -> AddressSizes | None:
    match = _ADDRESS_SIZES.fullmatch(info.get("address sizes", ""))
    return AddressSizes(int(match[1]), int(match[2])) if match else None


def _info_of(infos: dict[int, _Info], cpu: int) -> _Info:
    """By the CPU's own number; an offline CPU has no entry, and its neighbours speak for it."""
    return infos.get(cpu) or next(iter(infos.values()), {})


def _read_cpuinfo(reader: Reader) -> dict[int, _Info]:
    """/proc/cpuinfo by processor number, each with what the file says of all.

    Blocks are separated by blank lines. s390x instead has one line for each processor
    ("processor 0: version = FF,  identification = ...") below the common keys.
    """
    infos: dict[int, _Info] = {}
    common: _Info = {}
    for block in reader.text("/proc/cpuinfo", FILE_LIMIT).split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        info = {key.strip(): value.strip() for key, colon, value in pairs if colon}
        number = info.get("processor", "")
        if number.isascii() and number.isdecimal() and len(number) < 10:
            infos[int(number)] = info
        else:
            common.update(info)
    for key in common:
        if match := _S390_PROCESSOR.fullmatch(key):
            infos.setdefault(int(match[1]), {})
    for info in infos.values():
        for key, value in common.items():
            info.setdefault(key, value)
    return infos
