"""The manifest among records: imported, held against them, given to who arrives."""

from dataclasses import replace
from typing import Any

import pytest
from rack import Rack
from sides import M1, M2, U1, document, machine

from muster.lifecycle import manifest as verbs
from muster.lifecycle import placement, profiles, tags
from muster.lifecycle.manifest import Taken
from muster.machine.manifest import BadManifest
from muster.store import findings, machines, manifest, sharing
from muster.store import tags as tag_rows
from muster.store.engine import Missing

HEAD = "name,serial,mac,rack,u,pool,tags,profile,cables\n"
WEB1 = f"web-1,SN1,{M1},R12,17,web,gold,,eth0=sw1:Ethernet1/5\n"
WEB2 = f"web-2,SN2,{M2},R12,18,web,gold,,eth0=sw1:Ethernet1/6\n"


def take(rack: Rack, text: str, **how: bool) -> Taken:
    how = {"dry_run": False, "replacing": False, "partly": False} | how
    return verbs.take(rack.store, text, "", actor="ann", now=rack.now(), **how)


def checked(rack: Rack) -> dict[str, tuple[str, list[str]]]:
    with rack.store.read() as tx:
        whole = placement.whole(tx)
        found = [placement.finding(tx, whole, row) for row in whole.rows]
    return {one.row.key: (one.status, [*one.mismatches]) for one in found}


def listen(rack: Rack, name: str, switch: str, port: str) -> None:
    """LLDP is heard on eth0."""
    said = {"interface": "eth0", "switch": switch, "port_id": port, "port": port}
    with rack.store.write() as tx:
        of = machines.find(tx, name).id
        findings.put(tx, of, "lldp", [said], result=0, now=rack.now())


def tagged(rack: Rack, name: str) -> list[tuple[str, str]]:
    with rack.store.read() as tx:
        rows = tag_rows.of_machine(tx, machines.find(tx, name).id)
    return [(row.tag, row.source) for row in rows if row.source != "automatic"]


@pytest.fixture
def applying(rack: Rack) -> Rack:
    """The operator said that who is in the manifest gets what it says."""
    rack.policy = replace(rack.policy, manifest="apply")
    return rack


def test_a_file_is_imported_and_again_without_a_change(rack: Rack) -> None:
    first = take(rack, HEAD + WEB1 + WEB2)
    assert (first.added, first.stored) == (["web-1", "web-2"], True)
    again = take(rack, HEAD + WEB1 + WEB2)
    assert (again.added, again.changed, again.unchanged) == ([], [], 2)
    assert len(rack.told("manifest.imported")) == 1
    moved = take(rack, HEAD + WEB1.replace("R12,17", "R13,17"))
    assert [(one.key, one.sentence) for one in moved.changed] == [("web-1", "rack R12, now R13")]
    assert take(rack, HEAD + WEB2, replacing=True).removed == ["web-1"]
    with rack.store.read() as tx:
        assert [row.key for row in manifest.every(tx)] == ["web-2"]


def test_a_dry_run_stores_nothing_and_a_bad_row_refuses_the_file(rack: Rack) -> None:
    bad = HEAD + WEB1 + WEB2.replace(M2, "nonsense")
    tried = take(rack, bad, dry_run=True)
    assert (tried.added, tried.stored) == (["web-1"], False)
    assert [(p.line, p.field) for p in tried.problems] == [(3, "macs")]
    with pytest.raises(BadManifest, match="line 3: macs: 'nonsense' is no MAC"):
        take(rack, bad)
    with pytest.raises(BadManifest):
        take(rack, bad, partly=True, replacing=True)
    assert checked(rack) == {}
    assert take(rack, bad, partly=True).added == ["web-1"]


def test_rows_exchange_names_and_numbers_in_one_import(rack: Rack) -> None:
    take(rack, HEAD + WEB1 + WEB2)
    other = HEAD + WEB1.replace("SN1", "SN2") + WEB2.replace("SN2", "SN1")
    assert len(take(rack, other).changed) == 2
    with rack.store.read() as tx:
        assert [k.row.key for k in sharing.wanted_by(tx, {"serial": ["sn1"]})] == ["web-2"]


