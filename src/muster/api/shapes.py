# SPDX-License-Identifier: Apache-2.0
"""What the API answers: flat dataclasses made from rows, so that a column is shown on purpose."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from muster.machine.columns import Facts
from muster.store import machines as store
from muster.store import tags
from muster.store.boots import Boot, Mark
from muster.store.engine import Tx
from muster.store.machines import Machine
from muster.store.runs import Result, Run

T = TypeVar("T")


def shown(kind: type[T], row: object, **more: Any) -> T:
    """`kind` with the fields of `row` that have the same names."""
    names = _names(kind)  # type: ignore[arg-type] # it is hashable
    return kind(**{name: getattr(row, name) for name in names if name not in more}, **more)


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@dataclass(frozen=True)
class MachineShown:
    """A machine. Power parameters may hold secrets and are never shown."""

    id: str
    name: str
    state: str
    state_reason: str
    uuid: str
    serial: str
    vendor: str
    product: str
    architecture: str
    firmware: str
    permitted: bool
    denied_reason: str
    surveyed_at: datetime | None
    summary: dict[str, Any]
    pool: str
    rack: str
    rack_unit: int | None
    power_driver: str
    created_at: datetime
    updated_at: datetime
    macs: list[str]
    tags: list[str]


@dataclass(frozen=True)
class Machines:
    """A page of machines by name; `next` is the `after` of the following page, empty at the end.

    `because` says by a machine's id why `filter` holds for it.
    """

    items: list[MachineShown]
    next: str
    because: dict[str, str]


@dataclass(frozen=True)
class MarkShown:
    """One line of a timeline; `after_s` counts from the boot's first sign."""

    at: datetime
    after_s: float
    phase: str
    status: str
    detail: str


@dataclass(frozen=True)
class BootShown:
    """One attempt of a machine to start; `failure` is empty while all is well."""

    id: str
    machine_id: str | None
    mac: str
    uuid: str
    architecture: str
    firmware: str
    client_ip: str
    purpose: str
    phase: str
    started_at: datetime
    ended_at: datetime | None
    deadline_at: datetime | None
    failure: str
    run_id: int | None
    timeline: list[MarkShown]


@dataclass(frozen=True)
class ResultShown:
    """What one script of a run came to; `values` is what it measured, `suppressed` why a person

    does not count it.
    """

    id: int
    run_id: int
    name: str
    script_type: str
    sha256: str
    timeout_s: float
    state: str
    reason: str
    exit_status: int | None
    runtime_s: float | None
    started_at: datetime | None
    ended_at: datetime | None
    output_bytes: int
    device: str
    attempts: int
    values: dict[str, Any]
    suppressed: str


@dataclass(frozen=True)
class RunShown:
    """One ordered set of scripts."""

    id: int
    machine_id: str
    mode: str
    state: str
    reason: str
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    results: list[ResultShown]


def machines(
    tx: Tx, rows: list[Machine], known: Mapping[str, Facts] | None = None
) -> list[MachineShown]:
    """The machines as people and programs see them; `known`: what a filter read of each."""
    if known:
        return [
            shown(MachineShown, row, macs=known[row.id]["macs"], tags=known[row.id]["tags"])
            for row in rows
        ]
    ids = [row.id for row in rows]
    macs, given = store.macs_of(tx, ids), tags.of(tx, ids)
    return [shown(MachineShown, row, macs=macs[row.id], tags=given[row.id]) for row in rows]


def boot(row: Boot, marks: list[Mark]) -> BootShown:
    """The boot with its timeline."""
    lines = [
        MarkShown(m.at, round((m.at - row.started_at).total_seconds(), 2), m.phase, m.status,
                  m.detail)
        for m in marks
    ]  # fmt: skip
    return shown(BootShown, row, timeline=lines)


def run(row: Run, results: list[Result]) -> RunShown:
    """The run with its results."""
    return shown(RunShown, row, results=[shown(ResultShown, result) for result in results])
