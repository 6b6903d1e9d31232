from dataclasses import replace

import pytest
from rack import MAC, Rack, event

from muster.lifecycle import commission, deadlines, timeline
from muster.lifecycle.commission import Options
from muster.lifecycle.secrets import Forbidden
from muster.machine.phases import AFTER, Phase, Purpose, later
from muster.machine.states import State
from muster.scripts import catalogue
from muster.store import boots
from muster.wire.events import PhaseReport

REPORTED = [Phase.KERNEL, Phase.NETWORK, Phase.FIRMWARE, Phase.SWIFT, Phase.ROOT, Phase.METADATA]


@pytest.fixture
def name(rack: Rack) -> str:
    """A machine that shall be commissioned."""
    _, welcome = rack.arrive()
    rack.finish(welcome)
    commission.start(
        rack.store, rack.policy, welcome.machine, Options(), actor="ada", now=rack.now()
    )
    return welcome.machine


def report(rack: Rack, nonce: str, phase: str, status: str = "done", detail: str = "") -> None:
    timeline.reported(
        rack.store, rack.now(), nonce=nonce, report=PhaseReport(phase, status, detail)
    )


def reach(rack: Rack, phase: Phase) -> str:
    """A boot that gets so far; returns its id."""
    with rack.store.write() as tx:
        timeline.dhcp_seen(tx, rack.now(), mac=MAC, detail="DISCOVER")
    if phase == Phase.DHCP:
        return rack.open_boot()
    plan = rack.boot()
    for step in REPORTED:
        if not later(step, phase):
            report(rack, plan.nonce, step)
    if phase in (Phase.AGENT, Phase.SCRIPTS):
        welcome = rack.say_hello(plan.nonce)
        if phase == Phase.SCRIPTS:
            rack.send(welcome.token, event(1, "started", welcome.scripts[0].result))
    return plan.boot


# Drivers come beside the agent's work, whose phase and deadline stay.
STEPS = [phase for phase in Phase if phase not in (Phase.DRIVERS, Phase.END)]


@pytest.mark.parametrize("phase", STEPS)
def test_a_boot_that_stops_is_failed_with_its_phase_and_the_remedy(
    rack: Rack, sweep, phase: Phase
) -> None:
    boot = reach(rack, phase)
    late = rack.find_boot(boot).deadline_at
    assert late is not None
    seconds = (late - rack.now()).total_seconds()
    rack.now.advance(seconds - 1)
    assert sweep() == 0
    rack.now.advance(1)
    assert sweep() == 1
    reason = f"nothing heard for {seconds:.0f} s after {phase}: {AFTER[phase].remedy}"
    found = rack.find_boot(boot)
    assert (found.failure, found.ended_at, found.deadline_at) == (reason, rack.now(), None)
    assert rack.marks(boot)[-1] == (phase, "failed", reason)
    assert rack.told("boot.overdue") == [f"boot {boot}: {reason}"]
    assert sweep() == 0


def test_a_commissioned_machine_that_stops_on_its_way_has_failed(
    rack: Rack, name: str, sweep
) -> None:
    boot = reach(rack, Phase.NETWORK)
    rack.now.advance(AFTER[Phase.NETWORK].seconds)
    assert sweep() == 1
    machine = rack.machine(name)
    assert (machine.state, machine.state_reason) == (
        State.FAILED_COMMISSIONING,
        f"nothing heard for 300 s after network: {AFTER[Phase.NETWORK].remedy}",
    )
    assert rack.runs(name)[0].state == "failed"
    assert rack.find_boot(boot).purpose == Purpose.COMMISSION


def test_a_machine_that_does_not_come_has_failed(rack: Rack, name: str, sweep) -> None:
    rack.now.advance(rack.policy.arrive_s)
    assert sweep() == 1
    machine = rack.machine(name)
    assert (machine.state, machine.state_reason) == (
        State.FAILED_COMMISSIONING,
        f"{name} did not start within its time: no DHCP or boot request;"
        " is it set to network boot?",
    )


def test_an_agent_that_falls_silent_fails_its_run_and_keeps_its_results(
    rack: Rack, name: str, sweep
) -> None:
    _, welcome = rack.arrive()
    first = welcome.scripts[0].result
    rack.send(welcome.token, event(1, "started", first), event(2, "finished", first))
    rack.now.advance(rack.policy.silence_s)
    assert sweep() == 1
    reason = f"nothing heard for 90 s after scripts: {AFTER[Phase.SCRIPTS].remedy}"
    rest = [("lost", reason)] * (len(welcome.scripts) - 1)
    assert rack.results(welcome) == [("passed", ""), *rest]
    assert rack.machine(name).state == State.FAILED_COMMISSIONING


