# SPDX-License-Identifier: Apache-2.0
"""The first page: what is starting right now, phase by phase, and why it does not go on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar import Response, get

from muster.machine.phases import AFTER, Phase, Purpose
from muster.store import boots, counts, machines
from muster.store.boots import Boot, Mark
from muster.store.engine import Store, Tx
from muster.web.page import page
from muster.web.session import AnyRequest, Looking

SHOWN = 60
STAGES = tuple(Phase)

STEPS: tuple[tuple[str, tuple[Phase, ...]], ...] = (
    ("DHCP", (Phase.DHCP,)),
    ("loader", (Phase.LOADER,)),
    ("kernel", (Phase.KERNEL, Phase.NETWORK, Phase.FIRMWARE)),
    ("root", (Phase.SWIFT, Phase.ROOT, Phase.METADATA)),
    ("agent", (Phase.AGENT, Phase.DRIVERS)),
    ("scripts", (Phase.SCRIPTS,)),
    ("end", (Phase.END,)),
)
"""What people see as one step; the timeline below it has every phase."""


@dataclass(frozen=True)
class Step:
    """`state`: done, now, failed or ahead; `after_s` from the boot's first sign to its end."""

    name: str
    state: str
    after_s: float | None


@dataclass(frozen=True)
class Arrival:
    """One boot as a line. `waits` says what is being waited for, `failure` what went wrong."""

    boot: Boot
    machine: str
    steps: list[Step]
    marks: list[Mark]
    waits: str
    remedy: str


def arrival(boot: Boot, machine: str, marks: list[Mark]) -> Arrival:
    """The line of one boot."""
    going = boot.ended_at is None and not boot.failure
    phase = Phase.SCRIPTS if boot.acked_seq else Phase(boot.phase)
    wait = AFTER.get(phase) if going else None
    waits = _waits(boot, phase) if wait else ""
    remedy = wait.remedy if wait else ""
    if boot.failure and (named := _failed_phase(marks)) is not None:
        # An initrd names what failed, not what helps; our clock's reason has its remedy in it.
        before = STAGES[max(0, STAGES.index(Phase(named)) - 1)]
        told = AFTER[before].remedy if before in AFTER else ""
        remedy = "" if told in boot.failure else told
    return Arrival(boot, machine, list(_steps(boot, marks, going=going)), marks, waits, remedy)


def _steps(boot: Boot, marks: list[Mark], *, going: bool) -> Iterator[Step]:
    done = {mark.phase: mark.at for mark in marks if mark.status == "done"}
    last = max((i for i, (_, own) in enumerate(STEPS) if any(p in done for p in own)), default=-1)
    named = _failed_phase(marks) if boot.failure else None
    failed = next((i for i, (_, own) in enumerate(STEPS) if named in own), last + 1)
    for index, (name, phases) in enumerate(STEPS):
        reached = [done[phase] for phase in phases if phase in done]
        state = "done" if index <= last or (boot.failure and index < failed) else "ahead"
        if going and (index == last + 1 or (name == "scripts" and index == last)):
            state = "now"
        if boot.failure and index == failed:
            state = "failed"
        after = (max(reached) - boot.started_at).total_seconds() if reached else None
        yield Step(name, state, after)


def _failed_phase(marks: list[Mark]) -> str | None:
    """Where the boot came to its end, when a mark says so."""
    return next((mark.phase for mark in reversed(marks) if mark.status == "failed"), None)


def _waits(boot: Boot, phase: Phase) -> str:
    if boot.purpose in (Purpose.LOCAL, Purpose.REFUSED):
        return ""
    return "scripts run" if phase == Phase.SCRIPTS else f"{phase} is done; waiting for what follows"


def starting(tx: Tx) -> list[Arrival]:
    """The latest boots, newest first."""
    found = boots.some(tx, limit=SHOWN)
    lines = boots.timeline(tx, [boot.id for boot in found])
    names = machines.names(tx, {boot.machine_id for boot in found if boot.machine_id})
    return [arrival(boot, names.get(boot.machine_id or "", ""), lines[boot.id]) for boot in found]


@get("/", sync_to_thread=True)
def show(request: AnyRequest, store: Store, now: datetime, looking: Looking) -> Response[Any]:
    """The page; its rows come again when a boot changes."""
    with store.read() as tx:
        found = starting(tx)
        counted = counts.by_state(tx)
    part = "arrival_rows.html" if request.headers.get("hx-request") else "arrivals.html"
    return page(request, part, looking, arrivals=found, counted=counted, now=now,
                any=bool(counted))  # fmt: skip


@get("/situation", sync_to_thread=False)
def situation(request: AnyRequest, now: datetime, looking: Looking) -> Response[Any]:
    """Can machines arrive at all: interface, DHCP (ours, another's), image; as last looked at."""
    look = request.app.state.get("situation")
    return page(request, "situation.html", looking, look=look() if look else None, now=now)


ROUTES = [show, situation]
