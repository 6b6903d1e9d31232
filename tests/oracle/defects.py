"""In what LXD 5.0.2 is known to be wrong, or silent, and how each is told from a defect of ours.

A difference that no entry here explains fails the test. `where` says for which fields an entry
speaks, `when` looks at both values: an entry excuses one kind of wrong answer, not every answer.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.oracle.comparing import ABSENT, Difference, thread_ids


@dataclass(frozen=True)
class Defect:
    """`evidence`: where LXD's code, issue or release notes, or a measurement, shows it."""

    name: str
    where: str
    when: Callable[[Any, Any], bool]
    evidence: str


def absent(_: Any, theirs: Any) -> bool:
    return theirs is ABSENT


def merged(ours: Any, theirs: Any) -> bool:
    """The same threads in fewer cores, each made of whole cores of ours."""
    left, right = [[set(thread_ids(core)) for core in cores] for cores in (ours, theirs)]
    whole = all(any(core <= other for other in right) for core in left)
    return set.union(*left) == set.union(*right) and len(right) < len(left) and whole


ADDED = [
    Defect(
        "added after 5.0.2",
        r"cpu\.sockets\[\]\.(address_sizes|cores\[\]\.(cluster|flags))",
        absent,
        "Incus: API extensions resources_cpu_address_sizes, _cluster, _flags",
    ),
    Defect(
        "added after 5.0.2",
        r"storage\.disks\[\](\.partitions\[\])?\.(mounted|device_fs_uuid|used_by)",
        absent,
        "LXD: API extensions resources_disk_mounted, resources_device_fs_uuid, _disk_used_by",
    ),
    Defect(
        "ours",
        r"storage\.disks\[\]\.rotational",
        absent,
        "muster's own key: rpm cannot say both 'turns' and 'speed unknown'",
    ),
]

DEFECTS = [
    *ADDED,
    Defect(
        "cores that share a number are merged",
        r"cpu\.sockets\[\]\.cores",
        merged,
        "the key is die and core_id; Incus keys on thread_siblings_list since 2026-07 (#2225)",
    ),
    Defect(
        "threads in the order of the alphabet",
        r"cpu\.sockets\[\]\.cores\[\]\.threads\[\]\.thread",
        lambda ours, theirs: isinstance(theirs, int) and ours != theirs,
        "cpu10 comes before cpu2, so their places in the core swap; Incus: numeric since 2024-07",
    ),
    Defect(
        "a core's speed is that of the alphabet's first thread",
        r"cpu\.sockets\[\]\.(cores\[\]\.)?frequency",
        lambda ours, theirs: 0 not in (ours, theirs) and ABSENT not in (ours, theirs),
        "follows from the two above: other thread, other cores in the mean",
    ),
    Defect(
        "sockets above the first have no name",
        r"cpu\.sockets\[\]\.(name|vendor)",
        absent,
        "cpuinfo is looked up with the socket's number; LXD 59e7e31992 (2024-12). On s390x the"
        " keys come before any 'processor' line: LXD #18322 (2026-05)",
    ),
    Defect(
        "shared memory counts as free",
        r"memory\.used",
        lambda ours, theirs: isinstance(theirs, int) and 0 <= theirs != ours,
        "total - MemFree - Cached - Buffers instead of MemAvailable; LXD #18120",
    ),
    Defect(
        "no block size of a disk that cannot be opened",
        r"storage\.disks\[\]\.block_size",
        lambda ours, theirs: theirs == 0 and ours in (512, 4096),
        "ioctl BLKPBSZGET on /dev/X, 0 if that fails; sysfs has queue/physical_block_size",
    ),
    Defect(
        "rpm 1",
        r"storage\.disks\[\]\.rpm",
        lambda ours, theirs: theirs == 1 and ours == 0,
        "queue/rotational taken for a speed; LXD #8721",
    ),
    Defect(
        "disk facts only from udev",
        r"storage\.disks\[\]\.(serial|wwn|model|firmware_version|device_path|pci_address)",
        absent,
        "sysfs has serial and device/wwid, measured in tests/machines/qemu-rich-guest",
    ),
    Defect(
        "a virtio card is called by its place on the virtio bus",
        r"network\.cards\[\]\.product_id",
        lambda ours, theirs: theirs == "0001" and ours in ("1000", "1041"),
        "net/X/device is virtioN, whose `device` is the virtio device id; measured",
    ),
    Defect(
        "so it has no name in pci.ids",
        r"network\.cards\[\]\.product",
        absent,
        "measured: 1af4:0001 is not in pci.ids",
    ),
]

RECORDINGS = [
    Defect(
        "the daemon's own container",
        r"system\.type",
        lambda ours, theirs: ours != theirs,
        "LXD asks systemd-detect-virt, which looks at the machine and not at the recording",
    ),
    Defect(
        "a recording whose nodes have no numastat",
        r"memory\.nodes",
        lambda ours, theirs: theirs is ABSENT and not any(node["total"] for node in ours),
        "LXD takes only node folders with numastat; these have no meminfo either",
    ),
    Defect(
        "a recording whose nodes have no numastat",
        r"cpu\.sockets\[\]\.cores\[\]\.threads\[\]\.numa_node",
        lambda ours, theirs: theirs == 0 and ours > 0,
        "LXD takes only cpuN/nodeM links with numastat behind them",
    ),
]


def unexplained(found: list[Difference], known: list[Defect]) -> list[str]:
    """The differences that no known defect explains, as text."""
    return [str(one) for one in found if not any(_explains(defect, one) for defect in known)]


def _explains(defect: Defect, found: Difference) -> bool:
    return bool(re.fullmatch(defect.where, found.where)) and defect.when(found.ours, found.theirs)