def test_a_machine_that_is_lost_while_commissioning_is_started_anew_once(
    rack: Rack, name: str, sweep
) -> None:
    rack.set(name, power_driver="fake", power_parameters={"name": name})
    _, lost = rack.arrive()
    first = lost.scripts[0].result
    rack.send(lost.token, event(1, "started", first), event(2, "finished", first))
    rack.now.advance(rack.policy.silence_s)
    assert sweep() == 1
    reason = f"nothing heard for 90 s after scripts: {AFTER[Phase.SCRIPTS].remedy}"
    new, old = rack.runs(name)[:2]
    machine = rack.machine(name)
    assert (machine.state, machine.state_reason) == (
        State.COMMISSIONING,
        f"try 2 of 2 as run {new.id}: {reason}",
    )
    assert (old.state, old.reason, new.state) == ("failed", reason, "pending")
    assert (new.requested_by, new.options["previous"]) == ("ada", State.NEW)
    assert rack.results(lost)[0] == ("passed", "")
    assert rack.told("run.retried") == [f"{name}: try 2 of 2 as run {new.id}: {reason}"]
    wanted = f"power cycle wanted for {name}: commissioning is tried again"
    assert rack.told("power.wanted")[0] == wanted

    _, again = rack.arrive()
    rack.finish(again)
    assert rack.machine(name).state == State.READY


@pytest.mark.parametrize(("retries", "silences"), [(0, 1), (1, 2), (2, 3)])
def test_a_machine_that_never_comes_is_started_anew_as_often_as_the_setting_says(
    rack: Rack, name: str, retries: int, silences: int
) -> None:
    policy = replace(rack.policy, commission_retries=retries)
    rack.set(name, power_driver="fake", power_parameters={"name": name})
    for number in range(1, silences + 1):
        rack.now.advance(policy.arrive_s)
        assert deadlines.sweep(rack.store, policy, rack.now()) == 1
        failed = number == silences
        goal = State.FAILED_COMMISSIONING if failed else State.COMMISSIONING
        assert rack.machine(name).state == goal
    assert len(rack.told("run.retried")) == retries


def test_a_lost_machine_whose_scripts_are_gone_fails_and_stops_no_other_deadline(
    rack: Rack, name: str, sweep, monkeypatch
) -> None:
    rack.set(name, power_driver="fake", power_parameters={"name": name})
    commission.abort(rack.store, rack.policy, name, actor="ada", now=rack.now())
    chosen = Options(scripts=["99-maas-05-kernel-cmdline"])
    commission.start(rack.store, rack.policy, name, chosen, actor="ada", now=rack.now())
    monkeypatch.setattr(catalogue, "for_commission", lambda: [])
    rack.now.advance(rack.policy.arrive_s)
    assert sweep() == 1
    machine = rack.machine(name)
    assert machine.state == State.FAILED_COMMISSIONING
    assert machine.state_reason.endswith(
        "(not tried again: no enabled script has the name or tag '99-maas-05-kernel-cmdline')"
    )
    assert rack.told("run.retried") == []


def test_a_script_that_failed_is_not_tried_again(rack: Rack, name: str) -> None:
    rack.set(name, power_driver="fake", power_parameters={"name": name})
    _, welcome = rack.arrive()
    rack.finish(welcome, exit_status=1)
    assert rack.machine(name).state == State.FAILED_COMMISSIONING
    assert rack.told("run.retried") == []


def test_a_machine_that_reboots_in_its_run_has_time_to_come_back(
    rack: Rack, name: str, sweep
) -> None:
    _, welcome = rack.arrive()
    rack.send(welcome.token, event(1, "heartbeat"))
    with rack.store.write() as tx:
        timeline.dhcp_seen(tx, rack.now(), mac=MAC, detail="DISCOVER")
    rack.now.advance(600)
    sweep()
    assert rack.machine(name).state == State.COMMISSIONING
    rack.now.advance(timeline.COMES_BACK.total_seconds())
    sweep()
    assert rack.machine(name).state == State.FAILED_COMMISSIONING


def test_a_forged_dhcp_packet_does_not_end_a_run(rack: Rack, name: str) -> None:
    _, welcome = rack.arrive()
    with rack.store.write() as tx:
        timeline.dhcp_seen(tx, rack.now(), mac=MAC, detail="DISCOVER")
    rack.finish(welcome)
    assert rack.machine(name).state == State.READY


