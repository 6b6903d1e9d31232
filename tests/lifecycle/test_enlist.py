from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rack import MAC, MAC2, UUID, Rack

from muster.images.library import Library
from muster.lifecycle import commission
from muster.lifecycle.enlist import BootPlan
from muster.lifecycle.secrets import Forbidden
from muster.machine.phases import Purpose
from muster.machine.states import State
from muster.store import boots, clashes
from muster.store.clashes import ClashRow
from muster.store.engine import Tx
from muster.wire.hello import Nic

DUMMY = "03000200-0400-0500-0006-000700080009"
OTHER_UUID = "0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e0002"


def test_an_unknown_machine_starts_the_ephemeral_os_with_a_nonce(rack: Rack) -> None:
    plan = rack.boot()
    assert plan == BootPlan(
        plan.boot, Purpose.ENLIST, "no record has its UUID or one of its MACs", plan.nonce, "swift",
        rack.library.current(),
    )  # fmt: skip
    assert len(plan.nonce) == 32
    assert rack.machines() == []
    image = f"image {rack.library.in_use().id[:12]} (bookworm)"
    assert rack.marks(plan.boot) == [
        ("dhcp", "done", "answered by another DHCP server"),
        ("loader", "done", f"boot answer: enlist: {plan.reason}; {image}, the one in use"),
    ]


def test_no_secret_is_stored_in_the_clear(rack: Rack) -> None:
    plan, welcome = rack.arrive()
    with rack.store.read() as tx:
        (row,) = tx.execute(boots.boots.select()).all()
    stored = " ".join(str(value) for value in row)
    for secret in (plan.nonce, welcome.token, "key-1"):
        assert secret not in stored


def test_hello_makes_a_machine_in_state_new(rack: Rack) -> None:
    _, welcome = rack.arrive()
    machine = rack.machine(welcome.machine)
    assert (welcome.decision, welcome.mode, welcome.after) == ("run", "enlist", "poweroff")
    assert (machine.state, machine.state_reason) == (State.NEW, "enlisted itself")
    assert (machine.uuid, machine.serial) == (UUID, "SN1")
    assert (machine.vendor, machine.product) == ("Acme", "Rack9000")
    assert (machine.architecture, machine.firmware) == ("x86_64", "uefi")
    assert machine.permitted
    assert machine.surveyed_at is None
    assert rack.macs(machine.name) == [MAC]
    assert rack.told("machine.enlisted") == [
        f"{machine.name} enlisted itself: no record has its UUID or one of its MACs"
    ]


def test_the_recorded_machine_enlists_with_all_its_evidence(rack: Rack, hello) -> None:
    said = hello("nonce").evidence
    plan = rack.boot(uuid=said.uuid, mac=said.nics[0].mac)
    welcome = rack.say_hello(plan.nonce, uuid=said.uuid, serial=said.serial, macs=None)
    machine = rack.machine(welcome.machine)
    assert (machine.uuid, machine.serial) == ("12345678-1234-5678-9abc-123456789abc", "SN0001")
    assert rack.macs(machine.name) == [
        "52:54:00:12:34:01",
        "52:54:00:12:34:02",
        "52:54:00:12:34:03",
    ]


def test_asking_again_with_the_same_key_gives_the_same_run_and_a_new_token(rack: Rack) -> None:
    plan, first = rack.arrive()
    again = rack.say_hello(plan.nonce)
    assert again == replace(first, token=again.token)
    assert again.token != first.token
    assert len(rack.machines()) == 1
    with pytest.raises(Forbidden) as refusal:
        rack.send(first.token)
    assert (str(refusal.value), refusal.value.status) == ("unknown session token", 401)
    assert rack.send(again.token).seq == 0


def test_another_key_for_a_used_nonce_is_a_replay(rack: Rack) -> None:
    plan, _ = rack.arrive()
    with pytest.raises(Forbidden) as refusal:
        rack.say_hello(plan.nonce, key="key-2")
    expected = f"hello with the used nonce of boot {plan.boot}"
    assert (str(refusal.value), refusal.value.status) == (expected, 403)


def test_an_unknown_nonce_is_refused(rack: Rack) -> None:
    with pytest.raises(Forbidden) as refusal:
        rack.say_hello("guessed")
    assert (str(refusal.value), refusal.value.status) == ("hello with an unknown nonce", 401)
    assert rack.machines() == []


