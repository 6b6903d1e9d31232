import math
from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa

from muster.machine.identity import Claim, Known
from muster.machine.states import State
from muster.store import boots, clashes, counts, events, hardware, machines, people, runs
from muster.store.engine import Conflict, Missing, Store
from muster.store.machines import Machine

UUID = "0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e0001"
MAC = "52:54:00:00:00:01"


def machine(name: str, now: datetime, **values) -> Machine:
    whole = Machine(
        id=f"id-{name}",
        name=name,
        state=State.NEW,
        state_reason="enlisted itself",
        uuid="",
        serial="",
        vendor="Acme",
        product="Rack9000",
        architecture="x86_64",
        firmware="uefi",
        permitted=False,
        denied_reason="",
        surveyed_at=None,
        summary={},
        power_driver="manual",
        power_parameters={},
        created_at=now,
        updated_at=now,
        seen_at=now,
    )
    return replace(whole, **values)


def test_a_machine_comes_back_as_it_was_stored(store: Store, now: datetime) -> None:
    whole = machine(
        "bold-otter",
        now,
        uuid=UUID,
        surveyed_at=now,
        permitted=True,
        summary={"disks": [{"size_bytes": 2**40}], "vendor": "Müller ☃"},
        power_parameters={"power_on_uri": "http://switch/on"},
    )
    with store.write() as tx:
        machines.add(tx, whole)
    with store.read() as tx:
        assert machines.find(tx, "bold-otter") == whole
        assert machines.find(tx, "id-bold-otter") == whole


def test_a_machine_that_is_not_there_is_missing_by_name(store: Store) -> None:
    with store.read() as tx, pytest.raises(Missing) as missing:
        machines.find(tx, "nobody")
    assert str(missing.value) == "no machine has the id or name 'nobody'"


def test_a_name_is_taken_once(store: Store, now: datetime) -> None:
    expected = "the name 'bold-otter' is taken by another machine"
    with store.write() as tx:
        machines.add(tx, machine("bold-otter", now))
        machines.add(tx, machine("calm-crab", now))
        with pytest.raises(Conflict) as added:
            machines.add(tx, machine("bold-otter", now, id="another"))
        with pytest.raises(Conflict) as renamed:
            machines.rename(tx, "id-calm-crab", "bold-otter", now=now)
    assert (str(added.value), str(renamed.value)) == (expected, expected)


def test_machines_are_listed_by_name_in_pages_and_by_state(store: Store, now: datetime) -> None:
    with store.write() as tx:
        for name in ("cool-cat", "able-ant", "bold-bee"):
            machines.add(tx, machine(name, now))
        machines.update(tx, "id-bold-bee", state=State.READY)
    with store.read() as tx:
        assert [m.name for m in machines.some(tx, limit=2)] == ["able-ant", "bold-bee"]
        assert [m.name for m in machines.some(tx, after="bold-bee")] == ["cool-cat"]
        assert [m.name for m in machines.some(tx, state="Ready")] == ["bold-bee"]
        assert counts.by_state(tx) == {"New": 2, "Ready": 1}


def test_candidates_are_those_that_share_the_uuid_or_a_mac(store: Store, now: datetime) -> None:
    with store.write() as tx:
        machines.add(tx, machine("uuid", now, uuid=UUID))
        machines.add(tx, machine("mac", now, serial="S1"))
        machines.add(tx, machine("other", now, uuid=UUID.replace("0001", "0002")))
        machines.learn_macs(tx, "id-mac", {MAC: "eth0", "52:54:00:00:00:02": "eth1"})
        machines.learn_macs(tx, "id-other", {"52:54:00:00:00:03": "eth0"})
    with store.read() as tx:
        both = machines.candidates(tx, Claim(uuid=UUID, macs=frozenset({MAC})))
        nobody = machines.candidates(tx, Claim())
        no_uuid = machines.candidates(tx, Claim(macs=frozenset({MAC})))
    by_mac = Known("id-mac", "mac", "", "S1", frozenset({MAC, "52:54:00:00:00:02"}))
    assert sorted(both, key=lambda k: k.id) == [by_mac, Known("id-uuid", "uuid", UUID)]
    assert nobody == []
    assert no_uuid == [by_mac]


def test_a_mac_on_another_record_stays_there(store: Store, now: datetime) -> None:
    with store.write() as tx:
        machines.add(tx, machine("first", now))
        machines.add(tx, machine("second", now))
        assert machines.learn_macs(tx, "id-first", {MAC: "eth0"}) == []
        assert machines.learn_macs(tx, "id-first", {MAC: "eth0"}) == []
        taken = machines.learn_macs(tx, "id-second", {MAC: "eth0", "52:54:00:00:00:02": "eth1"})
    with store.read() as tx:
        assert taken == [MAC]
        assert machines.macs_of(tx, ["id-first", "id-second"]) == {
            "id-first": [MAC],
            "id-second": ["52:54:00:00:00:02"],
        }


