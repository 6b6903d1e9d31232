"""`make bench-boot`: seconds from power-on to each phase of an enlistment, median of three.

The last line printed is one JSON object. The clock is the host's: the lab notes when it starts
QEMU, the server when a mark is stored. One machine at a time, two emulated CPUs, 2 GiB. The CPUs
run side by side also on a QEMU that is too old for it (lab/accel.py): a boot that it breaks is told
and done again.
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
from muster.lab import accel
from muster.lab.client import Lab
from muster.lab.machines import Firmware, Order

RUNS = 3
PHASES = {"loader_s": "loader", "kernel_s": "kernel", "root_s": "root", "hello_s": "agent"}


def main() -> int:
    os.environ.setdefault(accel.OVERRIDE, accel.PARALLEL)
    images = Path(os.environ.get("MUSTER_IMAGES", "build/images")).absolute()
    figures: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory(prefix="muster-bench-") as folder,
        Lab.up(name="bench", folder=Path(folder) / "lab", tied=True) as lab,
    ):
        served = Served(lab, Path(folder), images)
        served.start()
        try:
            for firmware in (Firmware.BIOS, Firmware.UEFI):
                figures[str(firmware)] = {"cloud_init": _measure(served, firmware)}
        finally:
            served.kill(signal.SIGTERM)
            served.listener.close()
    print(json.dumps(figures))
    return 0


def _measure(served: Served, firmware: Firmware) -> dict[str, float]:
    name = f"b-{firmware}"
    served.lab.add(Order(name=name, firmware=firmware))
    taken: list[dict[str, float]] = []
    broken = 0
    while len(taken) < RUNS:
        try:
            figures = _once(served, name)
        except AssertionError as error:
            broken += 1
            if broken > 1:
                raise
            print(f"{firmware}: a boot broke, once more: {error}", file=sys.stderr)
            served.lab.machine(name).off()
            continue
        taken.append(figures)
        print(f"{firmware} {len(taken)}/{RUNS}: {json.dumps(figures)}", file=sys.stderr)
    return {key: round(statistics.median(one[key] for one in taken), 2) for key in taken[0]}


def _once(served: Served, name: str) -> dict[str, float]:
    """One enlistment of a machine that the server does not know."""
    since = datetime.now(UTC)
    (record,) = served.enlist(name)
    marks = served.boots(record["id"])[0]["timeline"]
    done = {m["phase"]: datetime.fromisoformat(m["at"]) for m in marks if m["status"] == "done"}
    figures = {key: (done[phase] - since).total_seconds() for key, phase in PHASES.items()}
    created = datetime.fromisoformat(record["created_at"])
    figures["new_s"] = (created - since).total_seconds()
    served.api.send("DELETE", machine_path(record["id"]))
    return {key: round(value, 2) for key, value in figures.items()}


if __name__ == "__main__":
    sys.exit(main())
