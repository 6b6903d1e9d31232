# SPDX-License-Identifier: Apache-2.0
"""The manifest: taken in from people's tables, held against the records, given to who arrives.

Nothing of a record changes by importing or checking. Where the policy says so, a New machine that
is certainly a row's is given what the row says; a person can have that done to any machine.
"""

from dataclasses import dataclass
from datetime import datetime

from muster.lifecycle import placement, pools
from muster.lifecycle.policy import Policy
from muster.machine import manifest as expected
from muster.machine import manifestfile
from muster.machine.manifest import BadManifest, BadRow, Plan, Row
from muster.machine.placing import CERTAIN, Place, Seen
from muster.machine.states import State
from muster.store import events, machines, manifest, sharing, tags
from muster.store.engine import Conflict, Missing, Store, Tx
from muster.store.machines import Machine

SOURCE = "manifest"
"""Of tags that a row gives."""


@dataclass(frozen=True)
class Changed:
    """A row of which another is in the manifest; `sentence` says what of it changes."""

    key: str
    sentence: str


@dataclass(frozen=True)
class Taken:
    """What an import came to, or would; `stored` says which. Rows by key."""

    added: list[str]
    changed: list[Changed]
    unchanged: int
    removed: list[str]
    problems: list[BadRow]
    left_out: list[str]
    stored: bool


@dataclass(frozen=True)
class Given:
    """What became of one row of many; `why` is empty when its machine was given what it says."""

    key: str
    machine: str
    done: bool
    why: str = ""


def take(
    store: Store, text: str, form: str, *, dry_run: bool, replacing: bool, partly: bool,
    actor: str, now: datetime,
) -> Taken:  # fmt: skip
    """Import a file; raises BadManifest with every bad row, unless it is a dry run or `partly`."""
    reading = manifestfile.read(text, form)
    if dry_run:
        with store.read() as tx:
            found = expected.plan(manifest.every(tx), reading.rows, replacing=replacing)
        return _taken(reading, found, stored=False)
    with store.write() as tx:
        store.one_at_a_time(tx)
        found = expected.plan(manifest.every(tx), reading.rows, replacing=replacing)
        problems = [*reading.problems, *found.problems]
        # Replacing would take away what a bad row was before.
        if problems and (replacing or not partly):
            raise BadManifest(sorted(problems, key=lambda p: (p.line, p.field)))
        rows = [("", row) for row in found.added]
        rows += [(before.key, row) for before, row in found.changed]
        manifest.write(tx, gone=[r.key for r in found.removed], rows=rows, actor=actor, now=now)
        if rows or found.removed:
            told = (f"the manifest was imported: {len(found.added)} rows are new,"
                    f" {len(found.changed)} changed, {len(found.removed)} removed")  # fmt: skip
            events.add(tx, now, "manifest.imported", told, actor=actor)
    return _taken(reading, found, stored=True)


def _taken(reading: expected.Reading, found: Plan, *, stored: bool) -> Taken:
    problems = sorted([*reading.problems, *found.problems], key=lambda p: (p.line, p.field))
    return Taken(
        added=[row.key for row in found.added],
        changed=[Changed(row.key, expected.changes(before, row)) for before, row in found.changed],
        unchanged=len(found.unchanged),
        removed=[row.key for row in found.removed],
        problems=problems,
        left_out=reading.left_out,
        stored=stored,
    )


def remove(store: Store, key: str, *, actor: str, now: datetime) -> None:
    """Take a row away; raises Missing. What its machine was given stays."""
    with store.write() as tx:
        manifest.find(tx, key)
        manifest.write(tx, gone=[key], rows=[], actor=actor, now=now)
        events.add(tx, now, "manifest.removed", f"{key} is not in the manifest any more",
                   actor=actor)  # fmt: skip