def test_what_the_initrd_says_of_its_failure_is_the_reason(rack: Rack, name: str, sweep) -> None:
    plan = rack.boot()
    report(rack, plan.nonce, "network")
    report(rack, plan.nonce, "root", "failed", "http://10.0.0.1/root.squashfs: HTTP 404")
    boot = rack.find_boot(plan.boot)
    assert boot.failure == "root: http://10.0.0.1/root.squashfs: HTTP 404"
    assert rack.told("boot.failed") == [
        f"boot {plan.boot} failed at root: http://10.0.0.1/root.squashfs: HTTP 404"
    ]
    rack.now.advance(AFTER[Phase.NETWORK].seconds)
    sweep()
    assert rack.machine(name).state_reason == "root: http://10.0.0.1/root.squashfs: HTTP 404"


def test_a_phase_that_succeeds_after_all_clears_the_failure(rack: Rack) -> None:
    plan = rack.boot()
    report(rack, plan.nonce, "root", "failed", "timeout")
    report(rack, plan.nonce, "root")
    boot = rack.find_boot(plan.boot)
    assert (boot.phase, boot.failure) == (Phase.ROOT, "")


def test_a_report_of_an_earlier_phase_does_not_take_a_boot_back(rack: Rack) -> None:
    plan = rack.boot()
    report(rack, plan.nonce, "root")
    report(rack, plan.nonce, "kernel")
    assert rack.find_boot(plan.boot).phase == Phase.ROOT


def test_the_same_discover_again_is_one_line(rack: Rack) -> None:
    for _ in range(5):
        with rack.store.write() as tx:
            timeline.dhcp_seen(tx, rack.now(), mac=MAC, detail="DISCOVER")
    boot = rack.open_boot()
    assert rack.marks(boot) == [("dhcp", "done", "DISCOVER")]
    with rack.store.write() as tx:
        timeline.loader_sent(tx, rack.now(), mac=MAC, detail="ipxe.efi")
    plan = rack.boot()
    timeline.file_fetched(rack.store, rack.now(), boot_id=boot, detail="kernel")
    assert plan.boot == boot
    assert [mark[:2] for mark in rack.marks(boot)] == [
        ("dhcp", "done"),
        ("loader", "started"),
        ("loader", "done"),
        ("kernel", "started"),
    ]


def test_a_machine_that_starts_again_before_its_hello_ends_its_old_boot(rack: Rack) -> None:
    plan = rack.boot()
    report(rack, plan.nonce, "kernel")
    with rack.store.write() as tx:
        timeline.dhcp_seen(tx, rack.now(), mac=MAC, detail="DISCOVER")
    assert rack.open_boot() != plan.boot
    assert rack.find_boot(plan.boot).ended_at == rack.now()
    assert rack.marks(plan.boot)[-1] == ("end", "failed", "the machine started again")


def test_a_timeline_does_not_grow_for_ever(rack: Rack, monkeypatch) -> None:
    monkeypatch.setattr(timeline, "MARKS_LIMIT", 9)
    plan = rack.boot()
    for number in range(20):
        report(rack, plan.nonce, "kernel", "started", str(number))
    assert len(rack.marks(plan.boot)) == 9


@pytest.mark.parametrize("mac", ["", "ff:ff:ff:ff:ff:ff", "nonsense"])
def test_dhcp_without_a_usable_mac_begins_no_boot(rack: Rack, mac: str) -> None:
    with rack.store.write() as tx:
        timeline.dhcp_seen(tx, rack.now(), mac=mac, detail="DISCOVER")
    with rack.store.write() as tx:
        timeline.loader_sent(tx, rack.now(), mac=mac, detail="ipxe.efi")
    timeline.file_fetched(rack.store, rack.now(), boot_id="nothing", detail="kernel")
    with rack.store.read() as tx:
        assert boots.some(tx) == []


def test_a_nonce_opens_the_seed_and_reports_until_the_hello(rack: Rack) -> None:
    plan = rack.boot()
    assert timeline.seed_served(rack.store, rack.now(), nonce=plan.nonce).id == plan.boot
    rack.say_hello(plan.nonce)
    for nonce, status, expected in [
        ("guessed", 401, "unknown nonce for the seed"),
        (plan.nonce, 403, f"the nonce for the seed of boot {plan.boot} was already used"),
    ]:
        with pytest.raises(Forbidden) as refusal:
            timeline.seed_served(rack.store, rack.now(), nonce=nonce)
        assert (str(refusal.value), refusal.value.status) == (expected, status)
    late = rack.boot()
    rack.now.advance(rack.policy.nonce_s)
    with pytest.raises(Forbidden) as refusal:
        report(rack, late.nonce, "kernel")
    expected = f"the nonce for a phase report of boot {late.boot} has expired"
    assert (str(refusal.value), refusal.value.status) == (expected, 403)


def test_a_refusal_is_written_down(rack: Rack) -> None:
    timeline.audit(rack.store, rack.now(), "hello with an unknown nonce", actor="10.0.0.9")
    assert rack.told("audit.") == ["hello with an unknown nonce"]
