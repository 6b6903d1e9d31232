from collections.abc import Sequence
from datetime import datetime

import pytest
from tests.store.test_machine_rows import machine

from muster.lifecycle import listing
from muster.lifecycle.listing import Asked
from muster.machine.grammar import parse
from muster.machine.manifest import Row
from muster.store import evidence, machines, manifest, moves, traits
from muster.store.engine import Store
from muster.store.search import Order

M1, M2 = "52:54:00:00:00:01", "52:54:00:00:00:02"
R12 = Row(name="web-1", serial="SN1", macs=(M1,), rack="R12", position=17)


def take(store: Store, now: datetime, rows: Sequence[Row], gone: Sequence[str] = ()) -> None:
    with store.write() as tx:
        there = {row.key for row in manifest.every(tx)}
        pairs = [(row.key if row.key in there else "", row) for row in rows]
        manifest.write(tx, gone=gone, rows=pairs, actor="ann", now=now)


def add(store: Store, now: datetime, name: str, *some_macs: str, **values: str) -> None:
    with store.write() as tx:
        machines.add(tx, machine(name, now, **values), dict.fromkeys(some_macs, "eth0"))


def found(store: Store, condition: str, sort: str = "name") -> list[str]:
    with store.read() as tx:
        asked = Asked(parse(condition) if condition else None, "", "")
        page = listing.page(tx, asked, order=Order.asked(sort), after="", limit=100)
    return [one.name for one in page.machines]


def stands(store: Store, name: str) -> tuple[str, int | None]:
    with store.read() as tx:
        one = machines.find(tx, f"id-{name}")
    inside = bool(one.rack) and one.name in found(store, f'rack = "{one.rack}"')
    assert inside is bool(one.rack), "the column and what a list finds are one"
    return one.rack, one.rack_unit


def test_who_comes_stands_where_the_manifest_says(store: Store, now: datetime) -> None:
    take(store, now, [R12])
    add(store, now, "a", M1)
    add(store, now, "b", serial="sn1x")
    assert stands(store, "a") == ("R12", 17)
    assert stands(store, "b") == ("", None)
    assert found(store, 'rack = "r12" and rack_unit >= 10') == ["a"]
    assert found(store, "rack is unknown") == ["b"]


def test_a_manifest_that_comes_later_places_who_is_there(store: Store, now: datetime) -> None:
    add(store, now, "a", serial="sn1")
    add(store, now, "b", M2)
    rows = [R12, Row(name="web-2", macs=(M2,), rack="R2")]
    take(store, now, rows)
    assert (stands(store, "a"), stands(store, "b")) == (("R12", 17), ("R2", None))
    assert found(store, "", "rack") == ["a", "b"]
    assert found(store, "", "-rack") == ["b", "a"]
    take(store, now, [Row(name="web-1", serial="SN1", rack="R7", position=1)])
    assert stands(store, "a") == ("R7", 1)
    take(store, now, [], gone=["web-1"])
    assert stands(store, "a") == ("", None)
    take(store, now, [], gone=["web-2"])
    assert stands(store, "b") == ("", None)
    assert found(store, 'rack = "R2" or rack = "R7"') == []


def test_two_rows_that_exchange_their_places_exchange_them(store: Store, now: datetime) -> None:
    add(store, now, "a", M1)
    add(store, now, "b", M2)
    one, two = Row(name="one", macs=(M1,), rack="R1"), Row(name="two", macs=(M2,), rack="R2")
    take(store, now, [one, two])
    take(store, now, [Row(name="one", macs=(M2,), rack="R1"),
                      Row(name="two", macs=(M1,), rack="R2")])  # fmt: skip
    assert (stands(store, "a"), stands(store, "b")) == (("R2", None), ("R1", None))


def test_of_two_that_show_one_row_the_better_stands_there_and_of_equals_none(
    store: Store, now: datetime
) -> None:
    add(store, now, "a", serial="SN1")
    add(store, now, "b", serial="SN1")
    take(store, now, [R12])
    assert (stands(store, "a"), stands(store, "b")) == (("", None), ("", None))
    with store.write() as tx:
        machines.learn_macs(tx, "id-b", {M1: "eth0"})
    assert (stands(store, "a"), stands(store, "b")) == (("", None), ("R12", 17))
    with store.write() as tx:
        machines.move_mac(tx, M1, "id-b", "id-a")
    assert (stands(store, "a"), stands(store, "b")) == (("R12", 17), ("", None))
    with store.write() as tx:
        machines.delete(tx, "id-a")
    assert stands(store, "b") == ("R12", 17)


def test_between_equals_a_name_or_the_bmc_s_address_decides(store: Store, now: datetime) -> None:
    add(store, now, "a", serial="SN1")
    add(store, now, "b", serial="SN1")
    take(store, now, [Row(name="web-1", serial="SN1", bmc="10.0.0.5", rack="R12", position=17)])
    assert (stands(store, "a"), stands(store, "b")) == (("", None), ("", None))
    with store.write() as tx:
        machines.rename(tx, "id-a", "web-1", now=now)
        rack = machines.find(tx, "web-1").rack
    assert (rack, stands(store, "b")) == ("R12", ("", None))
    with store.write() as tx:
        machines.update(tx, "id-b", power_driver="redfish", bmc="10.0.0.5")
        rack = machines.find(tx, "web-1").rack
    assert (rack, stands(store, "b")) == ("", ("R12", 17))


def test_who_was_given_a_row_stands_there_until_evidence_says_otherwise(
    store: Store, now: datetime
) -> None:
    add(store, now, "a")
    add(store, now, "b")
    take(store, now, [Row(name="web-1", bmc_mac=M2, rack="R1")])
    with store.write() as tx:
        manifest.given(tx, "web-1", "id-a")
    assert stands(store, "a") == ("R1", None)
    with store.write() as tx:
        evidence.replace(tx, "id-b", {"bmc": [M2]})
    assert (stands(store, "a"), stands(store, "b")) == (("", None), ("R1", None))
    with store.write() as tx:
        evidence.forget(tx, "id-b", ("bmc", M2))
    assert (stands(store, "a"), stands(store, "b")) == (("R1", None), ("", None))


@pytest.mark.parametrize("gone", [{"serial": ""}, {"serial": "SN2"}])
def test_a_serial_number_that_changes_moves_the_record(
    store: Store, now: datetime, gone: dict[str, str]
) -> None:
    take(store, now, [R12])
    add(store, now, "a", serial="SN1")
    assert stands(store, "a") == ("R12", 17)
    with store.write() as tx:
        machines.update(tx, "id-a", **gone)
    assert stands(store, "a") == ("", None)


def test_a_merged_record_takes_its_place_along_and_gives_it_back(
    store: Store, now: datetime
) -> None:
    take(store, now, [R12])
    add(store, now, "a", M1)
    add(store, now, "b", M2)
    with store.write() as tx:
        journal = moves.merge(tx, "id-a", "id-b", newer=False)
    assert stands(store, "b") == ("R12", 17)
    with store.write() as tx:
        moves.undo(tx, journal, "id-b")
    assert (stands(store, "a"), stands(store, "b")) == (("R12", 17), ("", None))


def test_traits_that_are_made_anew_hold_the_rack(store: Store, now: datetime) -> None:
    take(store, now, [R12])
    add(store, now, "a", M1)
    with store.write() as tx:
        traits.renew(tx, ["id-a"])
    assert stands(store, "a") == ("R12", 17)
