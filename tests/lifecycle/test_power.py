import asyncio
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rack import Rack

from muster.lifecycle import commission, power
from muster.lifecycle.commission import Options
from muster.machine.states import State
from muster.power import drivers, fake
from muster.store import goals, machines, runs

PATIENCE = 400  # steps; a goal that is not settled by then never is


class Crash(Exception):
    """The process died here."""


@dataclass
class Switch:
    """The fake switch, watched: what really changed, and a process that dies at chosen points."""

    name: str
    changes: list[str] = field(default_factory=list)
    points: int = 0
    crash_at: frozenset[int] = frozenset()

    def point(self) -> None:
        self.points += 1
        if self.points in self.crash_at:
            raise Crash(self.points)


@pytest.fixture
def switch(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> Switch:
    """The switch of a New machine that is on."""
    machine = rack.arrive()[1].machine
    watched = Switch(machine)
    rack.set(machine, power_driver="fake", power_parameters={"name": machine})
    monkeypatch.setattr(fake, "switches", {machine: "on"})
    real = {name: getattr(fake, name) for name in ("state", "on", "off")}

    def watch(name: str):
        async def call(parameters: dict) -> str | None:
            watched.point()
            before = fake.switches.get(machine)
            answer = await real[name](parameters)
            if fake.switches.get(machine) != before:
                watched.changes.append(name)
            watched.point()
            return answer

        return call

    settle = power._settle

    def settle_or_die(*words) -> None:
        watched.point()
        settle(*words)
        watched.point()

    for name in real:
        monkeypatch.setattr(fake, name, watch(name))
    monkeypatch.setattr(power, "_settle", settle_or_die)
    return watched


def ask(rack: Rack, switch: Switch, goal: str) -> None:
    power.ask(rack.store, rack.policy, switch.name, goal, actor="ada", now=rack.now())


def step(rack: Rack) -> int:
    return asyncio.run(power.step(board(rack)))


def board(rack: Rack) -> power.Switchboard:
    return power.Switchboard(rack.store, rack.keyring, rack.policy, rack.now)


def goal_of(rack: Rack, switch: Switch) -> goals.Goal:
    with rack.store.read() as tx:
        found = goals.find(tx, machines.find(tx, switch.name).id)
    assert found is not None
    return found


def work(rack: Rack, switch: Switch) -> goals.Goal:
    """Let processes work, each until it dies, until nothing is due."""
    for _ in range(PATIENCE):
        try:
            step(rack)
        except Crash:
            rack.now.advance(power.LEASE.total_seconds())
        due = goal_of(rack, switch).due_at
        if due is None:
            break
        rack.now.now = max(due, rack.now())
    return goal_of(rack, switch)


@pytest.mark.parametrize(
    ("goal", "before", "changes"),
    [
        ("on", "off", ["on"]),
        ("on", "on", []),
        ("off", "on", ["off"]),
        ("off", "off", []),
        ("cycle", "on", ["off", "on"]),
        ("cycle", "off", ["on"]),
    ],
)
def test_a_machine_is_switched_until_it_is_as_wanted(
    rack: Rack, switch: Switch, goal: str, before: str, changes: list[str]
) -> None:
    fake.switches[switch.name] = before
    ask(rack, switch, goal)
    reached = work(rack, switch)
    after = "off" if goal == "off" else "on"
    assert (reached.status, reached.detail) == ("reached", f"power is {after}")
    assert switch.changes == changes
    assert rack.told("power.wanted") == [f"power {goal} wanted for {switch.name}: asked by ada"]
    assert rack.told("power.reached") == [f"{switch.name}: power is {after}"]


# A cycle without a crash passes 14 points: 4 looks, 2 switchings, and a settling for each step.
@pytest.mark.parametrize("point", range(1, 23))
def test_a_crash_anywhere_neither_cuts_twice_nor_loses_the_goal(
    rack: Rack, switch: Switch, point: int
) -> None:
    switch.crash_at = frozenset({point})
    ask(rack, switch, "cycle")
    assert work(rack, switch).status == "reached"
    assert switch.changes == ["off", "on"]


def test_a_cycle_without_a_crash_passes_fewer_points_than_are_tried(
    rack: Rack, switch: Switch
) -> None:
    ask(rack, switch, "cycle")
    work(rack, switch)
    assert 8 < switch.points < 23


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.frozensets(st.integers(1, 30), max_size=5))
def test_crashes_neither_cut_twice_nor_lose_the_goal(
    rack: Rack, switch: Switch, crashes: frozenset[int]
) -> None:
    switch.crash_at, switch.points = crashes, 0
    switch.changes.clear()
    # So many crashes take longer than one goal is given.
    with rack.store.write() as tx:
        machine = machines.find(tx, switch.name)
        late = rack.now() + 20 * power.LEASE
        goals.want(tx, machine.id, "cycle", now=rack.now(), deadline=late)
    assert work(rack, switch).status == "reached"
    assert switch.changes == ["off", "on"]


