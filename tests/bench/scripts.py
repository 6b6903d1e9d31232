"""The engine's own cost: `python -m tests.bench.scripts`; the last line is JSON.

overhead_ms: wall time a script of a run of many that do nothing, less what starting such a script
costs by itself. agent_peak_mib: the agent's peak memory while a script prints 1 GiB.
ready_after_last_s: from the last script's end to the machine being Ready. wall_over_slowest: the
whole commissioning set on a virtual machine with three NICs and an LLDP neighbour on each, over its
slowest script; `--no-lab` leaves it out.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import pytest
from tests.agent.machine import Machine, script
from tests.e2e.served import Served, lldp_switch, wall_over_slowest
from tests.server.running import live_server
from tests.server.shelf import stocked

from muster.cli.client import machine_path
from muster.lab.client import Lab
from muster.lab.machines import NicOrder, Order
from muster.lifecycle import commission, survey
from muster.lifecycle.commission import Options
from muster.scripts import catalogue
from muster.server.app import utc_now
from muster.store import machines
from muster.store.engine import Store

GIB = 1024 * 1024 * 1024
MANY = 40
DOCUMENT = 'echo \'{"api_version": "1.0", "resources": {}, "extra": {}}\''


def alone_ms(folder: Path) -> float:
    """What starting one such script costs without us."""
    file = folder / "alone"
    file.write_text("#!/bin/sh\ntrue\n")
    file.chmod(0o700)
    took = []
    for _ in range(MANY):
        began = time.monotonic()
        subprocess.run([str(file)], check=True)
        took.append(time.monotonic() - began)
    return statistics.median(took) * 1000


def overhead_ms(machine: Machine) -> float:
    """What one more script adds to the agent's whole time."""
    more = wall_s(machine, MANY + 1) - wall_s(machine, 1)
    return more * 1000 / MANY - alone_ms(machine.folder)


def wall_s(machine: Machine, count: int) -> float:
    """From the agent's start to its end, with so many scripts that do nothing."""
    machine.forget()
    machine.boot(*(script(f"{n:03}", "true") for n in range(count)))
    began = time.monotonic()
    machine.start()
    assert machine.finish(seconds=300) == 0
    return time.monotonic() - began


def peak_mib(machine: Machine) -> float:
    """While one script prints 1 GiB."""
    machine.forget()
    machine.boot(script("flood", f"head -c {GIB} /dev/zero"))
    machine.start()
    most = 0.0
    assert machine.process is not None
    status = Path(f"/proc/{machine.process.pid}/status")
    while machine.process.poll() is None:
        try:
            lines = status.read_text().splitlines()
        except OSError:
            break
        most = max([most, *(int(x.split()[1]) / 1024 for x in lines if x.startswith("VmHWM"))])
        time.sleep(0.05)
    return most


def ready_after_last_s(machine: Machine, patch: pytest.MonkeyPatch) -> float:
    """Seconds from the last script's end to Ready, in a run of ten parallel scripts."""
    machine.forget()
    machine.run(script("survey", "true"))
    scripts = [script(survey.RESOURCES, DOCUMENT)]
    scripts += [script(f"sleep-{n}", f"sleep {n / 10}", parallel="any") for n in range(1, 11)]
    patch.setattr(catalogue, "for_commission", lambda: scripts)
    with machine.store.read() as tx:
        name = machines.some(tx)[0].name
    options = Options(tests=["none"])
    commission.start(machine.store, machine.server.policy, name, options, actor="b", now=utc_now())
    machine.reboot()
    machine.start()
    machine.finish(seconds=120)
    found = machine.results().values()
    with machine.store.read() as tx:
        ready = machines.find(tx, name)
    assert ready.state == "Ready", ready.state_reason
    ended = max(result.ended_at for result in found if result.ended_at)
    return (ready.updated_at - ended).total_seconds()


def lab_ratio() -> float:
    """The whole commissioning set, by the server's timeline, over its slowest script."""
    images = Path(os.environ.get("MUSTER_IMAGES", "build/images")).absolute()
    with (
        tempfile.TemporaryDirectory(prefix="muster-bench-") as folder,
        Lab.up(name="bench", folder=Path(folder) / "lab", tied=True) as lab,
    ):
        served = Served(lab, Path(folder), images)
        served.start()
        try:
            served.lab.add(Order(name="m1", nics=(NicOrder(),) * 3, memory_mib=3072))
            with lldp_switch(served):
                served.enlist("m1")
                machine = served.wire_power("m1")
                served.api.send("POST", machine_path(machine, "/commission"), {"tests": ["none"]})
                served.wait("m1 ends", lambda: served.last_run(machine)["ended_at"])
            assert served.api.get(machine_path(machine))["state"] == "Ready"
            results = served.last_run(machine)["results"]
        finally:
            served.kill(signal.SIGTERM)
            served.listener.close()
    began = min(result["started_at"] for result in results)
    for result in results:
        after = seconds(result["started_at"]) - seconds(began)
        print(f"{after:6.1f} s +{result['runtime_s']:5.1f} s {result['name']}", file=sys.stderr)
    return wall_over_slowest(results)


def seconds(when: str) -> float:
    return datetime.fromisoformat(when).timestamp()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        store = Store(f"sqlite:///{folder}/muster.db")
        store.migrate()
        patch = pytest.MonkeyPatch()
        with live_server(store, stocked(Path(folder))) as server:
            machine = Machine(Path(folder) / "run", store, server, patch)
            overhead = overhead_ms(machine)
            peak = peak_mib(machine)
            after = ready_after_last_s(machine, patch)
        patch.undo()
        store.close()
    told = {
        "overhead_ms": round(overhead, 1),
        "agent_peak_mib": round(peak, 1),
        "ready_after_last_s": round(after, 2),
    }
    if "--no-lab" not in sys.argv:
        told["wall_over_slowest"] = lab_ratio()
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
