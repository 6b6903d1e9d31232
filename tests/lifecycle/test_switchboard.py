import asyncio
import contextlib
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from rack import MAC, Rack

from muster.lifecycle import power, switches
from muster.power import drivers, fake
from muster.power.drivers import PowerError
from muster.store import goals, machines


@pytest.fixture
def name(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine that the fake driver switches; it is off."""
    monkeypatch.setattr(fake, "switches", {})
    return wired(rack, MAC)


def wired(rack: Rack, mac: str, **parameters: str) -> str:
    machine: str = rack.arrive(uuid="", macs=[mac])[1].machine
    given = {"name": machine, "power_pass": "hush", **parameters}
    switches.set_switch(rack.store, rack.keyring, machine, "fake", given, actor="a", now=rack.now())
    return machine


def board(rack: Rack, **policy: Any) -> power.Switchboard:
    return power.Switchboard(rack.store, rack.keyring, replace(rack.policy, **policy), rack.now)


def ask(rack: Rack, name: str, goal: str, **more: str) -> None:
    power.ask(rack.store, rack.policy, name, goal, actor="ada", now=rack.now(), **more)


def goal_of(rack: Rack, name: str) -> goals.Goal:
    with rack.store.read() as tx:
        found = goals.find(tx, machines.find(tx, name).id)
    assert found is not None
    return found


def settle(rack: Rack, name: str, **policy: Any) -> goals.Goal:
    for _ in range(50):
        asyncio.run(power.step(board(rack, **policy)))
        if (due := goal_of(rack, name).due_at) is None:
            break
        rack.now.now = max(due, rack.now())
    return goal_of(rack, name)


def test_the_boot_device_is_set_before_the_machine_is_switched_on(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []

    async def set_boot(parameters: dict, device: str) -> None:
        done.append((device, fake.switches[name], parameters["power_pass"]))

    monkeypatch.setattr(fake, "set_boot", set_boot, raising=False)
    fake.switches[name] = "on"
    ask(rack, name, "cycle", boot_device="pxe")
    assert settle(rack, name).status == "reached"
    assert done == [("pxe", "off", "hush")]
    ask(rack, name, "off")
    assert settle(rack, name).status == "reached"
    assert len(done) == 1


def test_a_command_that_is_ignored_is_sent_again_seldom_and_told_at_the_end(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []

    async def ignore(_: dict) -> None:
        sent.append(rack.now())

    monkeypatch.setattr(fake, "on", ignore)
    rack.policy = replace(rack.policy, power_s=60)
    ask(rack, name, "on")
    failed = settle(rack, name)
    assert failed.status == "failed"
    assert failed.detail == (
        "the BMC accepted 'on' 3 times and still says off; look at the machine itself,"
        " or restart its BMC"
    )
    gaps = [(b - a).total_seconds() for a, b in pairwise(sent)]
    assert all(power.RESEND.total_seconds() <= gap <= 26 for gap in gaps), gaps


def test_a_bmc_that_asks_for_time_gets_it(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(_: dict) -> str:
        raise PowerError("busy", retry_after=17)

    monkeypatch.setattr(fake, "state", busy)
    ask(rack, name, "on")
    asyncio.run(power.step(board(rack)))
    due = goal_of(rack, name).due_at
    assert due is not None
    assert (due - rack.now()).total_seconds() == 17


def test_what_nobody_can_see_is_reached_when_it_was_sent(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "BLIND", True, raising=False)
    ask(rack, name, "on")
    reached = settle(rack, name)
    assert (reached.status, reached.detail) == (
        "reached",
        "on was sent; nobody can see whether it worked",
    )


def test_what_the_first_contact_learns_is_kept_and_told_once(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def learn(parameters: dict, known: drivers.Known) -> dict[str, str]:
        asked.append(known)
        return {"delay_s": "0.0"}

    monkeypatch.setattr(fake, "learn", learn, raising=False)
    monkeypatch.setattr(fake, "unlearned", lambda p: p["delay_s"] == "0", raising=False)
    ask(rack, name, "on")
    assert settle(rack, name).status == "reached"
    assert rack.machine(name).power_parameters["delay_s"] == "0.0"
    assert [known.serial for known in asked] == ["SN1"]
    assert rack.told("power.learned") == [
        f"{name}: first contact with its BMC: delay_s=0.0 from now on"
    ]


def test_a_process_that_was_stopped_too_long_does_not_act_beside_the_next(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps between looking and switching, and another takes over meanwhile."""
    look, did = fake.state, []

    async def sleep_then_look(parameters: dict) -> str:
        monkeypatch.setattr(fake, "state", look)
        state = await look(parameters)
        rack.now.advance(power.LEASE.total_seconds())
        did.append(await power.step(board(rack)))
        fake.switches[name] = "off"  # The person pulls the plug again.
        return state

    monkeypatch.setattr(fake, "state", sleep_then_look)
    ask(rack, name, "on")
    asyncio.run(power.step(board(rack)))
    assert (did, fake.switches[name]) == ([1], "off")
    assert rack.told("power.failed") == [
        f"power on of {name}: this step took too long; another server goes on with it"
    ]


def test_machines_of_one_bmc_are_switched_one_after_the_other(rack: Rack, name: str) -> None:
    other = wired(rack, "52:54:00:99:99:99")
    for machine in (name, other):
        rack.set(machine, bmc="10.0.0.5")
        ask(rack, machine, "on")
    assert asyncio.run(power.step(board(rack))) == 1
    assert sorted(fake.switches.values()) == ["on"]
    assert settle(rack, name).status == "reached"
    assert settle(rack, other).status == "reached"


def test_a_bmc_that_hangs_delays_no_other(rack: Rack, name: str) -> None:
    other = wired(rack, "52:54:00:99:99:99", delay_s="30")
    for machine in (other, name):
        ask(rack, machine, "on")

    async def work_until_switched() -> None:
        working = asyncio.create_task(power.work(board(rack)))
        async with asyncio.timeout(20):
            while fake.switches.get(name) != "on":
                await asyncio.sleep(0.01)
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working

    asyncio.run(work_until_switched())
    assert other not in fake.switches


def test_a_lost_key_fails_the_goal_with_the_remedy(rack: Rack, name: str) -> None:
    ask(rack, name, "on")
    rack.keyring.file.unlink()
    failed = settle(rack, name)
    assert failed.status == "failed"
    assert "restore it from its backup" in failed.detail
    assert "hush" not in failed.detail


@pytest.mark.parametrize(
    ("bmc", "subnet"),
    [
        ("10.1.2.3", "10.1.2.0/24"),
        ("https://10.1.2.3:8443", "10.1.2.0/24"),
        ("10.1.2.3:161", "10.1.2.0/24"),
        ("fe80::1", "fe80::/64"),
        ("https://[fd00::1:2]:443", "fd00::/64"),
        ("qemu+ssh://root@10.1.2.3/system m1", "10.1.2.0/24"),
        ("bmc7.example", "bmc7.example"),
        ("", ""),
    ],
)
def test_bmcs_are_counted_by_their_subnet(bmc: str, subnet: str) -> None:
    assert power.subnet_of(bmc) == subnet