def test_a_switch_that_fails_is_asked_less_and_less_and_told_once(
    rack: Rack, switch: Switch
) -> None:
    rack.set(switch.name, power_parameters={"name": switch.name, "fault": "BMC busy"})
    ask(rack, switch, "on")
    waits = []
    for _ in range(5):
        step(rack)
        goal = goal_of(rack, switch)
        assert goal.due_at is not None
        waits.append((goal.due_at - rack.now()).total_seconds())
        rack.now.now = goal.due_at
    assert waits == [1, 2, 4, 8, 16]
    assert rack.told("power.failed") == [f"power on of {switch.name}: BMC busy"]


def test_a_switch_that_recovers_is_used(rack: Rack, switch: Switch) -> None:
    rack.set(switch.name, power_parameters={"name": switch.name, "fault": "BMC busy"})
    ask(rack, switch, "off")
    step(rack)
    rack.now.advance(1)
    rack.set(switch.name, power_parameters={"name": switch.name})
    assert work(rack, switch).status == "reached"
    assert switch.changes == ["off"]


def commissioned(rack: Rack, switch: Switch) -> int:
    return commission.start(
        rack.store, rack.policy, switch.name, Options(), actor="ada", now=rack.now()
    )


def test_a_switch_that_fails_to_the_end_fails_the_run_with_the_reason(
    rack: Rack, switch: Switch
) -> None:
    rack.set(switch.name, power_parameters={"name": switch.name, "fault": "BMC busy"})
    run = commissioned(rack, switch)
    began = rack.now()
    failed = work(rack, switch)
    reason = f"power cycle of {switch.name}: BMC busy"
    machine = rack.machine(switch.name)
    assert (failed.status, failed.detail) == ("failed", "BMC busy")
    took = (rack.now() - began).total_seconds()
    assert rack.policy.power_s <= took <= rack.policy.power_s + 64
    assert (machine.state, machine.state_reason) == (State.FAILED_COMMISSIONING, reason)
    with rack.store.read() as tx:
        assert (runs.find(tx, run).state, runs.find(tx, run).reason) == ("failed", reason)
    assert rack.told("power.failed") == [reason, reason]


def test_a_switch_that_obeys_without_effect_fails_at_the_deadline(
    rack: Rack, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_: dict) -> None:
        return

    monkeypatch.setattr(fake, "off", nothing)
    rack.policy = replace(rack.policy, power_s=20)
    commissioned(rack, switch)
    failed = work(rack, switch)
    detail = (
        "the BMC accepted 'off' once and still says on; look at the machine itself,"
        " or restart its BMC"
    )
    assert (failed.status, failed.detail) == ("failed", detail)
    assert rack.machine(switch.name).state_reason == f"power cycle of {switch.name}: {detail}"


