import asyncio
from datetime import timedelta

import pytest
from rack import MAC, Rack

from muster.lifecycle import polling, power, switches
from muster.power import fake
from muster.power.drivers import PowerError
from muster.store import boots, machines, power_states
from muster.store.power_states import PowerState


@pytest.fixture
def name(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine whose fake switch is off."""
    monkeypatch.setattr(fake, "switches", {})
    machine: str = rack.arrive(uuid="", macs=[MAC])[1].machine
    given = {"name": machine}
    switches.set_switch(rack.store, rack.keyring, machine, "fake", given, actor="a", now=rack.now())
    return machine


def board(rack: Rack) -> power.Switchboard:
    return power.Switchboard(rack.store, rack.keyring, rack.policy, rack.now)


def poll(rack: Rack) -> int:
    return asyncio.run(polling.sweep(board(rack)))


def row(rack: Rack, name: str) -> PowerState:
    with rack.store.read() as tx:
        found = power_states.find(tx, machines.find(tx, name).id)
    assert found is not None
    return found


def until_due(rack: Rack, name: str) -> float:
    due = row(rack, name).due_at
    assert due is not None
    waited = (due - rack.now()).total_seconds()
    rack.now.now = due
    return waited


def test_a_machine_with_a_switch_is_looked_at_often_after_a_change_then_less(
    rack: Rack, name: str
) -> None:
    rack.arrive(uuid="", macs=["52:54:00:99:99:99"])  # Switched by hand: never looked at.
    assert poll(rack) == 1
    assert (row(rack, name).state, row(rack, name).seen_at) == ("off", rack.now())
    assert poll(rack) == 0
    poll_s = rack.policy.poll_s
    assert poll_s / 4 <= until_due(rack, name) <= poll_s / 4 * 1.1
    rack.now.advance(polling.LIVELY.total_seconds())
    assert poll(rack) == 1
    assert poll_s <= until_due(rack, name) <= poll_s * 1.1
    assert rack.told("power.changed") == []


def test_a_button_that_a_person_pressed_is_shown(rack: Rack, name: str) -> None:
    poll(rack)
    fake.switches[name] = "on"
    until_due(rack, name)
    poll(rack)
    told = f"{name} is on now and muster did not switch it, while run 1 was open: "
    (event,) = rack.told("power.changed")
    assert event.partition("run ")[0] == told.partition("run ")[0]
    assert event.endswith(": a person, its BMC or its own system did")


@pytest.mark.parametrize("look_between", [False, True])
def test_what_muster_switched_is_no_surprise(rack: Rack, name: str, look_between: bool) -> None:
    poll(rack)
    power.ask(rack.store, rack.policy, name, "on", actor="ada", now=rack.now())
    asyncio.run(power.step(board(rack)))
    for seconds in (1, 60) if look_between else (1,):
        asyncio.run(power.step(board(rack)))
        rack.now.advance(seconds)
        asyncio.run(power.step(board(rack)))
    until_due(rack, name)
    poll(rack)
    assert (row(rack, name).state, rack.told("power.changed")) == ("on", [])
    fake.switches[name] = "off"
    until_due(rack, name)
    poll(rack)
    assert len(rack.told("power.changed")) == 1


def test_a_dead_bmc_is_asked_less_and_less_and_told_once(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll(rack)
    look = fake.state

    async def dead(_: dict) -> str:
        raise PowerError("no answer")

    monkeypatch.setattr(fake, "state", dead)
    waits = []
    for _ in range(8):
        until_due(rack, name)
        poll(rack)
        due = row(rack, name).due_at
        assert due is not None
        waits.append(due - rack.now())
    assert waits == sorted(waits)
    assert waits[-1] == polling.LONGEST
    assert (row(rack, name).state, row(rack, name).error) == ("off", "no answer")
    assert rack.told("power.unseen") == [f"{name}: its power state cannot be seen: no answer"]
    monkeypatch.setattr(fake, "state", look)
    until_due(rack, name)
    poll(rack)
    assert (row(rack, name).failures, row(rack, name).error) == (0, "")
    assert rack.told("power.seen") == [f"{name}: its power state is seen again: off"]


def test_a_wrong_password_is_not_tried_until_the_account_is_locked(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: dict) -> str:
        raise PowerError("wrong password", permanent=True)

    monkeypatch.setattr(fake, "state", refuse)
    poll(rack)
    assert until_due(rack, name) == polling.LONGEST.total_seconds()


def test_a_new_password_is_tried_at_once(rack: Rack, name: str) -> None:
    poll(rack)
    assert poll(rack) == 0
    given = {"name": name, "power_pass": "right"}
    switches.set_switch(rack.store, rack.keyring, name, "fake", given, actor="a", now=rack.now())
    assert poll(rack) == 1


def test_a_bmc_that_is_acted_on_is_left_in_peace(rack: Rack, name: str) -> None:
    rack.set(name, bmc="10.0.0.5")
    power.ask(rack.store, rack.policy, name, "on", actor="ada", now=rack.now())
    assert len(power._claim(board(rack))) == 1
    assert poll(rack) == 0
    rack.now.now += power.LEASE + timedelta(seconds=1)
    assert poll(rack) == 1


def test_two_servers_look_at_each_machine_once(rack: Rack, name: str, together) -> None:
    for number in range(9):
        rack.arrive(uuid="", macs=[f"52:54:00:99:99:0{number}"])
    with rack.store.write() as tx:
        for machine in machines.some(tx):
            given = {"name": machine.name, "delay_s": "0", "fault": ""}
            machines.update(tx, machine.id, power_driver="fake", power_parameters=given)
        power_states.enrol(tx, now=rack.now())
    assert sum(together(lambda: poll(rack), lambda: poll(rack))) == 10


def test_a_bmc_that_says_off_while_the_agent_is_heard_is_not_believed(
    rack: Rack, name: str
) -> None:
    poll(rack)
    rack.now.advance(5)
    with rack.store.write() as tx:
        (boot,) = boots.open_of_machine(tx, machines.find(tx, name).id)
        boots.update(tx, boot.id, started_at=rack.now() - timedelta(60), last_heard_at=rack.now())
    until_due(rack, name)
    poll(rack)
    (told,) = rack.told("power.unseen")
    assert told.endswith(
        "the BMC says off while the machine's agent is heard: it lies, or it is another machine's;"
        " check power_address and node_id, or restart the BMC"
    )
    assert row(rack, name).state == "off"
    until_due(rack, name)
    poll(rack)
    assert len(rack.told("power.unseen")) == 1


def test_a_machine_that_started_after_it_was_seen_off_is_no_lie(rack: Rack, name: str) -> None:
    poll(rack)
    rack.now.advance(5)
    with rack.store.write() as tx:
        (boot,) = boots.open_of_machine(tx, machines.find(tx, name).id)
        boots.update(tx, boot.id, started_at=rack.now(), last_heard_at=rack.now())
    until_due(rack, name)
    poll(rack)
    assert rack.told("power.unseen") == []


def test_a_look_through_an_older_switch_is_not_kept(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = rack.machine(name)
    usual = fake.state

    async def switched_meanwhile(parameters: dict[str, str]) -> str:
        seen = await usual(parameters)
        rack.now.advance(1)
        given = {"name": "another"}
        switches.set_switch(
            rack.store, rack.keyring, name, "fake", given, actor="a", now=rack.now()
        )
        return seen

    monkeypatch.setattr(fake, "state", switched_meanwhile)
    assert poll(rack) == 1
    assert row(rack, name) == PowerState(machine.id, due_at=rack.now())


def test_a_machine_switched_by_hand_again_is_looked_at_no_more(rack: Rack, name: str) -> None:
    assert poll(rack) == 1
    switches.set_switch(rack.store, rack.keyring, name, "manual", {}, actor="a", now=rack.now())
    rack.now.advance(86400)
    assert poll(rack) == 0
