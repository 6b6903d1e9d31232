"""Machines that others recorded: we read every one, and as LXD does where it can."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.oracle import topologies
from tests.oracle.comparing import differences
from tests.oracle.daemon import Daemon, NoAnswer
from tests.oracle.defects import DEFECTS, RECORDINGS, unexplained

from muster.collect.document import document
from muster.wire.resources import read_document, summary

SECTIONS = ("cpu", "memory", "pci", "system")
READ_LIMIT_S = 10
# hwloc 2.9 and util-linux 2.38 have 50 and 20; other releases have some more or less.
AT_LEAST = {"hwloc": 44, "util-linux": 18}
# In how many of Debian 12's LXD finds an answer at all; it panics on a blank line in meminfo.
ANSWERED_AT_LEAST = 30


@pytest.fixture(scope="session")
def archives() -> list[Path]:
    found = topologies.fetch()
    for package, least in AT_LEAST.items():
        assert sum(archive.parent.name == package for archive in found) >= least
    return found


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
    shutil.copy("/usr/share/misc/pci.ids", names)
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


@pytest.mark.slow
def test_every_recorded_machine_is_read(archives: list[Path], tmp_path: Path) -> None:
    failed = {}
    for archive in archives:
        with unpacked(archive, tmp_path) as root:
            probes = read(root)["extra"]["probes"]
        wrong = {name: probe["errors"] for name, probe in probes.items() if not probe["ok"]}
        failed |= {archive.name: wrong} if wrong else {}
    assert failed == {}


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
def test_what_lxd_can_read_it_reads_as_we_do(
    lxd: Daemon, archives: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    compared, wrong = 0, {}
    for archive in archives:
        with unpacked(archive, tmp_path) as root:
            theirs = theirs_of(lxd, root, tmp_path / "empty")
            if theirs is None:
                continue
            ours = read(root)["resources"]
        found = [one for name in SECTIONS for one in differences(ours[name], theirs[name], name)]
        compared += 1
        if left := unexplained(found, DEFECTS + RECORDINGS):
            wrong[archive.name] = left
    assert wrong == {}
    assert compared >= ANSWERED_AT_LEAST
