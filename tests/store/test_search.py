"""Lists through the indexes of traits say the same as conditions tried on every machine."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.store.test_machine_rows import machine

from muster.lifecycle import listing
from muster.lifecycle.listing import Asked
from muster.machine import facts
from muster.machine.columns import COLUMNS, Column
from muster.machine.conditions import evaluate
from muster.machine.grammar import BadExpression, parse
from muster.machine.quantities import Kind
from muster.machine.states import State
from muster.store import facts as facts_of
from muster.store import hardware, machines, moves, search, tags, traits
from muster.store.engine import Store, Tx
from muster.store.schema import machines as table
from muster.store.schema_search import machine_traits
from muster.store.search import Order
from muster.wire.resources import read_document

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = "x" * 158
TEXTS = ("Dell Inc.", "dell inc.", "straße", "STRASSE", "100%", "a_b", "aXb", "b\\c", "\u212a1",
         "k1", LONG, LONG + "yz", LONG + "yzw", LONG + "yZv", "8")  # fmt: skip
NUMBERS = (1, 8, 9, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1)
ITEMS = ("disk", "nic", "gpu", "dimm")


def value_of(column: Column) -> st.SearchStrategy[Any]:
    if column.kind is Kind.TEXT:
        return st.sampled_from(TEXTS)
    return st.booleans() if column.kind is Kind.FLAG else st.sampled_from(NUMBERS)


def some_of(columns: list[Column], key: Any) -> st.SearchStrategy[dict[str, Any]]:
    choices = {key(column): st.none() | value_of(column) for column in columns}
    return st.fixed_dictionaries({}, optional=choices)


SCALARS = [c for c in COLUMNS.values() if c.path[:1] == ("hardware",) and not c.of]
LISTS = {
    f"{of}s": some_of([c for c in COLUMNS.values() if c.of == of], lambda c: c.path[0])
    for of in ITEMS
}
FACTS = st.builds(
    lambda one, lists: one | lists,
    some_of(SCALARS, lambda c: c.name),
    st.fixed_dictionaries(
        {}, optional={k: st.none() | st.lists(v, max_size=3) for k, v in LISTS.items()}
    ),
)  # fmt: skip
ROWS = st.fixed_dictionaries(
    {
        "state": st.sampled_from(State),
        "pool": st.sampled_from(("", "k1", "Lab")),
        "vendor": st.sampled_from(("", *TEXTS)),
        "serial": st.sampled_from(("", *TEXTS)),
        "permitted": st.booleans(),
        "surveyed_at": st.none() | st.sampled_from((NOW, NOW + timedelta(days=1))),
    }
)
TAGS = st.sets(st.sampled_from(("ssd", "SSD", "new", "k1", "b")), max_size=3)
FLEETS = st.lists(st.tuples(ROWS, st.none() | FACTS, st.booleans(), TAGS), min_size=1, max_size=5)


@st.composite
def leaves(draw: Any, columns: list[Column]) -> str:
    column = draw(st.sampled_from(columns))
    if draw(st.integers(0, 5)) == 0:
        return f"{column.name} is {draw(st.sampled_from(('known', 'unknown')))}"
    if column.kind is Kind.TEXT:
        operator = draw(st.sampled_from(("=", "!=", "has", "matches")))
        pieces = (
            *TEXTS,
            "l",
            "*",
            "*ell*",
            "?1",
            "*yz*",
            "Ready",
            "new",
            "ssd",
            "dell*",
            LONG + "*",
        )
        text = draw(st.sampled_from(pieces)).replace("\\", "\\\\")
        return f'{column.name} {operator} "{text}"'
    if column.kind is Kind.FLAG:
        return f"{column.name} = {draw(st.sampled_from(('yes', 'no')))}"
    operator = draw(st.sampled_from(("=", "!=", "<", "<=", ">", ">=")))
    if column.kind is Kind.MOMENT:
        moment = draw(st.sampled_from(("2026-03-01T12:00Z", "2026-03-02", "0001-01-01")))
        return f"{column.name} {operator} {moment}"
    unit = {Kind.SIZE: "B", Kind.SPEED: "Mbit"}.get(column.kind, "")
    number = draw(st.sampled_from((*NUMBERS, "8.5", "9" * 400)))
    return f"{column.name} {operator} {number}{unit}"


def conditions(columns: list[Column], *, deep: bool) -> st.SearchStrategy[str]:
    leaf = leaves(columns)
    if deep:
        blocks = [_blocks(of) for of in (*ITEMS, "mac", "tag")]
        leaf = st.one_of(leaf, *blocks)
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            inner.map(lambda text: f"not ({text})"),
            st.tuples(inner, st.sampled_from(("and", "or")), inner).map(
                lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
            ),
        ),
        max_leaves=4,
    )


def _blocks(of: str) -> st.SearchStrategy[str]:
    columns = [c for c in COLUMNS.values() if c.of in (of, "")]
    own = [c for c in columns if c.of == of]
    inner = st.one_of(conditions(own, deep=False), conditions([*own, *columns], deep=False))
    counted = st.tuples(
        inner, st.sampled_from(("=", "!=", "<", "<=", ">", ">=")), st.integers(0, 3)
    ).map(lambda parts: f"count({parts[0]}) {parts[1]} {parts[2]}")
    quantified = st.tuples(st.sampled_from(("any", "all")), inner)
    return st.one_of(counted, quantified.map(lambda parts: f"{parts[0]}({parts[1]})"))


EXPRESSIONS = conditions(list(COLUMNS.values()), deep=True)


def fill(tx: Tx, fleet: list[Any]) -> None:
    for number, (row, known, has_mac, own) in enumerate(fleet):
        one = machine(f"m{number}", NOW, **row)
        machines.add(tx, one)
        if has_mac:
            machines.learn_macs(tx, one.id, {f"52:54:00:00:00:{number:02x}": "eth0"})
        pairs = {(one.id, tag): "" for tag in own}
        tags.settle(tx, "hand", "", pairs, NOW, ids=[one.id])
        if known is not None:
            hardware.keep(tx, one.id, known)


def listed(tx: Tx, asked: Asked, order: Order = Order()) -> list[str]:  # noqa: B008
    """Every page of two."""
    found, after = [], ""
    while True:
        page = listing.page(tx, asked, order=order, after=after, limit=2)
        found += [m.name for m in page.machines]
        if not page.next:
            return found
        after = page.next


@pytest.mark.parametrize("rare", [search.RARE, 0])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fleet=FLEETS, text=EXPRESSIONS)
def test_the_database_answers_as_the_condition_does(
    store: Store, rare: int, fleet: list[Any], text: str
) -> None:
    try:
        node = parse(text)
    except BadExpression:
        assume(False)
    with pytest.MonkeyPatch.context() as patch, store.write() as tx:
        patch.setattr(search, "RARE", rare)
        tx.execute(table.delete())
        fill(tx, fleet)
        known = facts_of.of(tx, machines.some(tx))
        expected = sorted(f["name"] for f in known.values() if evaluate(node, f).holds)
        assert listed(tx, Asked(node)) == expected


def found(tx: Tx, words: str) -> list[str]:
    return listed(tx, Asked(words=words))


def test_a_merged_machine_is_found_by_what_was_the_others_and_parted_again(store: Store) -> None:
    with store.write() as tx:
        for number, serial in ((1, "first1"), (2, "second2")):
            machines.add(tx, machine(f"m{number}", NOW, serial=serial))
            machines.learn_macs(tx, f"id-m{number}", {f"52:54:00:00:00:0{number}": ""})
        hardware.keep(tx, "id-m1", {"disks": [{"serial": "S-4711"}]})
        journal = moves.merge(tx, "id-m1", "id-m2", newer=True)
        assert found(tx, "4711") == found(tx, "52-54-00-00-00-01") == ["m2"]
        moves.undo(tx, journal, "id-m2")
        assert found(tx, "4711") == found(tx, "first1") == ["m1"]
        assert found(tx, "second2") == ["m2"]


def test_machines_of_an_older_version_become_findable(store: Store) -> None:
    with store.write() as tx:
        machines.add(tx, machine("m1", NOW, serial="S-4711"))
        tx.execute(machine_traits.delete())
        tx.execute(table.update().values(traits_version=0))
        assert found(tx, "4711") == []
        assert [len(traits.catch_up(tx, limit=5)) for _ in range(2)] == [1, 0]
        assert found(tx, "4711") == ["m1"]


def test_a_machine_with_10000_disks_is_bounded_and_counted(store: Store) -> None:
    disks = [{"id": f"sd{n}", "serial": f"S{n:05}\u202e\x1b", "size": 10**9} for n in range(10_000)]
    whole = {"api_version": "1.0", "resources": {"storage": {"disks": disks}}}
    read = facts.read(read_document(json.dumps(whole).encode()))
    with store.write() as tx:
        machines.add(tx, machine("m1", NOW))
        hardware.keep(tx, "id-m1", read)
        assert found(tx, "S01999") == ["m1"]
        assert listed(tx, Asked(parse("disk.count = 10000"))) == ["m1"]
        linked = sa.select(sa.func.count()).select_from(machine_traits)
        assert tx.execute(linked).scalar_one() < 5 * facts.ITEMS