def test_deleting_a_machine_leaves_only_its_events(store: Store, now: datetime) -> None:
    with store.write() as tx:
        machines.add(tx, machine("gone", now))
        machines.learn_macs(tx, "id-gone", {MAC: "eth0"})
        boots.add(tx, "boot", machine_id="id-gone", phase="dhcp", phase_at=now, started_at=now)
        boots.mark(tx, "boot", now, "dhcp", "done", "")
        run = runs.add(tx, machine_id="id-gone", mode="enlist", state="running", created_at=now)
        events.add(tx, now, "machine.deleted", "gone was deleted", machine="id-gone")
        machines.delete(tx, "id-gone")
    with store.read() as tx:
        assert [e.message for e in events.some(tx, machine="id-gone")] == ["gone was deleted"]
        assert machines.macs_of(tx, ["id-gone"]) == {"id-gone": []}
        assert boots.some(tx) == []
        assert boots.timeline(tx, ["boot"]) == {"boot": []}
        with pytest.raises(Missing):
            runs.find(tx, run)


def test_events_are_followed_in_order_and_filtered(store: Store, now: datetime) -> None:
    with store.write() as tx:
        for kind in ("machine.state", "audit.login", "machine.state", "machine_state"):
            events.add(tx, now, kind, f"{kind} happened")
    with store.read() as tx:
        every = events.some(tx)
        assert [e.kind for e in every] == [
            "machine.state",
            "audit.login",
            "machine.state",
            "machine_state",
        ]
        assert events.some(tx, limit=1) == every[-1:]
        assert events.some(tx, after=every[0].id, limit=2) == every[1:3]
        assert events.some(tx, kind="machine.") == [every[0], every[2]]
        assert events.some(tx, kind="machine_") == every[3:]


def test_a_boot_comes_back_with_its_timeline(store: Store, now: datetime) -> None:
    with store.write() as tx:
        boots.add(
            tx, "b1", mac=MAC, phase="dhcp", phase_at=now, started_at=now, evidence={"uuid": UUID}
        )
        boots.mark(tx, "b1", now, "dhcp", "done", "first")
        boots.mark(tx, "b1", now, "loader", "failed", "second")
        boots.add(tx, "b2", mac=MAC, phase="dhcp", phase_at=now, started_at=now, ended_at=now)
    with store.read() as tx:
        boot = boots.find(tx, "b1")
        assert (boot.mac, boot.evidence, boot.started_at) == (MAC, {"uuid": UUID}, now)
        assert boots.open_for_mac(tx, MAC, since=now) == boot
        marks = boots.timeline(tx, ["b1", "b2"])
        assert [(m.phase, m.status, m.detail) for m in marks["b1"]] == [
            ("dhcp", "done", "first"),
            ("loader", "failed", "second"),
        ]
        assert marks["b2"] == []
        assert boots.last_mark(tx, "b1") == marks["b1"][1]
        assert boots.count_marks(tx, "b1") == 2
        with pytest.raises(Missing, match=r"^no boot has the id 'b3'$"):
            boots.find(tx, "b3")


def test_a_clash_keeps_its_evidence_until_it_is_decided(store: Store, now: datetime) -> None:
    with store.write() as tx:
        boots.add(tx, "b1", phase="agent", phase_at=now, started_at=now)
        words = {"machines": ["a", "b"], "because": "two", "evidence": {"uuid": UUID}}
        number = clashes.add(tx, boot="b1", now=now, contested=[("uuid", UUID)], **words)
    with store.read() as tx:
        (clash,) = clashes.because(tx, "two")
        assert (clash.machines, clash.because, clash.evidence) == (
            ["a", "b"],
            "two",
            {"uuid": UUID},
        )
        assert clashes.some(tx) == [clash]
        assert clashes.find(tx, number) == clash
        assert clash.contested == [["uuid", UUID]]
        assert clashes.because(tx, "three") == []


def test_a_user_is_found_by_a_key_until_it_is_revoked(store: Store, now: datetime) -> None:
    with store.write() as tx:
        assert not people.any_user(tx)
        people.add_user(tx, "ada", role="admin", password_hash="hash", now=now)
        ada = people.user_named(tx, "ada")
        assert ada is not None
        people.add_key(tx, ada.id, name="laptop", key_hash="k1", now=now)
        people.add_key(tx, ada.id, name="phone", key_hash="k2", now=now)
        people.revoke_key(tx, "k1", now=now)
    with store.read() as tx:
        assert people.any_user(tx)
        assert (ada.name, ada.role, ada.password_hash, ada.created_at) == (
            "ada",
            "admin",
            "hash",
            now,
        )
        assert people.user_with_key(tx, "k1") is None
        assert people.user_with_key(tx, "k2") == ada
        assert people.user_named(tx, "eve") is None


def test_facts_with_numbers_that_few_can_read_are_read_like_others(
    store: Store, now: datetime
) -> None:
    told = '{"memory": 1e400, "cpu.cores": 4, "disks": [{"size": 1e400}, {"size": 5}]}'
    with store.write() as tx:
        machines.add(tx, machine("m1", now), {MAC: ""})
        hardware.keep(tx, "id-m1", {})
        tx.execute(sa.text("UPDATE hardware SET facts = :told"), {"told": told})
    with store.read() as tx:
        read = hardware.of(tx, ["id-m1"])["id-m1"]
    assert dict(read) == {
        "memory": math.inf,
        "cpu.cores": 4,
        "disks": [{"size": math.inf}, {"size": 5}],
    }
