"""`make bench-collect`: our whole survey against LXD's answer on this machine, medians.

The last line printed is one JSON object. Ours is the whole process as a machine starts it: the
interpreter, the agent that has unpacked and compiled itself, the document. LXD's is one GET to its
running daemon, so its start is not counted. They take turns, so that other load on the machine
weighs on both alike. `cold` is ours with the page cache dropped before. CPU times are of all
threads, user and system.
"""

import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.oracle.daemon import Daemon

from muster.agent.bytecode import unfold
from muster.metadata import pack

PYTHON = "/usr/bin/python3"
TURNS = 25
COLD_TURNS = 5
_DROP = Path("/proc/sys/vm/drop_caches")
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        agent = Path(folder) / "agent.pyz"
        agent.write_bytes(pack.packed())
        home = Path(unfold(str(agent), Path(folder)))
        _survey(home)  # The first start keeps what it has compiled.
        data = Path(folder) / "lxd"
        data.mkdir()
        with Daemon(data) as lxd:
            figures = _compare(home, lxd)
        figures["ours_cold_ms"] = _cold(home)
        zipped = _median([_wall_ms(lambda: _survey(agent)) for _ in range(TURNS)])
        print(f"from the zip, compiled at each start: {zipped} ms", file=sys.stderr)
    figures["ratio"] = round(figures["ours_wall_ms"] / figures["lxd_wall_ms"], 3)
    order = "ours_wall_ms ours_cpu_ms ours_cold_ms lxd_wall_ms lxd_cpu_ms ratio".split()
    print(json.dumps({name: figures[name] for name in order}))
    return 0


def _compare(agent: Path, lxd: Daemon) -> dict[str, float]:
    ours_wall, lxd_wall, ours_cpu, lxd_cpu = [], [], [], []
    for turn in range(-2, TURNS):
        before = _children_ms()
        wall = _wall_ms(lambda: _survey(agent))
        cpu = _children_ms() - before
        before = _process_ms(lxd.pid)
        other = _wall_ms(lxd.resources)
        if turn >= 0:
            ours_wall.append(wall)
            ours_cpu.append(cpu)
            lxd_wall.append(other)
            lxd_cpu.append(_process_ms(lxd.pid) - before)
            print(f"{turn + 1}/{TURNS}: {wall:.1f} ms, LXD {other:.1f} ms", file=sys.stderr)
    return {
        "ours_wall_ms": _median(ours_wall),
        "ours_cpu_ms": _median(ours_cpu),
        "lxd_wall_ms": _median(lxd_wall),
        # Its clock has ticks of 10 ms: a median would only be one of them.
        "lxd_cpu_ms": round(statistics.mean(lxd_cpu), 1),
    }


def _cold(agent: Path) -> float | None:
    """None where the kernel lets nobody drop its caches (containers)."""
    taken = []
    for _ in range(COLD_TURNS):
        try:
            os.sync()
            _DROP.write_text("3")
        except OSError:
            return None
        taken.append(_wall_ms(lambda: _survey(agent)))
    return _median(taken)


def _survey(agent: Path) -> None:
    """No `timeout`: subprocess would then look for the end 31, 63 and 113 ms after the start."""
    words = [PYTHON, "-I", "-S", str(agent), "collect"]
    signal.alarm(60)
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    signal.alarm(0)


def _wall_ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _children_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def _process_ms(pid: int) -> float:
    """proc(5): fields 14 and 15 of stat, counted after the name, which may hold spaces."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / _TICKS


def _median(figures: list[float]) -> float:
    return round(statistics.median(figures), 1)


if __name__ == "__main__":
    sys.exit(main())
