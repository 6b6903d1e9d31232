# SPDX-License-Identifier: Apache-2.0
"""Which records are which rows of the manifest: of all, or of some with all that bears on them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from muster.lifecycle import profiles
from muster.machine.manifest import Row
from muster.machine.placing import Finding, Manifest, Place, Seen, place, wanted
from muster.store import machines, manifest, sharing
from muster.store.engine import Conflict, Missing, Tx
from muster.store.machines import Machine


def whole(tx: Tx, *, strangers: Iterable[str] = ()) -> Manifest:
    """All rows beside the records that show what they state, and beside `strangers` (ids)."""
    rows = manifest.every(tx)
    seen = _holders(tx, rows, set(strangers))
    return _wired(tx, rows, seen, place(rows, seen), set(strangers))


def _holders(tx: Tx, rows: Iterable[Row], also: Collection[str] = ()) -> list[Seen]:
    """Records that show what rows state, and `also` (ids)."""
    ids = sharing.holders(tx, sharing.united(map(wanted, rows)))
    return sharing.records(tx, sorted(ids.union(also)))


def around(tx: Tx, rows: Collection[Row] = (), ids: Collection[str] = ()) -> Manifest:
    """Some rows and records (by id) beside all that bears on what is said of them, and no more.

    `Manifest.finding` of these rows and `stranger` of these records are as in `whole`.
    """
    asked = {row.key for row in rows}
    near, seen = _among(tx, rows, ids)
    places = place(near, seen)
    own = {p.machine.id for key, p in places.items() if key in asked} | set(ids)
    asked |= {key for key, p in places.items() if p.machine.id in own}
    about = manifest.wired(tx, [one for one in seen if one.id in own])
    more = _named_by(tx, about)
    heard = set()
    if any(row.rack and not row.cables for row in near if row.key in asked):
        heard = manifest.that_heard(tx, {n.switch for m in about for n in m.wired.neighbours})
    near, seen = _among(tx, [*near, *more], {one.id for one in seen} | heard)
    return _wired(tx, near, seen, place(near, seen), own)


def _among(tx: Tx, rows: Iterable[Row], ids: Iterable[str]) -> tuple[list[Row], list[Seen]]:
    near = sharing.together(tx, {row.key for row in rows}, ids)
    found = manifest.in_order(kept.row for kept in near.rows.values())
    return found, sorted(near.seen.values(), key=lambda one: one.id)


def _named_by(tx: Tx, about: Iterable[Seen]) -> list[Row]:
    """Rows that a sentence may name: of a BMC's address known from within, of a switch's port."""
    found = [k.row for k in sharing.wanted_by(tx, {"address": {a for m in about for a in m.bmc}})]
    heard = [neighbour for one in about for neighbour in one.wired.neighbours]
    switches = {switch for neighbour in heard for switch in neighbour.switches}
    found += [row for row in manifest.at_switches(tx, switches)
              if any(n.at(cable) for n in heard for cable in row.cables)]  # fmt: skip
    return found


def _wired(
    tx: Tx, rows: list[Row], seen: list[Seen], places: Mapping[str, Place], also: set[str]
) -> Manifest:  # fmt: skip
    """Of records that are a row's, and of `also`, it is known too what they are cabled to."""
    near = {one.machine.id for one in places.values()} | also
    wired = {one.id: one for one in manifest.wired(tx, [s for s in seen if s.id in near])}
    return Manifest(rows, [wired.get(one.id, one) for one in seen], places)


def finding(tx: Tx, of: Manifest, row: Row) -> Finding:
    """What is to be said of a row, its profile included."""
    found = of.finding(row)
    if not row.profile or found.machine is None:
        return found
    told, unknown = _deviations(tx, row.profile, found.machine)
    status = "mismatching" if told else found.status
    return replace(found, status=status, mismatches=(*found.mismatches, *told),
                   unknown=(*found.unknown, *unknown))  # fmt: skip


def _deviations(tx: Tx, profile: str, machine: Seen) -> tuple[list[str], list[str]]:
    try:
        sentences = profiles.of_machine(tx, profile, machines.find(tx, machine.id))
    except (Missing, Conflict) as error:
        return [], [f"profile {profile}: {error}"]
    return [f"profile {profile}: {sentence}" for sentence in sentences], []


def strangers(tx: Tx, after: str, limit: int) -> tuple[list[tuple[Seen, str]], str]:
    """Records that no row is about, by id behind `after`, with a sentence; and where to go on."""
    rows = manifest.every(tx)
    known = {one.machine.id for one in place(rows, _holders(tx, rows)).values()}
    some = [one for one in machines.ids_after(tx, after) if one not in known][: limit + 1]
    of = around(tx, ids=some[:limit])
    found = [(one, of.stranger(one)) for one in of.unexpected if one.id in set(some[:limit])]
    return found, some[limit - 1] if len(some) > limit else ""


def row_of(tx: Tx, machine: Machine) -> Finding:
    """The row that a machine is; raises Missing."""
    of = around(tx, ids=[machine.id])
    for row in of.rows:
        if (there := of.places.get(row.key)) and there.machine.id == machine.id:
            return finding(tx, of, row)
    raise Missing(f"{machine.name} is not in the manifest")