def test_an_expired_nonce_is_refused(rack: Rack) -> None:
    plan = rack.boot()
    rack.now.advance(rack.policy.nonce_s)
    with pytest.raises(Forbidden) as refusal:
        rack.say_hello(plan.nonce)
    expected = f"hello with the expired nonce of boot {plan.boot}"
    assert (str(refusal.value), refusal.value.status) == (expected, 403)


def test_a_nonce_in_use_does_not_expire(rack: Rack) -> None:
    plan, first = rack.arrive()
    rack.now.advance(rack.policy.nonce_s + 1)
    assert rack.say_hello(plan.nonce).scripts == first.scripts


def test_a_nonce_of_a_boot_that_has_ended_is_refused(rack: Rack) -> None:
    plan, welcome = rack.arrive()
    rack.finish(welcome)
    with pytest.raises(Forbidden) as refusal:
        rack.say_hello(plan.nonce)
    expected = f"hello for boot {plan.boot}, which has ended"
    assert (str(refusal.value), refusal.value.status) == (expected, 403)


def test_two_hellos_at_once_make_one_machine(rack: Rack, together) -> None:
    plan = rack.boot()
    first, second = together(*[lambda: rack.say_hello(plan.nonce)] * 2)
    assert first.scripts == second.scripts
    assert len(rack.machines()) == 1


def test_two_boots_of_one_machine_at_once_make_one_machine(rack: Rack, together) -> None:
    plans = [rack.boot(mac=MAC), rack.boot(mac=MAC2)]
    hellos = [lambda nonce=plan.nonce: rack.say_hello(nonce, macs=[MAC, MAC2]) for plan in plans]
    first, second = together(*hellos)
    assert first.machine == second.machine
    assert len(rack.machines()) == 1


def test_a_machine_on_hold_runs_after_a_person_accepted_it(rack: Rack) -> None:
    rack.policy = replace(rack.policy, enlist="hold")
    plan, held = rack.arrive()
    reason = f"{held.machine} asks to send its data; somebody must accept it first"
    assert (held.decision, held.reason, held.retry_s, held.token) == ("hold", reason, 3, "")
    assert held.scripts == []
    assert rack.find_boot(plan.boot).deadline_at is None
    commission.accept(rack.store, held.machine, actor="ada", now=rack.now())
    welcome = rack.say_hello(plan.nonce)
    assert (welcome.decision, welcome.machine) == ("run", held.machine)
    assert rack.told("machine.accepted") == [f"{held.machine} may send its data"]


def test_a_machine_that_falls_silent_after_being_accepted_has_a_deadline(rack: Rack) -> None:
    rack.policy = replace(rack.policy, enlist="hold")
    plan, held = rack.arrive()
    commission.accept(rack.store, held.machine, actor="ada", now=rack.now())
    rack.say_hello(plan.nonce)
    assert rack.find_boot(plan.boot).deadline_at is not None


def test_a_held_machine_that_a_person_denies_is_told_why_and_not_booted_again(rack: Rack) -> None:
    rack.policy = replace(rack.policy, enlist="hold")
    plan, held = rack.arrive()
    commission.deny(rack.store, held.machine, reason="not ours", actor="ada", now=rack.now())
    denied = rack.say_hello(plan.nonce)
    assert (denied.decision, denied.reason, denied.token) == ("denied", "not ours", "")
    assert rack.find_boot(plan.boot).ended_at == rack.now()
    again = rack.boot()
    assert (again.purpose, again.reason, again.nonce) == (Purpose.REFUSED, "not ours", "")
    assert rack.told("machine.denied") == [f"{held.machine}: not ours"]


def test_a_denied_machine_that_is_accepted_after_all_enlists(rack: Rack) -> None:
    rack.policy = replace(rack.policy, enlist="hold")
    _, held = rack.arrive()
    commission.deny(rack.store, held.machine, reason="", actor="ada", now=rack.now())
    assert rack.boot().reason == "denied by ada"
    commission.accept(rack.store, held.machine, actor="ada", now=rack.now())
    _, welcome = rack.arrive()
    assert (welcome.decision, welcome.machine) == ("run", held.machine)


def test_a_policy_of_deny_refuses_unknown_machines_at_boot(rack: Rack) -> None:
    rack.policy = replace(rack.policy, enlist="deny")
    plan = rack.boot()
    assert (plan.purpose, plan.nonce) == (Purpose.REFUSED, "")
    assert plan.reason == "the policy denies unknown machines"
    assert rack.find_boot(plan.boot).ended_at == rack.now()


def test_a_policy_changed_to_deny_refuses_a_machine_that_is_already_booting(rack: Rack) -> None:
    plan = rack.boot()
    rack.policy = replace(rack.policy, enlist="deny")
    welcome = rack.say_hello(plan.nonce)
    assert (welcome.decision, welcome.token) == ("denied", "")
    assert welcome.reason == "the policy denies unknown machines"


