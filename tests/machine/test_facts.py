"""What is read from a resources document for conditions, and what stays unknown."""

import json
from typing import Any

from muster.machine import facts
from muster.machine.columns import COLUMNS, LISTS
from muster.wire.resources import read_document


def read(extra: dict[str, Any] | None = None, **resources: Any) -> dict[str, Any]:
    whole = {"api_version": "1.0", "resources": resources, "extra": extra}
    return facts.read(read_document(json.dumps(whole).encode()))


def extra(**sections: Any) -> dict[str, Any]:
    return {"schema": "muster.extra/1", **sections}


def test_an_empty_document_says_nothing_of_numbers_and_texts() -> None:
    found = read()
    assert found["memory"] is None
    assert found["cpu.cores"] is None
    assert found["virtual"] is None
    assert found["disks"] == []
    assert "dimms" not in found
    assert "tpm" not in found


def test_a_list_whose_probe_failed_is_not_an_empty_list() -> None:
    failed = {"ok": False, "errors": [{"path": "/", "reason": "the probe failed"}]}
    found = read(extra(probes={"storage": failed, "gpu": {"ok": True}, "tpm": failed}))
    assert found["disks"] is None
    assert "disk.count" not in found
    assert found["gpus"] == []
    assert found["gpu.count"] == 0
    assert found["tpm"] is None
    assert found["bmc"] is False


def test_empty_slots_are_no_modules_and_no_table_means_unknown() -> None:
    slots = [
        {"slot": "A1", "size": 2**35},
        {"slot": "A2", "size": 0},
        {"slot": "A3"} | {"size": None},
    ]
    found = read(extra(dimms={"slots": slots}))
    assert [(dimm["slot"], dimm["size"]) for dimm in found["dimms"]] == [
        ("A1", 2**35),
        ("A3", None),
    ]
    assert found["dimm.count"] == 2
    assert read(extra())["dimms"] is None


def test_a_card_s_vendor_is_told_of_each_of_its_ports() -> None:
    card = {
        "vendor": "Mellanox\u202e\n",
        "ports": [{"id": "p0", "link_speed": 25000}, {"id": "p1"}],
    }
    found = read(network={"cards": [card]})
    assert [(nic["vendor"], nic["speed"]) for nic in found["nics"]] == [
        ("Mellanox", 25000),
        ("Mellanox", None),
    ]


def test_every_fact_has_a_column_and_every_column_a_fact() -> None:
    disk = {"id": "sda"}
    nic = {"ports": [{"id": "eth0"}]}
    slots = [{"slot": "A1", "size": 1}]
    found = read(
        extra(dimms={"slots": slots}),
        storage={"disks": [disk]},
        network={"cards": [nic]},
        gpu={"cards": [{}]},
        system={"firmware": {}},
    )
    asked = {c.path[1] for c in COLUMNS.values() if c.path[:1] == ("hardware",)}
    lists = {path[1]: of for of, path in LISTS.items() if path[0] == "hardware"}
    assert set(found) == asked | set(lists)
    for name, of in lists.items():
        assert set(found[name][0]) == {c.label for c in COLUMNS.values() if c.of == of}
