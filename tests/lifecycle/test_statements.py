"""How many statements things cost, counted and not timed: that is what made them slow before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from rack import Rack, event

from muster.api import shapes
from muster.lab import fleet
from muster.lifecycle import listing, survey
from muster.lifecycle.listing import Asked
from muster.store import machines
from muster.store.engine import Store
from muster.store.search import Order
from muster.wire.hello import Welcome

MORE_ON_POSTGRESQL = 14
"""Locks that SQLite, which has one writer, does without, and what is told to other processes."""


@contextmanager
def counted(store: Store) -> Iterator[list[str]]:
    """The statements that the store sends meanwhile; BEGIN is one on SQLite only."""
    seen: list[str] = []

    def note(_connection, _cursor, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    # On PostgreSQL the reader is the same engine with another isolation level, which hears too.
    engines = {store._writer, store._reader} if store.is_sqlite else {store._writer}
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def most(store: Store) -> int:
    return 0 if store.is_sqlite else MORE_ON_POSTGRESQL


def whole_run(welcome: Welcome, number: int, *, pieces: int) -> list:
    """Each script prints `pieces` pieces, the survey its document."""
    events = []
    for item in welcome.scripts:
        data = [b"x" * 100] * pieces
        if item.name == survey.RESOURCES:
            whole = fleet.document(number)
            data = [whole[at : at + 32768] for at in range(0, len(whole), 32768)]
        events += [("started", item.result, b"")]
        events += [("output", item.result, piece) for piece in data]
        events += [("finished", item.result, b"")]
    return [event(n, kind, on, data=data) for n, (kind, on, data) in enumerate(events, start=1)]


def test_a_boot_and_a_hello_cost_few_statements(rack: Rack, store: Store, most: int) -> None:
    rack.boot(mac="52:54:00:00:00:99")
    with counted(store) as seen:
        plan = rack.boot()
    assert len(seen) <= 14 + most, seen
    with counted(store) as seen:
        rack.say_hello(plan.nonce)
    assert len(seen) <= 40 + most, seen


def test_a_batch_costs_the_same_however_much_it_holds(rack: Rack, store: Store, most: int) -> None:
    _, first = rack.arrive()
    with counted(store) as few:
        rack.send(first.token, *whole_run(first, 1, pieces=1))
    other = {"uuid": "0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e0002", "macs": ["52:54:00:12:34:09"]}
    _, second = rack.arrive(**other, serial="SN2")
    with counted(store) as many:
        rack.send(second.token, *whole_run(second, 2, pieces=40))
    assert len(many) <= len(few) + 2, (few, many)
    assert len(few) <= 50 + most, few


def test_a_sign_of_life_costs_three_statements(rack: Rack, store: Store, most: int) -> None:
    _, welcome = rack.arrive()
    with counted(store) as seen:
        rack.send(welcome.token, event(1, "heartbeat"))
    assert len(seen) <= 3 + most, seen


@pytest.mark.parametrize("number", [5, 100])
def test_a_page_costs_the_same_however_many_it_shows(rack: Rack, store: Store, number: int) -> None:
    _, welcome = rack.arrive()
    one = rack.machine(welcome.machine)
    with store.write() as tx:
        for n in range(number):
            machines.add(tx, replace(one, id=f"id-{n}", name=f"m{n:03d}", uuid=""))
    with store.read() as tx, counted(store) as seen:
        page = listing.page(tx, Asked(), order=Order("name", descending=False), after="",
                              limit=number)  # fmt: skip
        assert len(shapes.machines(tx, page.machines)) == number
    assert len(seen) == 4, seen


def test_a_machine_gets_its_scripts_with_the_welcome(rack: Rack) -> None:
    _, welcome = rack.arrive()
    assert set(welcome.bodies) == {item.sha256 for item in welcome.scripts}
