import json
from typing import Any

from muster.machine.views import disagreements
from muster.wire.resources import Document, read_document

GIB = 1 << 30
UUID = "33221100-5544-7766-8899-aabbccddeeff"


def view(**changes: Any) -> Document:
    system = {"uuid": changes.get("uuid", UUID), "serial": changes.get("serial", "SN1"),
              "firmware": {"version": changes.get("bios", "1.0")}}  # fmt: skip
    disks = [{"id": s, "serial": s} for s in changes.get("disks", ["D1"])]
    ports = [{"id": m, "address": m} for m in changes.get("macs", ["00:16:3e:00:00:01"])]
    slots = [{"slot": s, "serial": s} for s in changes.get("dimms", ["0A1"])]
    document = {
        "api_version": "1.0",
        "resources": {
            "system": system,
            "memory": {"total": changes.get("memory", 64 * GIB)},
            "storage": {"disks": disks},
            "network": {"cards": [{"ports": ports}]},
            "cpu": {"sockets": [{}] * changes.get("sockets", 2)},
        },
        "extra": {"schema": "muster.extra/1", "dimms": {"slots": slots}},
    }
    return read_document(json.dumps(document).encode())


def told(inside: Document, outside: Document) -> list[tuple[str, str, str]]:
    return [(one.what, one.inside, one.outside) for one in disagreements(inside, outside)]


def test_the_same_machine_seen_twice_has_no_differences() -> None:
    assert told(view(), view()) == []


def test_what_is_written_otherwise_is_the_same() -> None:
    turned = "00112233-4455-6677-8899-aabbccddeeff"
    outside = view(uuid=turned, dimms=["a1"], disks=["d1"], macs=["00-16-3E-00-00-01"])
    assert told(view(memory=int(63.2 * GIB)), outside) == []


def test_a_bmc_that_sees_less_is_usual() -> None:
    assert told(view(), view(disks=[], macs=[], dimms=[], serial="", uuid="", bios="")) == []


def test_what_the_bmc_sees_and_the_system_does_not_is_told() -> None:
    outside = view(disks=["D1", "D2"], dimms=["0A1", "0A2"], macs=["00:16:3e:00:00:02"])
    assert told(view(memory=32 * GIB), outside) == [
        ("memory", "32.0 GiB", "64.0 GiB"),
        ("DIMM 0A2", "not there", "there"),
        ("disk D2", "not there", "there"),
        ("NIC 00:16:3e:00:00:02", "not there", "there"),
    ]


def test_another_board_is_told() -> None:
    other = "10111213-1415-4617-9819-1a1b1c1d1e1f"
    assert told(view(), view(uuid=other, serial="SN2", bios="1.1", sockets=1)) == [
        ("serial number", "SN1", "SN2"),
        ("processors", "2", "1"),
        ("firmware version", "1.0", "1.1"),
        ("hardware UUID", UUID, other),
    ]
