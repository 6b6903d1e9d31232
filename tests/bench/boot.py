"""`make bench-boot`: seconds from power-on to each phase of an enlistment, median of three.

The last line printed is one JSON object: each firmware path, swift and through cloud-init.
MUSTER_BENCH_PATHS=bios,uefi-http and MUSTER_BENCH_RUNS=1 do less.

The clock is the host's: the lab notes when it starts QEMU, the server when a mark is stored. One
machine at a time, two emulated CPUs, 2 GiB. The CPUs run side by side also on a QEMU that is too
old for it (lab/accel.py): a boot that it breaks is told and done again.
"""

import json
import os
import signal
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.e2e.served import Served

from muster.cli.client import machine_path
from muster.images.library import Library
from muster.images.manifest import PARTS
from muster.lab import accel
from muster.lab.client import Lab
from muster.lab.machines import Firmware, Order
from muster.lifecycle.survey import RESOURCES

RUNS = int(os.environ.get("MUSTER_BENCH_RUNS", "3"))
STARTS = {"swift": "swift", "cloud_init": "cloud-init"}
PHASES = {"loader_s": "loader", "kernel_s": "kernel", "network_s": "network", "hello_s": "agent"}
MIB = 1024 * 1024


def main() -> int:
    os.environ.setdefault(accel.OVERRIDE, accel.PARALLEL)
    images = Path(os.environ.get("MUSTER_IMAGES", "build/images")).absolute()
    wanted = os.environ.get("MUSTER_BENCH_PATHS", ",".join(Firmware)).split(",")
    figures: dict[str, Any] = {_key(Firmware(path)): {} for path in wanted}
    with (
        tempfile.TemporaryDirectory(prefix="muster-bench-") as folder,
        Lab.up(name="bench", folder=Path(folder) / "lab", tied=True) as lab,
    ):
        served = Served(lab, Path(folder), images)
        for path in wanted:
            lab.add(Order(name=f"b-{path}", firmware=Firmware(path)))
        try:
            for key, start in STARTS.items():
                served.start(start=start)
                for path in wanted:
                    taken = _measure(served, Firmware(path), start)
                    figures[_key(Firmware(path))][key] = _medians(taken)
                served.kill(signal.SIGTERM)
        finally:
            served.kill(signal.SIGTERM)
            served.listener.close()
    for path in figures.values():
        # The first request that kernel and initrd send, before anything else of ours runs.
        path["floor"] = {"new_s": path["swift"]["kernel_s"]}
    print(json.dumps(figures | {"image": _sizes(images)}))
    return 0


def _key(firmware: Firmware) -> str:
    return firmware.replace("-", "_")


def _sizes(images: Path) -> dict[str, float]:
    """What a machine fetches to be New, and what it fetches for more."""
    files = Library(images).in_use().files
    parts = [name for name in PARTS if name in files]
    enlist = sum(files[name].size for name in ("kernel", "initrd", *parts))
    return {
        "enlist_mib": round(enlist / MIB, 1),
        "tools_mib": round(files["squashfs"].size / MIB, 1),
    }


def _measure(served: Served, firmware: Firmware, start: str) -> list[dict[str, float]]:
    name = f"b-{firmware}"
    taken: list[dict[str, float]] = []
    broken = 0
    while len(taken) < RUNS:
        try:
            figures = _once(served, name)
        except AssertionError as error:
            broken += 1
            if broken > 1:
                raise
            print(f"{firmware} {start}: a boot broke, once more: {error}", file=sys.stderr)
            served.lab.machine(name).off()
            continue
        taken.append(figures)
        print(f"{firmware} {start} {len(taken)}/{RUNS}: {json.dumps(figures)}", file=sys.stderr)
    return taken


def _medians(taken: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(one[key] for one in taken), 2) for key in taken[0]}


def _once(served: Served, name: str) -> dict[str, float]:
    """One enlistment of a machine that the server does not know."""
    since = datetime.now(UTC)
    (record,) = served.enlist(name)
    marks = served.boots(record["id"])[0]["timeline"]
    done: dict[str, datetime] = {}
    for mark in marks:
        if mark["status"] == "done":
            done.setdefault(mark["phase"], datetime.fromisoformat(mark["at"]))
    figures = {key: (done[phase] - since).total_seconds() for key, phase in PHASES.items()}
    created = datetime.fromisoformat(record["created_at"])
    figures["new_s"] = (created - since).total_seconds()
    inventory = next(r for r in served.last_run(record["id"])["results"] if r["name"] == RESOURCES)
    ended = datetime.fromisoformat(inventory["ended_at"])
    figures["inventory_s"] = (ended - since).total_seconds()
    served.api.send("DELETE", machine_path(record["id"]))
    return {key: round(value, 2) for key, value in figures.items()}


if __name__ == "__main__":
    sys.exit(main())