def test_a_wrong_parameter_fails_at_once(
    rack: Rack, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: dict) -> str:
        raise drivers.PowerError("wrong password", permanent=True)

    monkeypatch.setattr(fake, "state", refuse)
    commissioned(rack, switch)
    step(rack)
    assert goal_of(rack, switch).status == "failed"
    assert rack.machine(switch.name).state == State.FAILED_COMMISSIONING


def test_a_running_run_is_not_failed_by_the_switch(rack: Rack, switch: Switch) -> None:
    run = commissioned(rack, switch)
    rack.arrive()
    rack.set(switch.name, power_parameters={"name": switch.name, "fault": "BMC busy"})
    ask(rack, switch, "on")
    assert work(rack, switch).status == "failed"
    with rack.store.read() as tx:
        assert runs.find(tx, run).state == "running"


def test_no_power_is_cut_for_a_boot_that_is_refused(
    rack: Rack, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def check_boot(_: dict, device: str) -> None:
        asked.append(device)
        raise drivers.PowerError("a container has no firmware", permanent=True)

    monkeypatch.setattr(fake, "check_boot", check_boot, raising=False)
    commission.start(rack.store, rack.policy, switch.name, Options(), actor="ada", now=rack.now())
    failed = work(rack, switch)
    assert (failed.status, failed.detail) == ("failed", "a container has no firmware")
    assert (switch.changes, asked) == ([], ["network"])
    told = f"power cycle of {switch.name}: a container has no firmware"
    assert rack.told("power.failed") == [told]
    with rack.store.read() as tx:
        assert machines.find(tx, switch.name).state == State.FAILED_COMMISSIONING


def test_a_machine_without_a_driver_is_told_to_a_person(rack: Rack) -> None:
    machine = rack.arrive()[1].machine
    for goal in ("on", "off", "cycle"):
        power.ask(rack.store, rack.policy, machine, goal, actor="ada", now=rack.now())
    assert rack.told("power.manual") == [
        f"switch {machine} on by hand: asked by ada",
        f"switch {machine} off by hand: asked by ada",
        f"switch {machine} on by hand: asked by ada",
    ]
    assert step(rack) == 0


def test_a_newer_wish_wins_over_an_older_step(
    rack: Rack, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(rack, switch, "on")
    look = fake.state

    async def look_while_somebody_changes_his_mind(parameters: dict) -> str:
        monkeypatch.setattr(fake, "state", look)
        ask(rack, switch, "off")
        return await look(parameters)

    monkeypatch.setattr(fake, "state", look_while_somebody_changes_his_mind)
    step(rack)
    newer = goal_of(rack, switch)
    assert (newer.goal, newer.status, newer.due_at) == ("off", "waiting", rack.now())
    assert work(rack, switch).status == "reached"
    assert switch.changes == ["off"]
    assert rack.told("power.reached") == [f"{switch.name}: power is off"]


def test_a_machine_deleted_during_a_step_is_left(
    rack: Rack, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def delete(_: dict) -> str:
        commission.delete(rack.store, switch.name, actor="ada", now=rack.now())
        return "on"

    ask(rack, switch, "on")
    monkeypatch.setattr(fake, "state", delete)
    assert step(rack) == 1
    assert step(rack) == 0
    assert rack.told("power.reached") == []


def test_one_driver_that_breaks_does_not_stop_the_others(
    rack: Rack, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver with a mistake in it raises what it likes."""
    other = rack.arrive(uuid="", macs=["52:54:00:99:99:99"])[1].machine
    rack.set(other, power_driver="fake", power_parameters={"name": "broken"})
    look = fake.state

    async def look_or_break(parameters: dict) -> str:
        if parameters["name"] == "broken":
            raise KeyError("power_pass")
        return await look(parameters)

    monkeypatch.setattr(fake, "state", look_or_break)
    ask(rack, switch, "off")
    power.ask(rack.store, rack.policy, other, "on", actor="ada", now=rack.now())
    for _ in range(3):
        with pytest.raises(KeyError):
            step(rack)
        rack.now.advance(power.LEASE.total_seconds())
    assert goal_of(rack, switch).status == "reached"
