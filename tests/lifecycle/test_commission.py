import contextlib

import pytest
from rack import MAC, UUID, Rack, event

from muster.lifecycle import commission, switches
from muster.lifecycle.commission import Options
from muster.lifecycle.secrets import Forbidden
from muster.machine.phases import Purpose
from muster.machine.states import Refused, State, startable
from muster.scripts import catalogue
from muster.store import events, goals, machines, runs
from muster.store.engine import Conflict, Missing
from muster.wire.events import Ack
from muster.wire.hello import Welcome


@pytest.fixture
def name(rack: Rack) -> str:
    """A surveyed machine with a power driver."""
    _, welcome = rack.arrive()
    rack.finish(welcome)
    rack.set(welcome.machine, power_driver="fake", power_parameters={"name": welcome.machine})
    return welcome.machine


def start(rack: Rack, name: str, **options) -> int:
    return commission.start(
        rack.store, rack.policy, name, Options(**options), actor="ada", now=rack.now()
    )


def abort(rack: Rack, name: str) -> None:
    commission.abort(rack.store, rack.policy, name, actor="ada", now=rack.now())


def goal(rack: Rack, name: str) -> goals.Goal | None:
    with rack.store.read() as tx:
        return goals.find(tx, machines.find(tx, name).id)


@pytest.mark.parametrize("state", sorted(startable(State.COMMISSIONING)))
def test_a_machine_is_commissioned_and_gets_its_state_back_when_that_is_aborted(
    rack: Rack, name: str, state: State
) -> None:
    rack.set(name, state=state)
    run = start(rack, name)
    machine = rack.machine(name)
    assert (machine.state, machine.state_reason) == (State.COMMISSIONING, f"run {run}")
    abort(rack, name)
    machine = rack.machine(name)
    assert (machine.state, machine.state_reason) == (state, "aborted by ada")
    assert rack.told("machine.state") == [
        f"{name}: {state} -> Commissioning: run {run}",
        f"{name}: Commissioning -> {state}: aborted by ada",
    ]


@pytest.mark.parametrize("state", sorted(set(State) - startable(State.COMMISSIONING)))
def test_a_machine_that_cannot_be_commissioned_stays_as_it_is(
    rack: Rack, name: str, state: State
) -> None:
    rack.set(name, state=state)
    with pytest.raises(Refused, match=rf"^a machine that is {state} cannot become Commissioning;"):
        start(rack, name)
    assert rack.machine(name).state == state
    assert (goal(rack, name), len(rack.runs(name))) == (None, 1)


def test_commissioning_opens_a_run_with_its_scripts_and_switches_the_machine(
    rack: Rack, name: str
) -> None:
    number = start(rack, name)
    with rack.store.read() as tx:
        run = runs.find(tx, number)
        owed = runs.results_of(tx, number)
    assert (run.mode, run.state, run.requested_by) == ("commission", "pending", "ada")
    assert (run.deadline_at - rack.now()).total_seconds() == rack.policy.arrive_s
    assert [r.name for r in owed] == [script.name for script in catalogue.for_commission()]
    wanted = goal(rack, name)
    assert wanted is not None
    assert (wanted.goal, wanted.status, wanted.due_at) == ("cycle", "waiting", rack.now())
    assert rack.told("power.wanted") == [f"power cycle wanted for {name}: commissioning"]


def test_a_commissioned_machine_runs_and_becomes_ready(rack: Rack, name: str) -> None:
    run = start(rack, name)
    plan = rack.boot()
    assert (plan.purpose, plan.reason) == (Purpose.COMMISSION, f"{name} is Commissioning")
    welcome = rack.say_hello(plan.nonce)
    assert (welcome.mode, welcome.after) == ("commission", "poweroff")
    rack.now.advance(60)
    rack.finish(welcome)
    machine = rack.machine(name)
    assert (machine.state, machine.state_reason) == (State.READY, "commissioning passed")
    assert machine.surveyed_at == rack.now()
    with rack.store.read() as tx:
        found = runs.find(tx, run)
    assert (found.state, found.reason, found.deadline_at) == ("passed", "every script passed", None)
    assert rack.boot().purpose == Purpose.LOCAL