def test_missing_unexpected_and_mismatching_are_told(rack: Rack) -> None:
    here = machine(rack, 1)
    stranger = machine(rack, 3)
    take(rack, HEAD + WEB1 + WEB2)
    listen(rack, here, "sw1", "Ethernet1/7")
    assert checked(rack) == {
        "web-1": ("mismatching", [
            f"name {here}, the manifest says web-1",
            "in no pool, the manifest says web",
            "has not the tag gold of the manifest",
            "eth0 is on sw1 Ethernet1/7, the manifest says sw1 Ethernet1/5",
        ]),
        "web-2": ("missing", [f"nothing with its serial number SN2 or MAC {M2} has come yet"]),
    }  # fmt: skip
    listen(rack, stranger, "sw1", "Ethernet1/6")
    with rack.store.read() as tx:
        (found,), following = placement.strangers(tx, "", 10)
    assert (found[0].name, following) == (stranger, "")
    assert found[1] == "not in the manifest; it is on sw1 Ethernet1/6, where web-2 should be"
    assert rack.machine(here).pool == ""


def test_unexpected_machines_come_a_page_at_a_time(rack: Rack) -> None:
    names = {machine(rack, number) for number in (1, 2, 3)}
    take(rack, "name\nweb-9\n")
    seen, after = set(), ""
    for _ in range(3):
        with rack.store.read() as tx:
            found, after = placement.strangers(tx, after, 1)
        seen |= {one.name for one, _ in found}
    assert (seen, after) == (names, "")


def test_a_row_s_profile_is_looked_at_too(rack: Rack) -> None:
    golden = machine(rack, 1)
    words: dict[str, Any] = {"condition": "", "comment": "", "actor": "a", "now": rack.now()}
    profiles.learn(rack.store, "r750", [golden], **words)
    worse = document(2)
    worse["extra"]["dimms"]["slots"][9]["size"] = 0
    machine(rack, 2, plain=worse)
    take(rack, "serial,profile\nSN1,r750\nSN2,r750\n")
    assert checked(rack) == {
        "SN1": ("matching", []),
        "SN2": ("mismatching", ["profile r750: DIMM in slot B2 is missing"]),
    }
    take(rack, "serial,profile\nSN1,nobody\n")
    with rack.store.read() as tx:
        whole = placement.whole(tx)
        found = placement.finding(tx, whole, whole.rows[0])
    assert found.unknown == ("profile nobody: there is no profile 'nobody'",)


def test_by_default_who_arrives_is_only_shown(rack: Rack) -> None:
    take(rack, HEAD + WEB1)
    name = machine(rack, 1)
    assert name != "web-1"
    assert (rack.machine(name).pool, tagged(rack, name)) == ("", [])


def test_who_arrives_gets_name_pool_tags_and_place_when_the_operator_said_so(
    applying: Rack,
) -> None:
    take(applying, HEAD + WEB1)
    _, welcome = applying.arrive(uuid=U1, macs=[M1], serial="SN1")
    assert welcome.machine == "web-1"
    assert applying.machine("web-1").pool == "web"
    assert tagged(applying, "web-1") == [("gold", "manifest")]
    (told,) = applying.told("manifest.given")
    assert told.endswith("is web-1 of the manifest, rack R12 U17")


def test_it_is_given_once_and_what_a_person_says_later_stays(applying: Rack) -> None:
    take(applying, HEAD + WEB1)
    name = machine(applying, 1)
    with applying.store.write() as tx:
        machines.rename(tx, applying.machine(name).id, "renamed", now=applying.now())
    applying.set("renamed", surveyed_at=None)
    assert machine(applying, 1, key="again") == "renamed"
    assert len(applying.told("manifest.given")) == 1


