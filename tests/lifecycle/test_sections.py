"""A document with damaged sections: they are named, and all else is on the record."""

import json
from typing import Any

import pytest
from rack import Rack
from rackserver import rackserver
from sides import M1, U1

from muster.lifecycle import survey
from muster.machine.parts import known_kinds
from muster.store import findings, hardware, machines, stays, versions
from muster.store.engine import Tx, Unkept, apart
from muster.store.schema_record import tags as tags_table
from muster.wire.hello import Welcome
from muster.wire.resources import BadDocument, read_document, read_sections

SECTIONS = {
    "resources": ("cpu", "memory", "gpu", "network", "storage", "usb", "pci", "system", "load"),
    "extra": ("dimms", "processors", "boot_firmware", "tpm", "bmc", "power_supplies", "nics",
              "pcie", "disk_health"),
}  # fmt: skip
DAMAGE: dict[str, Any] = {"a text": "gone", "a number": 7, "a list": [1], "truth": True}


def damaged(half: str, section: str, value: Any = "gone") -> dict[str, Any]:
    plain = rackserver()
    plain[half][section] = value
    return plain


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize(
    ("half", "section"), [(half, name) for half, names in SECTIONS.items() for name in names]
)
def test_a_damaged_section_is_empty_and_named_and_the_others_are_read(
    half: str, section: str, how: str
) -> None:
    raw = json.dumps(damaged(half, section, DAMAGE[how])).encode()
    with pytest.raises(BadDocument):
        read_document(raw)
    document = read_sections(raw)
    assert list(document.unread) == [section]
    assert document.unread[section].startswith(f"$.{half}.{section}: must be an object, not")
    whole = read_document(json.dumps(rackserver()).encode())
    for other, names in SECTIONS.items():
        for name in names:
            if name != section:
                ours, theirs = (getattr(getattr(d, other), name) for d in (document, whole))
                assert ours == theirs


@pytest.mark.parametrize("path", ["resources", "extra", "networks", "environment"])
def test_halves_that_are_none_are_told(path: str) -> None:
    plain = rackserver() | {path: 5}
    if path == "resources":
        with pytest.raises(BadDocument, match=r"\$\.resources: must be an object, not int"):
            read_sections(json.dumps(plain).encode())
        return
    document = read_sections(json.dumps(plain).encode())
    assert list(document.unread) == ([] if path == "extra" else [path])
    assert len(document.resources.storage.disks) == 4


@pytest.mark.parametrize(
    ("section", "path"),
    [("cpu", "cpu.total"), ("memory", "memory.total"), ("storage", "storage.disks[2].size")],
)
def test_a_size_that_no_database_holds_is_its_section_s_fault(section: str, path: str) -> None:
    plain = rackserver()
    if section == "storage":
        plain["resources"]["storage"]["disks"][2]["size"] = 2**63
    else:
        plain["resources"][section]["total"] = 2**63
    document = read_sections(json.dumps(plain).encode())
    why = f"$.resources.{path}: {2**63} does not fit a signed 64-bit number"
    assert document.unread == {section: why}


def test_what_could_not_be_read_is_not_known_rather_than_gone() -> None:
    document = read_sections(json.dumps(damaged("resources", "storage")).encode())
    assert "disk" not in known_kinds(document)
    of_lxd = damaged("resources", "storage") | {"extra": None}
    assert "disk" not in known_kinds(read_sections(json.dumps(of_lxd).encode()))


def surveyed(rack: Rack, plain: dict[str, Any], key: str = "k1") -> Welcome:
    _, welcome = rack.arrive(uuid=U1, macs=[M1], serial="SN1", key=key)
    rack.document = json.dumps(plain).encode()
    rack.finish(welcome)
    return welcome


def result(rack: Rack, welcome: Welcome) -> tuple[str, str]:
    names = [item.name for item in welcome.scripts]
    return rack.results(welcome)[names.index(survey.RESOURCES)]