def test_a_failed_script_makes_failed_commissioning_with_its_name(rack: Rack, name: str) -> None:
    start(rack, name)
    _, welcome = rack.arrive()
    rack.finish(welcome, exit_status=2)
    machine = rack.machine(name)
    first, more = welcome.scripts[0].name, len(welcome.scripts) - 1
    assert machine.state == State.FAILED_COMMISSIONING
    assert machine.state_reason == f"{first} failed: exit status 2 (and {more} more)"
    assert rack.boot().purpose == Purpose.LOCAL


def test_a_machine_with_ssh_stays_on(rack: Rack, name: str) -> None:
    start(rack, name, enable_ssh=True)
    assert rack.arrive()[1].after == "stay"


def test_a_machine_that_starts_again_goes_on_with_its_run(rack: Rack, name: str) -> None:
    start(rack, name)
    first_plan, first = rack.arrive()
    one, two = (item.result for item in first.scripts[:2])
    rack.send(
        first.token, event(1, "started", one), event(2, "finished", one), event(3, "started", two)
    )
    _, again = rack.arrive()
    assert [item.result for item in again.scripts] == [item.result for item in first.scripts]
    assert [item.done for item in again.scripts][:3] == [True, True, False]
    assert rack.results(again)[:2] == [
        ("passed", ""),
        ("lost", "the machine started again while this script ran"),
    ]
    old = rack.find_boot(first_plan.boot)
    assert (old.ended_at, old.deadline_at, old.token_hash) == (rack.now(), None, None)
    assert rack.machine(name).state == State.COMMISSIONING


def test_the_silence_of_an_old_boot_does_not_fail_the_run_that_goes_on(
    rack: Rack, name: str, sweep
) -> None:
    start(rack, name)
    _, first = rack.arrive()
    rack.send(first.token, event(1, "heartbeat"))
    _, again = rack.arrive(mac_seen="52:54:00:12:34:09")
    for _ in range(4):
        rack.now.advance(60)
        rack.send(again.token)
        sweep()
    assert rack.machine(name).state == State.COMMISSIONING


def test_aborting_a_running_machine_orders_its_agent_and_leaves_the_power_to_it(
    rack: Rack, name: str
) -> None:
    rack.set(name, state=State.READY)
    run = start(rack, name)
    _, welcome = rack.arrive()
    before = goal(rack, name)
    abort(rack, name)
    assert rack.send(welcome.token) == Ack(0, "abort", "aborted by ada")
    assert rack.machine(name).state == State.READY
    assert goal(rack, name) == before
    assert rack.results(welcome) == [("aborted", "aborted by ada")] * len(welcome.scripts)
    assert rack.told("run.aborted") == [f"run {run} aborted by ada"]


def test_aborting_a_machine_that_did_not_come_switches_it_off(rack: Rack, name: str) -> None:
    start(rack, name)
    abort(rack, name)
    wanted = goal(rack, name)
    assert wanted is not None
    assert (wanted.goal, wanted.status) == ("off", "waiting")


def test_an_abort_and_the_end_of_the_run_at_once_do_not_stop_each_other(
    rack: Rack, name: str, together
) -> None:
    """PostgreSQL ended one of the two in a third of all cases when they took other rows first."""
    for _ in range(8):
        rack.set(name, state=State.READY)
        run = start(rack, name)
        _, welcome = rack.arrive()

        def try_to_abort() -> None:
            with contextlib.suppress(Conflict):
                abort(rack, name)

        together(lambda welcome=welcome: rack.finish(welcome), try_to_abort)
        with rack.store.read() as tx:
            assert runs.find(tx, run).state in ("passed", "aborted")
        assert rack.machine(name).state == State.READY


def test_deleting_a_machine_that_reports_at_once_does_not_stop_either(rack: Rack, together) -> None:
    for number in range(8):
        _, welcome = rack.arrive(uuid="", macs=[f"52:54:00:99:98:{number:02x}"])

        def report(welcome: Welcome = welcome) -> None:
            with contextlib.suppress(Forbidden):
                rack.finish(welcome)

        def delete(name: str = welcome.machine) -> None:
            commission.delete(rack.store, name, actor="ada", now=rack.now())

        together(report, delete)
    assert rack.machines() == []


