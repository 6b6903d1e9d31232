"""A test's numbers are compared within machines and disks of one model."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rack import Rack, event

from muster.lifecycle import comparison, scripts
from muster.scripts import catalogue
from muster.store import runs
from muster.store.runs import Measured

AT = datetime(2026, 1, 2, tzinfo=UTC)
SOURCE = b"""#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: speed
# script_type: commissioning
# tags: enlisting
# results: {speed: {title: Speed (MiB/s)}}
# --- End MAAS 1.0 script metadata ---
"""


def measured(number: int, **more: Any) -> Measured:
    words = {"vendor": "Acme", "product": "R9", "sha256": "a", "state": "passed", "ended_at": AT,
             "device": f"sda (S1, serial {number})", "spec": {}}  # fmt: skip
    return Measured(id=number, machine_id=f"m{number}", machine=f"name{number}", **words | more)


def test_the_odd_one_out_is_seen_beside_its_like_only() -> None:
    fast = [measured(n, values={"speed": 100 + n, "note": "x", "ok": True}) for n in range(4)]
    slow = measured(7, values={"speed": 40})
    other = measured(8, values={"speed": 900}, device="sdb (S2, serial 8)")
    older = measured(9, values={"speed": 1}, sha256="b")
    groups = comparison.compare([*fast, slow, other, older])
    assert [(g.model, g.sha256, len(g.samples)) for g in groups] == [
        ("S1", "a", 5),
        ("S2", "a", 1),
        ("S1", "b", 1),
    ]
    (number,) = groups[0].numbers
    assert (number.least, number.median, number.most) == (40, 101, 103)
    assert {s.name: s.off["speed"] for s in groups[0].samples if s.off["speed"] < -20} == {
        "name7": -60.4
    }


@pytest.mark.parametrize(
    ("device", "model"),
    [
        ("sda (QEMU HARDDISK, serial 7)", "QEMU HARDDISK"),
        ("sda (Acme (rev B))", "Acme (rev B)"),
        ("eth0 (52:54:00:12:34:01)", ""),
        ("sda", ""),
        ("", ""),
    ],
)
def test_a_device_is_known_by_its_model(device: str, model: str) -> None:
    assert comparison.model_of(device) == model


@given(st.lists(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False),
                          st.booleans(), st.text(max_size=3)), max_size=5))  # fmt: skip
def test_whatever_was_measured_is_compared(values: list[Any]) -> None:
    (group,) = comparison.compare([measured(1, values={"one": values, "two": 0})])
    assert group.samples[0].off["two"] == 0
    assert all(math.isfinite(number.median) for number in group.numbers)


def test_the_newest_result_of_each_machine_counts(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "for_commission", list)
    scripts.add(rack.store, SOURCE, actor="a", now=rack.now())
    for number, speed in ((1, 100), (1, 200), (2, 300)):
        uuid, mac = f"0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e00{number:02x}", f"52:54:00:12:34:0{number}"
        with rack.store.write() as tx:
            tx.exec_driver_sql("UPDATE machines SET surveyed_at = NULL")
        _, welcome = rack.arrive(uuid=uuid, macs=[mac], serial=f"SN{number}", key=f"k{speed}")
        (item,) = welcome.scripts
        said = {"data": b"results: {speed: %d}" % speed, "stream": "result"}
        rack.send(
            welcome.token,
            event(1, "output", item.result, **said),
            event(2, "finished", item.result),
            event(3, "end"),
        )
    with rack.store.read() as tx:
        found = runs.measured(tx, "speed", limit=10)
        assert runs.measured(tx, "other", limit=10) == []
    (group,) = comparison.compare(found)
    assert sorted(sample.values["speed"] for sample in group.samples) == [200, 300]
    assert group.numbers[0].unit == "MiB/s"