def arrive(tx: Tx, policy: Policy, machine: Machine, now: datetime) -> Machine:
    """A machine has come: give it what its row says, where the policy says so.

    The caller holds the machine; what is not certain is told once and left to a person.
    """
    if policy.manifest != "apply" or machine.state != State.NEW:
        return machine
    (seen,) = sharing.records(tx, [machine.id])
    shown = {kind: values for kind, values in seen.has().items() if kind in CERTAIN}
    found = sharing.wanted_by(tx, shown)
    if not found or any(kept.machine_id == machine.id for kept in found):
        return machine
    why = _doubt(found, seen)
    if why:
        if not events.some(tx, machine=machine.id, kind="manifest.doubt", limit=1):
            told = f"{machine.name}: {why}; a person must say: muster manifest apply"
            events.add(tx, now, "manifest.doubt", told[:2048], machine=machine.id)
        return machine
    _give(tx, found[0].row, machine, actor="manifest", now=now)
    return machines.find(tx, machine.id)


def _doubt(found: list[sharing.Kept], seen: Seen) -> str:
    """Why it is not certain that the machine is this row's, and nobody else's."""
    keys = [kept.row.key for kept in found]
    if len(found) > 1:
        return f"the rows {' and '.join(keys)} of the manifest state what it shows"
    if found[0].machine_id is not None:
        return f"{keys[0]} of the manifest has come already"
    has = seen.has()
    for kind, values in found[0].row.strong().items():
        if has.get(kind) and not values & has[kind] and kind != "bmc":
            differs = {"mac": "MACs differ", "uuid": "UUID differs"}
            told = differs.get(kind, "serial number differs")
            return f"it may be {keys[0]} of the manifest, but its {told}"
    return ""


def apply(store: Store, keys: list[str], *, actor: str, now: datetime) -> list[Given]:
    """Give the machines of these rows what their rows say, in whatever state they are."""
    with store.write() as tx:
        store.one_at_a_time(tx)
        rows = [kept.row for kept in sharing.of_keys(tx, keys)]
        places = placement.around(tx, rows).places
        return [_apply(tx, key, places.get(key), actor=actor, now=now) for key in keys]


def _apply(tx: Tx, key: str, placed: Place | None, *, actor: str, now: datetime) -> Given:
    try:
        kept = manifest.find(tx, key)
    except Missing as error:
        return Given(key, "", done=False, why=str(error))
    if placed is None:
        return Given(key, "", done=False, why=f"{key} has not come yet")
    machine = machines.find_for_update(tx, placed.machine.id)
    if placed.rivals:
        told = f"{' and '.join((machine.name, *placed.rivals))} may be it"
        return Given(key, machine.name, done=False, why=told)
    why = _give(tx, kept.row, machine, actor=actor, now=now)
    return Given(key, machines.find(tx, machine.id).name, done=not why, why=why)


def _give(tx: Tx, row: Row, machine: Machine, *, actor: str, now: datetime) -> str:
    """Name, pool and tags; returns what could not be given."""
    manifest.given(tx, row.key, machine.id)
    before, lost = machine.name, []
    if row.name and row.name != before:
        try:
            machines.rename(tx, machine.id, row.name, now=now)
        except Conflict as error:
            lost.append(str(error))
    if row.pool:
        pools.move(tx, machine, row.pool, actor=actor, now=now)
    defined = {tag.name for tag in tags.defined(tx, row.tags)}
    lost += [f"tag {tag} is given by its definition only" for tag in sorted(defined)]
    tagged = {(machine.id, tag): f"row {row.key} of the manifest" for tag in row.tags
              if tag not in defined}  # fmt: skip
    tags.settle(tx, SOURCE, "", tagged, now, ids=[machine.id])
    name = machines.find(tx, machine.id).name
    was = f" ({before})" if name != before else ""
    where = f", rack {row.rack}" if row.rack else ""
    where += f" U{row.position}" if row.position is not None else ""
    told = f"{name}{was} is {row.key} of the manifest{where}"
    events.add(tx, now, "manifest.given", told, actor=actor, machine=machine.id)
    if lost:
        told = f"{name} was not given all that the manifest says: {'; '.join(lost)}"
        events.add(tx, now, "manifest.refused", told[:2048], actor=actor, machine=machine.id)
    return "; ".join(lost)