def test_there_must_be_something_to_abort(rack: Rack, name: str) -> None:
    with pytest.raises(Conflict) as refusal:
        abort(rack, name)
    assert str(refusal.value) == f"{name} is New and runs nothing to abort"


def test_commissioning_ends_the_survey_that_still_runs(rack: Rack) -> None:
    _, survey = rack.arrive()
    start(rack, survey.machine)
    assert rack.send(survey.token).order == "abort"
    assert [(r.mode, r.state) for r in rack.runs(survey.machine)] == [
        ("commission", "pending"),
        ("enlist", "aborted"),
    ]


def test_a_state_that_a_person_changed_is_not_changed_by_the_end_of_a_run(
    rack: Rack, name: str
) -> None:
    start(rack, name)
    _, welcome = rack.arrive()
    rack.set(name, state=State.BROKEN)
    rack.finish(welcome)
    assert rack.machine(name).state == State.BROKEN
    assert rack.runs(name)[0].state == "passed"


def test_commissioning_permits_a_machine_that_was_denied(rack: Rack, name: str) -> None:
    commission.deny(rack.store, name, reason="no", actor="ada", now=rack.now())
    start(rack, name)
    assert rack.arrive()[1].decision == "run"


def test_only_a_new_machine_can_be_denied(rack: Rack, name: str) -> None:
    rack.set(name, state=State.READY)
    with pytest.raises(Conflict) as refusal:
        commission.deny(rack.store, name, reason="", actor="ada", now=rack.now())
    assert str(refusal.value) == f"{name} is Ready; only a New machine can be denied"


def test_a_deleted_machine_leaves_its_events_and_enlists_anew(rack: Rack, name: str) -> None:
    start(rack, name)
    _, welcome = rack.arrive()
    machine = rack.machine(name)
    commission.delete(rack.store, name, actor="ada", now=rack.now())
    with pytest.raises(Missing):
        rack.machine(name)
    with rack.store.read() as tx:
        told = [event.message for event in events.some(tx, machine=machine.id)]
    assert told[-1] == f"{name} was deleted"
    assert any(message.startswith(f"{name} enlisted itself") for message in told)
    assert rack.boot().purpose == Purpose.ENLIST
    assert rack.arrive()[1].machine != name
    assert welcome.token


def test_a_machine_in_use_is_not_deleted(rack: Rack, name: str) -> None:
    rack.set(name, state=State.IN_USE)
    with pytest.raises(Conflict) as refusal:
        commission.delete(rack.store, name, actor="ada", now=rack.now())
    assert str(refusal.value) == f"{name} is In use; take it out of use before deleting it"


def test_a_machine_gets_another_name_if_it_is_free_and_a_label(rack: Rack, name: str) -> None:
    other = rack.arrive(uuid="", macs=["52:54:00:99:99:99"])[1].machine
    words = {"actor": "ada", "now": rack.now()}
    commission.rename(rack.store, name, "rack1-node7", **words)
    assert rack.machine("rack1-node7").uuid == UUID
    for wrong, expected in [
        (other, f"the name {other!r} is taken by another machine"),
        ("Rack_1", "name 'Rack_1' is no DNS label (a-z, 0-9 and -, at most 63)"),
    ]:
        with pytest.raises(Conflict) as refusal:
            commission.rename(rack.store, "rack1-node7", wrong, **words)
        assert str(refusal.value) == expected
    assert rack.told("machine.renamed") == [f"{name} is now called rack1-node7"]
    assert rack.macs("rack1-node7") == [MAC]


def test_a_verb_on_a_machine_that_is_not_there_names_it(rack: Rack) -> None:
    with pytest.raises(Missing, match=r"^no machine has the id or name 'nobody'$"):
        start(rack, "nobody")


def test_a_power_driver_is_set_and_told_without_its_secrets(rack: Rack, name: str) -> None:
    given = {"name": "m1", "power_pass": "hush"}
    switches.set_switch(rack.store, rack.keyring, name, "fake", given, actor="ada", now=rack.now())
    machine = rack.machine(name)
    assert machine.power_driver == "fake"
    assert machine.power_parameters == {"name": "m1", "delay_s": "0", "fault": ""}
    assert switches.parameters_of(rack.keyring, machine)["power_pass"] == "hush"
    assert rack.told("machine.power_set") == [f"{name} is switched by fake"]