def test_a_machine_that_boots_twice_is_the_same_machine(rack: Rack) -> None:
    _, first = rack.arrive()
    rack.now.advance(60)
    _, second = rack.arrive()
    assert first.machine == second.machine
    assert [(r.state, r.reason) for r in rack.runs(first.machine)] == [
        ("running", ""),
        ("failed", "the machine started again"),
    ]


@pytest.mark.parametrize(
    "uuid", ["", DUMMY, "Not Settable", "0" * 8 + "-0000-0000-0000-" + "0" * 12]
)
def test_a_machine_without_a_usable_uuid_is_known_again_by_its_mac(rack: Rack, uuid: str) -> None:
    words = {"uuid": uuid, "serial": "", "macs": [MAC, MAC2]}
    _, first = rack.arrive(**words)
    _, second = rack.arrive(**words)
    _, other = rack.arrive(**words | {"macs": ["52:54:00:99:99:99"]})
    assert first.machine == second.machine != other.machine
    assert rack.machine(first.machine).uuid == ""


def test_a_new_nic_is_learnt_and_an_old_one_stays(rack: Rack) -> None:
    rack.arrive(macs=[MAC])
    _, welcome = rack.arrive(macs=[MAC, MAC2])
    _, welcome = rack.arrive(macs=[MAC2])
    assert rack.macs(welcome.machine) == [MAC, MAC2]


@pytest.mark.parametrize("state", [s for s in State if s != State.NEW])
def test_a_machine_that_owes_nothing_boots_its_own_disk(rack: Rack, state: State) -> None:
    _, welcome = rack.arrive()
    rack.finish(welcome)
    rack.set(welcome.machine, state=state)
    plan = rack.boot()
    assert (plan.purpose, plan.nonce) == (Purpose.LOCAL, "")
    assert plan.reason == f"{welcome.machine} is {state}: same hardware UUID"
    assert rack.find_boot(plan.boot).ended_at == rack.now()


def test_a_new_machine_that_was_surveyed_boots_its_own_disk(rack: Rack) -> None:
    _, welcome = rack.arrive()
    rack.finish(welcome)
    assert rack.boot().purpose == Purpose.LOCAL


def test_a_new_machine_whose_survey_failed_is_surveyed_again(rack: Rack) -> None:
    _, welcome = rack.arrive()
    rack.finish(welcome, exit_status=1)
    plan = rack.boot()
    assert plan.purpose == Purpose.ENLIST
    assert plan.reason == f"{welcome.machine} was never surveyed"


@pytest.mark.parametrize("state", [State.READY, State.IN_USE, State.BROKEN])
def test_a_report_of_a_known_machine_is_kept_and_its_state_stays(rack: Rack, state: State) -> None:
    """A loader that shows no UUID and a new MAC is enlisted; the hello knows it again."""
    _, first = rack.arrive()
    rack.finish(first)
    rack.set(first.machine, state=state)
    plan = rack.boot(uuid="", mac="52:54:00:77:77:77")
    assert plan.purpose == Purpose.ENLIST
    rack.now.advance(60)
    welcome = rack.say_hello(plan.nonce, macs=[MAC, "52:54:00:77:77:77"])
    rack.finish(welcome)
    machine = rack.machine(first.machine)
    assert (welcome.machine, machine.state) == (first.machine, state)
    assert machine.surveyed_at == rack.now()
    assert [r.state for r in rack.runs(machine.name)] == ["passed", "passed"]


def test_without_an_image_a_machine_is_refused_with_the_remedy(rack: Rack, tmp_path: Path) -> None:
    plan = rack.boot(library=Library(tmp_path / "empty"))
    assert (plan.purpose, plan.nonce) == (Purpose.REFUSED, "")
    assert plan.reason == "no image for amd64: run 'muster image build'"


def test_without_an_image_a_known_machine_still_boots_its_own_disk(
    rack: Rack, tmp_path: Path
) -> None:
    _, welcome = rack.arrive()
    rack.finish(welcome)
    assert rack.boot(library=Library(tmp_path / "empty")).purpose == Purpose.LOCAL


@pytest.fixture
def two(rack: Rack) -> SimpleNamespace:
    """Two surveyed machines."""
    _, first = rack.arrive(uuid=UUID, serial="SN1", macs=[MAC])
    _, second = rack.arrive(uuid=OTHER_UUID, serial="SN2", macs=[MAC2])
    rack.finish(first)
    rack.finish(second)
    return SimpleNamespace(first=first.machine, second=second.machine)


