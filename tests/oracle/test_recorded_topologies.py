"""Machines that others recorded: we read every one, and as LXD does where it can."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.oracle import topologies
from tests.oracle.comparing import Difference, differences
from tests.oracle.conftest import lacking
from tests.oracle.daemon import Daemon, NoAnswer
from tests.oracle.defects import DEFECTS, RECORDINGS, unexplained

from muster.collect.document import document
from muster.wire.resources import read_document, summary

SECTIONS = ("cpu", "memory", "pci", "system")
PCI_IDS = Path("/usr/share/misc/pci.ids")
READ_LIMIT_S = 10
# hwloc 2.9 and util-linux 2.38 have 50 and 20; other releases have some more or less.
AT_LEAST = {"hwloc": 44, "util-linux": 18}
# Of Debian 12's 70, LXD 5.0.2 answers 37; a blank line in a node's meminfo makes it panic.
ANSWERED_AT_LEAST = 30


@dataclass
class Reading:
    """One recorded machine: which probes failed on it, and how we differ from LXD if it reads it.

    `differing` is None where LXD gave no answer, or was not asked.
    """

    failed: dict[str, Any]
    differing: list[Difference] | None


@pytest.fixture(scope="session")
def readings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Reading]:
    """Every machine by its archive's name; each is unpacked once, as that takes the time."""
    archives = topologies.fetch()
    for package, least in AT_LEAST.items():
        assert sum(archive.parent.name == package for archive in archives) >= least
    lxd = None if lacking() else request.getfixturevalue("lxd")
    folder = tmp_path_factory.mktemp("machines")
    (folder / "empty").mkdir()
    found = {}
    for archive in archives:
        with unpacked(archive, folder) as root:
            ours = read(root)
            theirs = theirs_of(lxd, root, folder / "empty") if lxd else None
        probes = ours["extra"]["probes"]
        failed = {name: probe["errors"] for name, probe in probes.items() if not probe["ok"]}
        found[archive.name] = Reading(failed, _differing(ours["resources"], theirs))
    return found


def _differing(ours: dict[str, Any], theirs: dict[str, Any] | None) -> list[Difference] | None:
    if theirs is None:
        return None
    return [one for name in SECTIONS for one in differences(ours[name], theirs[name], name)]


@contextmanager
def unpacked(archive: Path, folder: Path) -> Iterator[Path]:
    inside = folder / archive.name
    root = topologies.unpack(archive, inside)
    # The two readers must hear the same of what is not in the recording.
    kernel, names = root / "proc/sys/kernel", root / "usr/share/misc"
    for made in (kernel, names):
        made.mkdir(parents=True, exist_ok=True)
    (kernel / "arch").write_text(os.uname().machine)
    (kernel / "osrelease").write_text(os.uname().release)
    if PCI_IDS.exists():
        shutil.copy(PCI_IDS, names)
    for name in ("cpuinfo", "meminfo"):
        (root / "proc" / name).touch()
    yield root
    shutil.rmtree(inside)


def read(root: Path) -> dict[str, Any]:
    started = time.monotonic()
    found = json.loads(json.dumps(document(root)))
    assert time.monotonic() - started < READ_LIMIT_S
    summary(read_document(json.dumps(found).encode()))
    return found


def theirs_of(lxd: Daemon, root: Path, empty: Path) -> dict[str, Any] | None:
    """What LXD says with this tree in place of the machine's own files, if it says anything."""
    places = {f"/proc/{name}": root / "proc" / name for name in ("cpuinfo", "meminfo")}
    places |= {"/sys": root / "sys", "/run/udev": empty, "/dev/disk": empty}
    try:
        with lxd.mounted(places):
            return lxd.resources()
    except NoAnswer:
        return None


@pytest.mark.e2e
def test_every_recorded_machine_is_read(readings: dict[str, Reading]) -> None:
    assert {name: one.failed for name, one in readings.items() if one.failed} == {}


@pytest.mark.e2e
@pytest.mark.usefixtures("lxd")
def test_what_lxd_can_read_it_reads_as_we_do(readings: dict[str, Reading]) -> None:
    compared = {name: one.differing for name, one in readings.items() if one.differing is not None}
    wrong = {name: unexplained(found, DEFECTS + RECORDINGS) for name, found in compared.items()}
    assert {name: left for name, left in wrong.items() if left} == {}
    assert len(compared) >= ANSWERED_AT_LEAST
