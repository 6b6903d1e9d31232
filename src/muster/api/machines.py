# SPDX-License-Identifier: Apache-2.0
"""Machines: list, show, and the verbs of a person."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import delete, get, patch, post
from litestar.params import Parameter, QueryParameter

from muster.api import fields as chosen
from muster.api import shapes
from muster.api.access import role
from muster.api.fields import Fields, Narrowed
from muster.api.shapes import BootShown, Machines, MachineShown, RunShown
from muster.lifecycle import commission, listing, pools
from muster.lifecycle.listing import Asked
from muster.lifecycle.policy import Policy
from muster.machine.grammar import LENGTH, parse
from muster.machine.states import State
from muster.store import boots, counts, machines, runs
from muster.store.engine import Store
from muster.store.people import User
from muster.store.search import ORDERS, Order
from muster.wire.codec import Limited, limited

Reference = Annotated[str, Parameter(max_length=63, description="A machine's id or name.")]
PATH = "/machines/{reference:str}"
_FILTER = 'A condition, as: memory >= 512GiB and nic.vendor has "Mellanox"'
_SEARCH = "Words that all must begin a word of the record or hardware, or end a serial or MAC."
_AFTER = "`next` of the page before, in the same order."
_SORT = f"One of {', '.join(ORDERS)}; with a minus: from the last to the first."


@get("/machines", sync_to_thread=True)
def list_machines(
    store: Store,
    user: User,
    in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    condition: Annotated[
        str, QueryParameter(name="filter", max_length=LENGTH, description=_FILTER)
    ] = "",
    search: Annotated[str, Parameter(max_length=256, description=_SEARCH)] = "",
    sort: Annotated[
        str, Parameter(max_length=16, pattern=f"^-?({'|'.join(ORDERS)})$", description=_SORT)
    ] = "name",
    after: Annotated[str, Parameter(max_length=400, description=_AFTER)] = "",
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 100,
    fields: Fields = "",
) -> Machines | Narrowed:
    """Machines, a page at a time; with `filter` a page may hold fewer than `limit`."""
    asked = Asked(parse(condition) if condition else None, search, in_state or "")
    wanted = chosen.names(fields) if fields else None
    order = Order.asked(sort)
    with store.read() as tx:
        page = listing.page(tx, asked, order=order, after=after, limit=limit)
        if wanted is not None:
            items = chosen.of_machines(tx, page.machines, wanted)
            return Narrowed(items, page.next, page.because)
        return Machines(shapes.machines(tx, page.machines, page.facts), page.next, page.because)


@dataclass(frozen=True)
class Counts:
    """How many machines there are; `states` names those that any machine is in."""

    total: int
    states: dict[str, int]


@get("/counts", sync_to_thread=True)
def count_machines(store: Store, user: User) -> Counts:
    """Machines by state."""
    with store.read() as tx:
        states = counts.by_state(tx)
    return Counts(sum(states.values()), states)


@dataclass(frozen=True)
class PoolShown:
    """A pool is there while a machine is in it."""

    name: str
    machines: int


@get("/pools", sync_to_thread=True)
def list_pools(store: Store, user: User) -> list[PoolShown]:
    """Every pool by name, and how many machines are in it."""
    with store.read() as tx:
        return [PoolShown(name, count) for name, count in machines.pools(tx).items()]


@get(PATH, sync_to_thread=True)
def show_machine(
    reference: Reference, store: Store, user: User, fields: Fields = ""
) -> MachineShown | dict[str, Any]:
    """One machine, or with `fields` some of it."""
    if not fields:
        return machine_shown(store, reference)
    wanted = chosen.names(fields)
    with store.read() as tx:
        return chosen.of_machines(tx, [machines.find(tx, reference)], wanted)[0]


@get(PATH + "/boots", sync_to_thread=True)
def machine_boots(
    reference: Reference,
    store: Store,
    user: User,
    limit: Annotated[int, Parameter(ge=1, le=100)] = 10,
) -> list[BootShown]:
    """Its boots with their timelines, newest first."""
    with store.read() as tx:
        found = boots.some(tx, machine=machines.find(tx, reference).id, limit=limit)
        lines = boots.timeline(tx, [boot.id for boot in found])
    return [shapes.boot(boot, lines[boot.id]) for boot in found]


@get(PATH + "/runs", sync_to_thread=True)
def machine_runs(
    reference: Reference,
    store: Store,
    user: User,
    limit: Annotated[int, Parameter(ge=1, le=100)] = 10,
) -> list[RunShown]:
    """Its runs with their results, newest first."""
    with store.read() as tx:
        found = runs.some(tx, machines.find(tx, reference).id, limit=limit)
        return [shapes.run(run, runs.results_of(tx, run.id)) for run in found]


@dataclass(frozen=True)
class Changes(Limited):
    """`name`: a DNS label. `pool`: "" for none. What is left out stays."""

    name: str | None = limited(most=256, default=None)
    pool: str | None = limited(most=64, default=None)


@patch(PATH, sync_to_thread=True, dependencies=role("operator"))
def change_machine(
    reference: Reference, data: Changes, store: Store, user: User, now: datetime
) -> MachineShown:
    """Rename a machine, or put it into another pool."""
    changed = pools.change(
        store, reference, pool=data.pool, name=data.name, actor=user.name, now=now
    )
    return machine_shown(store, changed.id)


@delete(PATH, sync_to_thread=True, dependencies=role("operator"))
def delete_machine(reference: Reference, store: Store, user: User, now: datetime) -> None:
    """Forget a machine; its events stay."""
    commission.delete(store, reference, actor=user.name, now=now)


@post(PATH + "/abort", status_code=200, sync_to_thread=True, dependencies=role("operator"))
def abort(
    reference: Reference, store: Store, policy: Policy, user: User, now: datetime
) -> MachineShown:
    """End the machine's open run; its former state comes back."""
    commission.abort(store, policy, reference, actor=user.name, now=now)
    return machine_shown(store, reference)


@post(PATH + "/accept", status_code=200, sync_to_thread=True, dependencies=role("operator"))
def accept(reference: Reference, store: Store, user: User, now: datetime) -> MachineShown:
    """Permit a machine that is held to send its data."""
    commission.accept(store, reference, actor=user.name, now=now)
    return machine_shown(store, reference)


@dataclass(frozen=True)
class Denial(Limited):
    """`reason` is shown on the machine's console."""

    reason: str = limited(most=500, default="")


@post(PATH + "/deny", status_code=200, sync_to_thread=True, dependencies=role("operator"))
def deny(
    reference: Reference, data: Denial, store: Store, user: User, now: datetime
) -> MachineShown:
    """Refuse a New machine."""
    commission.deny(store, reference, reason=data.reason, actor=user.name, now=now)
    return machine_shown(store, reference)


def machine_shown(store: Store, reference: str) -> MachineShown:
    """The machine as it is now; raises Missing."""
    with store.read() as tx:
        return shapes.machines(tx, [machines.find(tx, reference)])[0]


ROUTES = [
    list_machines,
    count_machines,
    list_pools,
    show_machine,
    machine_boots,
    machine_runs,
    change_machine,
    delete_machine,
    abort,
    accept,
    deny,
]
