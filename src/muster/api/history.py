# SPDX-License-Identifier: Apache-2.0
"""What a machine's hardware was, what changed, and where a component has been."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from litestar import Response, get
from litestar.params import Parameter

from muster.api.machines import PATH, Reference
from muster.api.shapes import shown
from muster.machine.differences import Change, Elsewhere, compare, unread
from muster.store import machines, stays, versions
from muster.store.engine import Missing, Store, Tx
from muster.store.machines import Machine
from muster.store.people import User
from muster.store.versions import Version
from muster.wire.resources import read_sections

CHANGES = 1000

Number = Annotated[int, Parameter(ge=0, le=2**31 - 1, description="0 or left out: the newest.")]


@dataclass(frozen=True)
class VersionShown:
    """One document; `sha256` is of its bytes."""

    version: int
    taken_at: datetime
    sha256: str
    result_id: int


@dataclass(frozen=True)
class ChangeShown:
    """`what` is gone, new, replaced, moved or changed; `sentence` tells all."""

    kind: str
    what: str
    serial: str
    sentence: str


@dataclass(frozen=True)
class Differences:
    """`more` changes than are shown; `unread` are kinds that one of the documents lacks."""

    machine: str
    old: VersionShown
    new: VersionShown
    changes: list[ChangeShown]
    more: int
    unread: list[str]


@dataclass(frozen=True)
class StayShown:
    """A component in one place of one machine; `gone_at` is null while it is there."""

    kind: str
    serial: str
    machine_id: str
    machine_name: str
    place: str
    model: str
    first_at: datetime
    last_at: datetime
    gone_at: datetime | None


@get(PATH + "/versions", sync_to_thread=True)
def machine_versions(
    reference: Reference,
    store: Store,
    user: User,
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 100,
) -> list[VersionShown]:
    """The versions of its resources document, newest first."""
    with store.read() as tx:
        found = versions.some(tx, machines.find(tx, reference).id, limit=limit)
    return [shown(VersionShown, version) for version in found]


@get(PATH + "/resources", sync_to_thread=True, media_type="application/json")
def machine_resources(
    reference: Reference, store: Store, user: User, version: Number = 0
) -> Response[bytes]:
    """An inventory document, byte for byte as the machine sent it; the newest by default."""
    with store.read() as tx:
        machine = machines.find(tx, reference)
        body = versions.body(tx, _version(tx, machine, version))
    return Response(body, media_type="application/json")


@get(PATH + "/diff", sync_to_thread=True)
def machine_diff(
    reference: Reference, store: Store, user: User, old: Number = 0, new: Number = 0
) -> Differences:
    """What changed from version `old` (by default the one before) to `new`."""
    with store.read() as tx:
        machine = machines.find(tx, reference)
        after = _version(tx, machine, new)
        before = _before(tx, machine, after) if old == 0 else _version(tx, machine, old)
        first, second = (read_sections(versions.body(tx, v)) for v in (before, after))
        changes = compare(first, second)
        if moved := _elsewhere(tx, machine, changes, before, after):
            changes = compare(first, second, moved)
    return Differences(
        machine=machine.name,
        old=shown(VersionShown, before),
        new=shown(VersionShown, after),
        changes=[shown(ChangeShown, change) for change in changes[:CHANGES]],
        more=max(0, len(changes) - CHANGES),
        unread=unread(first, second),
    )


@get("/components", sync_to_thread=True)
def component(
    store: Store, user: User, serial: Annotated[str, Parameter(min_length=1, max_length=256)]
) -> list[StayShown]:
    """Where components with this serial number (of a NIC: its MAC) have been, oldest first."""
    with store.read() as tx:
        return [shown(StayShown, stay) for stay in stays.of_serial(tx, serial)]


def _version(tx: Tx, machine: Machine, version: int) -> Version:
    if version:
        return versions.find(tx, machine.id, version)
    newest = versions.some(tx, machine.id, limit=1)
    if not newest:
        raise Missing(f"{machine.name} has sent no resources document yet")
    return newest[0]


def _before(tx: Tx, machine: Machine, after: Version) -> Version:
    older = versions.some(tx, machine.id, limit=1, before=after)
    if not older:
        raise Missing(
            f"{machine.name} has no resources document before version {after.version}:"
            " commission it again to compare"
        )
    return older[0]


def _elsewhere(
    tx: Tx, machine: Machine, changes: list[Change], before: Version, after: Version
) -> Elsewhere:
    """For what is gone the machine that has it since; for what is new the one that had it."""
    loose = {(c.kind, c.serial): c.what for c in changes if c.serial and c.what in ("gone", "new")}
    found = {}
    for stay in stays.elsewhere(tx, machine.id, sorted({serial for _, serial in loose})):
        what = loose.get((stay.kind, stay.serial))
        if (what == "gone" and stay.last_at > before.taken_at) or (
            what == "new" and stay.first_at < after.taken_at
        ):
            found[stay.kind, stay.serial] = stay.machine_name
    return found


ROUTES = [machine_versions, machine_resources, machine_diff, component]
