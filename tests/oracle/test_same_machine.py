"""LXD and we, on this machine, at the same time."""

import json
from pathlib import Path

import pytest
from tests.oracle.comparing import differences
from tests.oracle.daemon import Daemon
from tests.oracle.defects import DEFECTS, unexplained

from muster.metadata import pack


@pytest.fixture
def still(tmp_path: Path) -> dict[str, Path]:
    """Copies of the files whose numbers change between two readings."""
    nodes = Path("/sys/devices/system/node").glob("node*/meminfo")
    speeds = Path("/sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_cur_freq")
    places = {}
    for number, moving in enumerate([Path("/proc/meminfo"), *nodes, *speeds]):
        places[str(moving)] = tmp_path / str(number)
        places[str(moving)].write_bytes(moving.read_bytes())
    return places


@pytest.mark.e2e
def test_lxd_sees_the_same_machine_but_for_its_named_defects(
    lxd: Daemon, still: dict[str, Path], tmp_path: Path
) -> None:
    agent = tmp_path / "agent.pyz"
    agent.write_bytes(pack.packed())
    with lxd.mounted(still):
        theirs = lxd.resources()
        printed = lxd.run("python3", "-I", "-S", agent, "collect")
    ours = json.loads(printed)["resources"]
    found = [one for name in theirs for one in differences(ours.get(name), theirs[name], name)]
    assert unexplained(found, DEFECTS) == []
    assert theirs["cpu"]["total"] > 0
