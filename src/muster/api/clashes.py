# SPDX-License-Identifier: Apache-2.0
"""Machines that claim what another record has: both sides, and a person's decision."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import get, post
from litestar.params import Parameter

from muster.api.access import role
from muster.api.machines import PATH, Reference
from muster.api.shapes import MachineShown, machines, shown
from muster.lifecycle import clashes as verbs
from muster.lifecycle.clashes import Decision
from muster.machine import evidence as weights
from muster.machine.evidence import Evidence, Point
from muster.store import clashes, evidence
from muster.store import machines as rows
from muster.store.clashes import ClashRow
from muster.store.engine import Missing, Store, Tx
from muster.store.people import User
from muster.wire.codec import Limited, limited

Number = Annotated[int, Parameter(ge=1, le=2**53)]


@dataclass(frozen=True)
class SideShown:
    """One record of a clash; `evidence` by kind, `points` say what agrees with the other side.

    `machine` is null when the record is gone. The other side is what the machine said, or, where
    two records were found to share something, the first record.
    """

    id: str
    machine: MachineShown | None
    evidence: dict[str, list[str]]
    points: list[Point]
    weight: int


@dataclass(frozen=True)
class ClashShown:
    """A clash with its sides; `said` is the evidence that the machine showed, by kind."""

    id: int
    boot_id: str | None
    at: datetime
    machines: list[str]
    because: str
    evidence: dict[str, Any]
    contested: list[list[str]]
    decided_at: datetime | None
    decision: str
    decided_by: str
    kept: str
    said: dict[str, list[str]]
    sides: list[SideShown]


@dataclass(frozen=True)
class Deciding(Limited):
    """`decision`: same, merge, new or different; `keep` is a machine's id or name, for same and

    merge.
    """

    decision: Decision
    keep: str = limited(most=63, default="")


@dataclass(frozen=True)
class Splitting(Limited):
    """The MACs, and the UUID if it is one of them, that are another machine's."""

    macs: list[str] = limited(most=512)
    uuid: str = limited(most=64, default="")

    def __post_init__(self) -> None:
        """Texts that every database keeps."""
        super().__post_init__()
        for mac in self.macs:
            if len(mac) > 64 or not mac.isprintable():
                raise ValueError(f"macs: {mac[:80]!r} is no MAC")


@dataclass(frozen=True)
class Merging(Limited):
    """The other record of the same machine, by name or id."""

    other: str = limited(most=63)


@get("/clashes", sync_to_thread=True)
def list_clashes(
    store: Store,
    user: User,
    *,
    decided: bool = False,
    before: Annotated[int, Parameter(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Parameter(ge=1, le=500)] = 100,
) -> list[ClashRow]:
    """Clashes that wait for a person, or those that were decided, newest first."""
    with store.read() as tx:
        return clashes.some(tx, decided=decided, before=before, limit=limit)


@get("/clashes/{clash:int}", sync_to_thread=True)
def show_clash(clash: Number, store: Store, user: User) -> ClashShown:
    """One clash with both sides, and what speaks for and against their being one machine."""
    return _shown(store, clash)


@post(
    "/clashes/{clash:int}/decide", status_code=200, sync_to_thread=True,
    dependencies=role("operator"),
)  # fmt: skip
def decide_clash(
    clash: Number, data: Deciding, store: Store, user: User, now: datetime
) -> ClashShown:
    """Say who is who; it can be undone."""
    verbs.decide(store, clash, data.decision, keep=data.keep, actor=user.name, now=now)
    return _shown(store, clash)


@post(
    "/clashes/{clash:int}/undo", status_code=200, sync_to_thread=True,
    dependencies=role("operator"),
)  # fmt: skip
def undo_clash(clash: Number, store: Store, user: User, now: datetime) -> ClashShown:
    """Take a decision back."""
    verbs.undo(store, clash, actor=user.name, now=now)
    return _shown(store, clash)


@post(PATH + "/split", sync_to_thread=True, dependencies=role("operator"))
def split_machine(
    reference: Reference, data: Splitting, store: Store, user: User, now: datetime
) -> MachineShown:
    """Two machines on one record become two records; returns the new one. Undone as a clash."""
    made, _ = verbs.split(
        store, reference, macs=data.macs, uuid=data.uuid, actor=user.name, now=now
    )
    with store.read() as tx:
        return machines(tx, [rows.find(tx, made.id)])[0]


@post(PATH + "/merge", status_code=200, sync_to_thread=True, dependencies=role("operator"))
def merge_machines(
    reference: Reference, data: Merging, store: Store, user: User, now: datetime
) -> MachineShown:
    """Another record is this machine too: its history becomes this one's. Undone as a clash."""
    verbs.merge(store, reference, data.other, actor=user.name, now=now)
    with store.read() as tx:
        return machines(tx, [rows.find(tx, reference)])[0]


def _shown(store: Store, number: int) -> ClashShown:
    with store.read() as tx:
        clash = clashes.find(tx, number)
        said = _said(clash)
        known = {m: _frozen(kinds) for m, kinds in evidence.of(tx, clash.machines).items()}
        first = known[clash.machines[0]] if clash.machines else {}
        sides = [
            _side(tx, machine, known[machine], said or ({} if n == 0 else first))
            for n, machine in enumerate(clash.machines)
        ]
        return shown(ClashShown, clash, said=_lists(said), sides=sides)


def _side(tx: Tx, machine: str, mine: Evidence, other: Evidence) -> SideShown:
    points = weights.points(mine, other)
    try:
        row: MachineShown | None = machines(tx, [rows.find(tx, machine)])[0]
    except Missing:
        row = None
    return SideShown(machine, row, _lists(mine), points, sum(point.weight for point in points))


def _said(clash: ClashRow) -> dict[str, frozenset[str]]:
    said = clash.evidence
    if not said:
        return {}
    kinds = weights.told(said.get("uuid", ""), said.get("serial", ""), said.get("vendor", ""),
                         said.get("product", ""), said.get("board_serial", ""))  # fmt: skip
    macs = [nic.get("mac", "") for nic in said.get("nics", ())] or [said.get("mac", "")]
    return kinds | {"mac": frozenset(mac.lower() for mac in macs if mac)}


def _frozen(kinds: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    return {kind: frozenset(values) for kind, values in kinds.items()}


def _lists(kinds: Evidence) -> dict[str, list[str]]:
    return {kind: [v.replace("\x1f", " ") for v in sorted(kinds[kind])] for kind in sorted(kinds)}


ROUTES = [list_clashes, show_clash, decide_clash, undo_clash, split_machine, merge_machines]