def known(rack: Rack, name: str) -> tuple[dict[str, Any], Any, dict[str, int]]:
    """Facts, the finding, and how many components of each kind are there."""
    with rack.store.read() as tx:
        of = machines.find(tx, name).id
        serials = [f"S64HNE0R5000{n}" for n in range(3)] + ["03AB277F"]
        here = [stay for s in serials for stay in stays.of_serial(tx, s) if stay.gone_at is None]
        kinds = {kind: sum(stay.kind == kind for stay in here) for kind in ("disk", "DIMM")}
        return hardware.of(tx, [of])[of], findings.body(tx, of, survey.UNREAD), kinds


def test_the_bad_section_is_an_event_and_on_the_machine_and_the_others_land(rack: Rack) -> None:
    welcome = surveyed(rack, damaged("resources", "storage"))
    state, reason = result(rack, welcome)
    told = "storage ($.resources.storage: must be an object, not str)"
    assert state == "degraded"
    assert reason == f"sections of its inventory cannot be read, the others were: {told}"
    machine = rack.machine(welcome.machine)
    assert machine.surveyed_at is not None
    assert machine.summary["unread"] == ["storage"]
    assert machine.summary["memory_bytes"] == 2**38
    facts, finding, _ = known(rack, welcome.machine)
    assert (facts["disks"], facts["dimm.count"], facts["bmc.firmware"]) == (None, 8, "6.10")
    assert [one["section"] for one in finding] == ["storage"]
    assert rack.told("machine.section_unread") == [
        f"{welcome.machine}: sections of its inventory are not known: {told}"
    ]


def test_components_of_a_section_that_cannot_be_read_stay_where_they_were(rack: Rack) -> None:
    name = surveyed(rack, rackserver()).machine
    assert known(rack, name)[2] == {"disk": 3, "DIMM": 1}
    rack.set(name, surveyed_at=None)
    surveyed(rack, damaged("resources", "storage"), key="k2")
    assert known(rack, name)[2] == {"disk": 3, "DIMM": 1}
    rack.set(name, surveyed_at=None)
    surveyed(rack, rackserver(), key="k3")
    assert known(rack, name)[1] == []
    assert "unread" not in rack.machine(name).summary


def test_a_probe_that_failed_on_the_machine_is_named_too(rack: Rack) -> None:
    plain = rackserver()
    error = {"path": "/sys/class/tpm", "reason": "Input/output error"}
    plain["extra"]["probes"]["tpm"] = {"ok": False, "errors": [error]}
    welcome = surveyed(rack, plain)
    assert result(rack, welcome)[0] == "passed"
    (finding,) = known(rack, welcome.machine)[1]
    assert finding == {
        "section": "tpm", "why": "/sys/class/tpm: Input/output error", "where": "there",
    }  # fmt: skip


def test_what_the_database_refuses_of_one_section_loses_no_other(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stays, "record", lambda tx, machine, *_: refused(tx, machine))
    welcome = surveyed(rack, rackserver())
    state, reason = result(rack, welcome)
    assert state == "degraded"
    assert "components (" in reason
    with rack.store.read() as tx:
        of = machines.find(tx, welcome.machine).id
        assert hardware.of(tx, [of])[of]["disk.count"] == 4
        assert len(versions.some(tx, of, limit=5)) == 1


def refused(tx: Tx, machine: str) -> None:
    """A change, and then what the database does not take."""
    machines.update(tx, machine, vendor="lost")
    tx.execute(tags_table.insert().values(name=None))


def test_a_savepoint_takes_back_its_own_part_only(rack: Rack) -> None:
    name = surveyed(rack, rackserver()).machine
    with rack.store.write() as tx:
        of = machines.find(tx, name).id
        machines.update(tx, of, vendor="kept")
        with pytest.raises(Unkept), apart(tx):
            refused(tx, of)
    assert rack.machine(name).vendor == "kept"