def test_a_name_that_another_machine_has_is_not_taken(applying: Rack) -> None:
    other = machine(applying, 2)
    with applying.store.write() as tx:
        machines.rename(tx, applying.machine(other).id, "web-1", now=applying.now())
    take(applying, HEAD + WEB1)
    name = machine(applying, 1)
    assert name != "web-1"
    assert applying.machine("web-1").serial == "SN2"
    assert applying.machine(name).pool == "web"
    (told,) = applying.told("manifest.refused")
    assert told.endswith("the name 'web-1' is taken by another machine")


def test_what_is_not_certain_is_told_once_and_left_to_a_person(applying: Rack) -> None:
    take(applying, f"name,serial,mac\nweb-1,SN9,{M1}\n")
    name = machine(applying, 1)
    assert name != "web-1"
    (told,) = applying.told("manifest.doubt")
    assert told == (
        f"{name}: it may be web-1 of the manifest, but its serial number differs;"
        " a person must say: muster manifest apply"
    )
    (given,) = verbs.apply(applying.store, ["web-1"], actor="ann", now=applying.now())
    assert (given.machine, given.done) == ("web-1", True)


def test_two_rows_that_fit_one_machine_are_left_to_a_person(applying: Rack) -> None:
    take(applying, f"name,serial,mac\na,SN1,\nb,,{M1}\n")
    name = machine(applying, 1)
    assert name not in ("a", "b")
    assert (
        "the rows a and b of the manifest state what it shows" in applying.told("manifest.doubt")[0]
    )


def test_a_second_machine_with_the_serial_number_of_one_that_came_is_told(applying: Rack) -> None:
    take(applying, "name,serial\nweb-1,SN1\n")
    assert machine(applying, 1) == "web-1"
    plain = document(2)
    plain["resources"]["system"]["serial"] = "SN1"
    assert machine(applying, 2, serial="SN1", plain=plain) != "web-1"
    assert "web-1 of the manifest has come already" in applying.told("manifest.doubt")[0]


def test_a_tag_of_a_definition_is_not_given(applying: Rack) -> None:
    words: dict[str, Any] = {"comment": "", "kind": "expression", "definition": "virtual"}
    tags.define(applying.store, "gold", **words, actor="a", now=applying.now())
    take(applying, HEAD + WEB1)
    name = machine(applying, 1)
    assert tagged(applying, name) == []
    assert "tag gold is given by its definition only" in applying.told("manifest.refused")[0]


def test_a_person_applies_rows_each_with_its_outcome(rack: Rack) -> None:
    machine(rack, 1)
    take(rack, HEAD + WEB1 + WEB2)
    found = verbs.apply(rack.store, ["web-1", "web-2", "web-9"], actor="ann", now=rack.now())
    assert [(one.key, one.done, one.why) for one in found] == [
        ("web-1", True, ""),
        ("web-2", False, "web-2 has not come yet"),
        ("web-9", False, "the manifest has no row 'web-9'"),
    ]
    assert checked(rack)["web-1"] == ("matching", [])


def test_a_row_is_removed_and_a_machine_is_forgotten(applying: Rack) -> None:
    take(applying, HEAD + WEB1)
    name = machine(applying, 1)
    with applying.store.write() as tx:
        machines.delete(tx, applying.machine(name).id)
    with applying.store.read() as tx:
        assert manifest.find(tx, "web-1").machine_id is None
    verbs.remove(applying.store, "web-1", actor="ann", now=applying.now())
    with pytest.raises(Missing, match="the manifest has no row 'web-1'"):
        verbs.remove(applying.store, "web-1", actor="ann", now=applying.now())


@pytest.mark.slow
def test_ten_thousand_rows_are_imported_and_checked_in_seconds(rack: Rack) -> None:
    lines = [
        f"n{n},S{n},52:54:00:00:{n >> 8:02x}:{n & 255:02x},R{n // 40},{n % 40 + 1},web,,,"
        f"eth0=sw{n // 40}:Ethernet1/{n % 40}\n"
        for n in range(10_000)
    ]
    machine(rack, 1)
    assert len(take(rack, HEAD + "".join(lines)).added) == 10_000
    assert take(rack, HEAD + "".join(lines)).unchanged == 10_000
    assert {status for status, _ in checked(rack).values()} == {"missing"}
