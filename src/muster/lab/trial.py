# SPDX-License-Identifier: Apache-2.0
"""Tries one script on a virtual machine of a lab of its own: one boot, nothing stays.

The lab's server holds the machine back until its run is there, so that it need not start twice.
The lab's database is read beside its server, as a second server process would.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from muster.images.library import Library
from muster.lab import launch, readiness
from muster.lab.client import Lab, server_command
from muster.lab.errors import TimedOut
from muster.lab.machines import DiskKind, DiskOrder, Firmware, NicOrder, Order
from muster.lifecycle import scripts, trial
from muster.lifecycle.policy import Policy
from muster.lifecycle.shelf import Parameters
from muster.scripts.format import Script
from muster.scripts.outcome import unit
from muster.store import boots, machines, runs
from muster.store.engine import Store
from muster.store.runs import Result

POLL_S = 0.25
ARRIVE_S = 900.0
"""From power-on to the hello; a quiet host needs a tenth of it."""
_MACHINE = "try"


@dataclass(frozen=True)
class Wish:
    """What to try: `source` with the file's `name`, on an image of the library at `images`."""

    source: bytes
    name: str
    images: Path
    parameters: Parameters = field(default_factory=dict)
    firmware: Firmware = Firmware.BIOS
    memory_mib: int = 2048


@dataclass(frozen=True)
class Tried:
    """One result as the server judged it: of one disk or NIC where the script wants one.

    `values` by name: {"value", "unit"}; `result_yaml` is what it wrote to $RESULT_PATH.
    """

    name: str
    device: str
    state: str
    reason: str
    exit_status: int | None
    runtime_s: float | None
    values: dict[str, Any]
    result_yaml: str
    output: str


@dataclass(frozen=True)
class Ears:
    """Who listens while it goes on: to phases of the boot (a line), to output (device, bytes)."""

    phase: Callable[[str], None] = lambda line: None
    output: Callable[[str, bytes], None] = lambda device, data: None


@dataclass(frozen=True)
class Verdict:
    """What the run came to; no `results`: the script is for hardware that the machine has not."""

    passed: bool
    reason: str
    results: list[Tried]


def run(wish: Wish, ears: Ears) -> Verdict:
    """Start a lab, run the script in it, take the lab down.

    Raises scripts.BadScript, images LibraryError, LabError, store Conflict.
    """
    script = scripts.read(wish.source, wish.name)
    Library(wish.images).in_use()
    with (
        tempfile.TemporaryDirectory(prefix="muster-try-") as folder,
        _lab(wish, Path(folder) / "lab") as (lab, store),
    ):
        lab.machine(_MACHINE).on()
        machine = _held(lab, store, ears)
        number = trial.start(
            store,
            Policy(),
            machine,
            wish.source,
            name=wish.name,
            parameters=wish.parameters,
            actor="muster script try",
            now=datetime.now(UTC),
        )
        _follow(store, number, script, ears)
        return _verdict(store, number, script)


@contextlib.contextmanager
def _lab(wish: Wish, folder: Path) -> Iterator[tuple[Lab, Store]]:
    database = f"sqlite:///{folder}/data/muster.db"
    command = [*server_command(folder, None), "--enlist", "hold", "--database", database]
    order = Order(
        name=_MACHINE,
        firmware=wish.firmware,
        memory_mib=wish.memory_mib,
        nics=(NicOrder(), NicOrder()),
        disks=(
            DiskOrder(kind=DiskKind.NVME, size_mib=256),
            DiskOrder(kind=DiskKind.SATA, size_mib=256),
        ),
    )
    with launch.open_listener("127.0.0.1:0") as listener:
        lab = Lab.up(
            orders=[order],
            name=_MACHINE,
            folder=folder,
            server=command,
            server_env={"MUSTER_IMAGES": str(wish.images.absolute())},
            listen=listener,
            tied=True,
        )
    with lab:
        readiness.await_server(lab)
        store = Store(database)
        try:
            yield lab, store
        finally:
            store.close()


def _held(lab: Lab, store: Store, ears: Ears) -> str:
    """The machine's id, once it waits for its permission; raises TimedOut."""
    told = 0
    end = time.monotonic() + ARRIVE_S
    while time.monotonic() < end:
        with store.read() as tx:
            found = machines.some(tx)
            newest = boots.some(tx, limit=1)
            marks = boots.timeline(tx, [newest[0].id])[newest[0].id] if newest else []
        for mark in marks[told:]:
            after = (mark.at - newest[0].started_at).total_seconds()
            ears.phase(f"{after:6.1f} s  {mark.phase:<9}{mark.status:<8} {mark.detail}")
        told = len(marks)
        if found:
            return found[0].id
        time.sleep(POLL_S)
    end_of_console = lab.machine(_MACHINE).serial_text()[-500:]
    raise TimedOut(
        f"the machine did not say hello within {ARRIVE_S:.0f} s; its console ends: "
        f"{end_of_console!r}"
    )


def _follow(store: Store, run: int, script: Script, ears: Ears) -> None:
    """Until the run has ended; the server's deadlines see to it that it does."""
    told: dict[int, int] = {}
    while True:
        with store.read() as tx:
            # The end first: output that came before it is then told below.
            ended = runs.find(tx, run).ended_at is not None
            for result in _of(runs.results_of(tx, run), script):
                data = runs.output(tx, result.id, offset=told.get(result.id, 0))
                told[result.id] = told.get(result.id, 0) + len(data)
                if data:
                    ears.output(result.device, data)
        if ended:
            return
        time.sleep(POLL_S)


def _of(results: list[Result], script: Script) -> list[Result]:
    return [result for result in results if result.name == script.name]


def _verdict(store: Store, run: int, script: Script) -> Verdict:
    with store.read() as tx:
        found = runs.find(tx, run)
        own = _of(runs.results_of(tx, run), script)
        told = [
            _tried(
                result,
                script,
                runs.output(tx, result.id, stream="result"),
                runs.output(tx, result.id),
            )
            for result in own
        ]
    return Verdict(found.state == "passed" and bool(told), found.reason, told)


def _tried(result: Result, script: Script, written: bytes, output: bytes) -> Tried:
    titles = {name: about["title"] for name, about in script.results.items()}
    return Tried(
        name=result.name,
        device=result.device,
        state=result.state,
        reason=result.reason,
        exit_status=result.exit_status,
        runtime_s=result.runtime_s,
        values={
            name: {"value": value, "unit": unit(titles.get(name, ""))}
            for name, value in result.values.items()
        },
        result_yaml=written.decode(errors="replace"),
        output=output.decode(errors="replace"),
    )
