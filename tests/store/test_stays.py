"""The ledger of components and the versions of documents, on both engines."""

from datetime import datetime, timedelta

import pytest
from tests.store.test_machine_rows import machine

from muster.machine.parts import Part
from muster.store import machines, runs, stays, versions
from muster.store.engine import Missing, Store

DISK = Part("disk", "bay 1", "sda", "1 TB ACME", "D1")
DIMM = Part("DIMM", "slot A1", "", "32 GiB", "R1")
KINDS = {"disk", "DIMM"}


@pytest.fixture
def two(store: Store, now: datetime) -> Store:
    with store.write() as tx:
        for name in ("otter", "crab"):
            machines.add(tx, machine(name, now))
    return store


def told(store: Store, serial: str) -> list[tuple[str, str, bool]]:
    with store.read() as tx:
        found = stays.of_serial(tx, serial)
    return [(stay.machine_name, stay.place, stay.gone_at is None) for stay in found]


def record(store: Store, name: str, parts: list[Part], at: datetime, kinds: set[str]) -> None:
    with store.write() as tx:
        stays.record(tx, f"id-{name}", name, parts, kinds, at)


def test_a_disk_is_followed_from_machine_to_machine(two: Store, now: datetime) -> None:
    later = now + timedelta(days=1)
    record(two, "otter", [DISK, DIMM], now, KINDS)
    record(two, "otter", [DISK, DIMM], later, KINDS)
    assert told(two, "D1") == [("otter", "bay 1", True)]
    record(two, "otter", [DIMM], later + timedelta(days=1), KINDS)
    record(two, "crab", [DISK], later + timedelta(days=2), KINDS)
    assert told(two, "D1") == [("otter", "bay 1", False), ("crab", "bay 1", True)]
    with two.read() as tx:
        first, _ = stays.of_serial(tx, "D1")
        (there,) = stays.elsewhere(tx, "id-crab", ["D1", "R9"])
    assert (first.first_at, first.last_at) == (now, later)
    assert first.gone_at == later + timedelta(days=1)
    assert there.machine_name == "otter"


def test_what_could_not_be_read_is_not_gone(two: Store, now: datetime) -> None:
    record(two, "otter", [DISK, DIMM], now, KINDS)
    record(two, "otter", [DISK], now, {"disk"})
    assert told(two, "R1") == [("otter", "slot A1", True)]


def test_a_part_without_serial_number_is_not_in_the_ledger(two: Store, now: datetime) -> None:
    record(two, "otter", [Part("DIMM", "slot A1")], now, KINDS)
    assert told(two, "") == []


def test_where_a_disk_was_stays_told_under_the_machine_s_last_name(
    two: Store, now: datetime
) -> None:
    record(two, "otter", [DISK], now, KINDS)
    with two.write() as tx:
        machines.rename(tx, "id-otter", "web-1", now=now)
    assert told(two, "D1") == [("web-1", "bay 1", True)]
    with two.write() as tx:
        machines.delete(tx, "id-otter")
    assert told(two, "D1") == [("otter", "bay 1", True)]


@pytest.mark.slow
def test_more_parts_than_a_statement_takes_parameters_are_kept(two: Store, now: datetime) -> None:
    many = [Part("disk", f"bay {n}", "", "", f"D{n}") for n in range(33_000)]
    record(two, "otter", many, now, KINDS)
    record(two, "otter", many[:1], now, KINDS)
    with two.read() as tx:
        assert len(stays.elsewhere(tx, "", [part.serial for part in many])) == 33_000
    assert told(two, "D32999") == [("otter", "bay 32999", False)]


def test_documents_are_numbered_by_machine(two: Store, now: datetime) -> None:
    with two.write() as tx:
        for name, body in (("otter", b"one"), ("crab", b"other"), ("otter", b"two" * 1000)):
            runs.add_document(
                tx, machine_id=f"id-{name}", result_id=1, taken_at=now, sha256=name, body=body
            )
    with two.read() as tx:
        found = versions.some(tx, "id-otter", limit=10)
        assert [version.version for version in found] == [2, 1]
        assert versions.body(tx, found[0]) == b"two" * 1000
        assert versions.body(tx, versions.find(tx, "id-crab", 1)) == b"other"
        with pytest.raises(Missing, match="no version 3"):
            versions.find(tx, "id-otter", 3)