def claimed(tx: Tx) -> list[ClashRow]:
    """Of what a machine said; that two machines sent the same recorded document is noticed too."""
    return [clash for clash in clashes.some(tx) if clash.evidence]


def test_a_clash_at_boot_starts_nothing_and_changes_no_record(rack: Rack, two) -> None:
    before = rack.machines()
    plan = rack.boot(uuid=UUID, mac=MAC2)
    because = f"hardware UUID is {two.first}'s, but a MAC belongs to {two.second}"
    assert (plan.purpose, plan.nonce) == (Purpose.REFUSED, "")
    assert plan.reason == f"clash: {because}; a person must decide"
    assert rack.machines() == before
    boot = rack.find_boot(plan.boot)
    assert (boot.machine_id, boot.uuid, boot.mac) == (None, UUID, MAC2)
    with rack.store.read() as tx:
        (clash,) = claimed(tx)
    assert (clash.boot_id, clash.because) == (plan.boot, because)
    assert clash.machines == [rack.machine(two.first).id, rack.machine(two.second).id]
    assert clash.evidence == {"uuid": UUID, "serial": "", "mac": MAC2}


def test_a_machine_that_clashes_at_every_boot_is_one_clash(rack: Rack, two) -> None:
    for _ in range(3):
        rack.boot(uuid=UUID, mac=MAC2)
    with rack.store.read() as tx:
        assert len(claimed(tx)) == 1


def test_a_clash_at_hello_keeps_both_sides_and_changes_no_record(rack: Rack, two) -> None:
    before = rack.machines()
    plan = rack.boot(uuid="", mac="52:54:00:99:99:99")
    held = rack.say_hello(plan.nonce, uuid=UUID, macs=[MAC, MAC2])
    again = rack.say_hello(plan.nonce, uuid=UUID, macs=[MAC, MAC2])
    because = f"hardware UUID is {two.first}'s, but a MAC belongs to {two.second}"
    assert held == again
    assert (held.decision, held.reason, held.token) == ("hold", f"clash: {because}", "")
    assert (held.machine, held.scripts) == ("", [])
    assert rack.machines() == before
    assert (rack.macs(two.first), rack.macs(two.second)) == ([MAC], [MAC2])
    with rack.store.read() as tx:
        (clash,) = claimed(tx)
    assert clash.machines == [rack.machine(two.first).id, rack.machine(two.second).id]
    assert clash.evidence["uuid"] == UUID
    assert [nic["mac"] for nic in clash.evidence["nics"]] == [MAC, MAC2]
    assert rack.told("machine.clash")[-1] == because


def test_a_hello_with_other_evidence_stays_with_the_machine_of_its_boot(rack: Rack, two) -> None:
    plan, welcome = rack.arrive(uuid=DUMMY, serial="", macs=["52:54:00:99:99:99"])
    again = rack.say_hello(plan.nonce, uuid=OTHER_UUID, macs=[MAC2])
    assert (again.machine, again.scripts) == (welcome.machine, welcome.scripts)
    assert rack.find_boot(plan.boot).machine_id == rack.machine(welcome.machine).id


@pytest.mark.parametrize("bad", ["nul\x00nul", "half \ud83d pair", "line\nline"])
def test_a_loader_that_sends_what_no_text_has_is_answered(rack: Rack, bad: str) -> None:
    plan = rack.boot(uuid=bad, mac=MAC, serial=bad)
    assert plan.purpose == Purpose.ENLIST
    assert rack.find_boot(plan.boot).serial in ("nulnul", "half  pair", "lineline")


def test_a_dock_s_mac_is_on_no_record_and_makes_no_clash(rack: Rack) -> None:
    dock = Nic("00:50:b6:aa:bb:cc", "enx0050b6aabbcc", bus="usb")
    plan = rack.boot(mac=dock.mac)
    first = rack.say_hello(plan.nonce, macs=None, nics=[Nic(MAC, "eth0", bus="pci"), dock])
    plan = rack.boot(mac=dock.mac, uuid=OTHER_UUID)
    second = rack.say_hello(
        plan.nonce,
        uuid=OTHER_UUID,
        serial="SN2",
        macs=None,
        nics=[Nic(MAC2, "eth0"), dock],
    )
    assert (first.decision, second.decision) == ("run", "run")
    assert first.machine != second.machine
    assert rack.macs(first.machine) == [MAC]
    assert rack.macs(second.machine) == [MAC2]
