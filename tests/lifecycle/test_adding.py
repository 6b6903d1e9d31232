"""A machine added by hand is known at its first boot, and is switched on from the network."""

import asyncio
from typing import Any

import pytest
from rack import MAC, MAC2, UUID, Rack

from muster.lifecycle import adding, commission, power
from muster.lifecycle.adding import Wanted
from muster.lifecycle.commission import Options
from muster.machine.phases import Purpose
from muster.power import fake
from muster.power.drivers import NoSuchBoot, PowerError
from muster.store import events, goals
from muster.store.engine import Conflict
from muster.wire.codec import BadMessage


def add(rack: Rack, **words: Any) -> str:
    wanted = Wanted(**({"name": "r1", "macs": [MAC]} | words))
    return adding.add(rack.store, rack.keyring, wanted, actor="ada", now=rack.now()).id


def told(rack: Rack, kind: str) -> list[str]:
    with rack.store.read() as tx:
        return [event.message for event in events.some(tx, kind=kind)]


@pytest.fixture
def switched(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The added machine's boot devices, as its BMC was told them; it is off."""
    monkeypatch.setattr(fake, "switches", {"r1": "off"})
    asked: list[str] = []

    async def set_boot(parameters: dict, device: str) -> None:
        asked.append(device)

    monkeypatch.setattr(fake, "set_boot", set_boot, raising=False)
    add(rack, driver="fake", parameters={"name": "r1", "power_pass": "hush"})
    return asked


def settle(rack: Rack) -> goals.Goal:
    board = power.Switchboard(rack.store, rack.keyring, rack.policy, rack.now)
    for _ in range(20):
        asyncio.run(power.step(board))
        with rack.store.read() as tx:
            goal = goals.find(tx, rack.machine("r1").id)
        assert goal is not None
        if goal.due_at is None:
            break
        rack.now.now = max(goal.due_at, rack.now())
    return goal


def test_its_first_boot_is_known_by_what_was_written_down(rack: Rack, switched: list[str]) -> None:
    commission.start(rack.store, rack.policy, "r1", Options(), actor="ada", now=rack.now())
    assert settle(rack).status == "reached"
    assert (fake.switches["r1"], switched) == ("on", ["pxe"])
    assert rack.boot().purpose == Purpose.COMMISSION
    _, welcome = rack.arrive()
    assert (welcome.machine, welcome.mode) == ("r1", "commission")
    assert rack.machine("r1").uuid == UUID
    assert len(rack.machines()) == 1


def test_it_may_tell_without_being_accepted_again(rack: Rack) -> None:
    add(rack)
    rack.policy = type(rack.policy)(enlist="hold")
    assert rack.arrive()[1].decision == "run"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"macs": ["nonsense"]}, "macs: 'nonsense'"),
        ({"macs": [], "uuid": "x"}, "uuid: "),
        ({"macs": []}, "say one, or a uuid"),
        ({"name": "No Label"}, "no DNS label"),
        ({"name": "r0"}, "'r0' is taken"),
        ({"macs": [MAC2]}, f"r0 has {MAC2} already"),
        ({"uuid": UUID}, f"r0 has {UUID} already"),
    ],
)
def test_what_cannot_be_added_is_named_and_leaves_nothing(
    rack: Rack, words: dict[str, Any], named: str
) -> None:
    add(rack, name="r0", macs=[MAC2], uuid=UUID)
    with pytest.raises((BadMessage, Conflict), match=named):
        add(rack, **words)
    assert [machine.name for machine in rack.machines()] == ["r0"]


def test_a_wrong_power_parameter_leaves_nothing_either(rack: Rack) -> None:
    with pytest.raises(PowerError, match="power_address"):
        add(rack, driver="ipmi")
    assert rack.machines() == []
    assert told(rack, "machine.added") == []


def test_a_bmc_that_knows_http_only_boots_by_http(
    rack: Rack, switched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def set_boot(parameters: dict, device: str) -> None:
        switched.append(device)
        if device == "pxe":
            raise NoSuchBoot("10.0.0.9: cannot boot from Pxe; it offers UefiHttp")

    monkeypatch.setattr(fake, "set_boot", set_boot)
    power.ask(rack.store, rack.policy, "r1", "on", actor="a", now=rack.now(), boot_device="network")
    assert settle(rack).status == "reached"
    assert switched == ["pxe", "http"]
    assert told(rack, "power.boot_device") == []


@pytest.mark.parametrize(("kind", "tries"), [(NoSuchBoot, 2), (PowerError, 4)])
def test_a_bmc_that_takes_no_boot_device_is_switched_on_all_the_same_and_told(
    rack: Rack,
    switched: list[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[PowerError],
    tries: int,
) -> None:
    async def set_boot(parameters: dict, device: str) -> None:
        switched.append(device)
        raise kind("10.0.0.9: PATCH is not implemented")

    monkeypatch.setattr(fake, "set_boot", set_boot)
    commission.start(rack.store, rack.policy, "r1", Options(), actor="ada", now=rack.now())
    assert settle(rack).status == "reached"
    assert fake.switches["r1"] == "on"
    assert len(switched) == tries
    assert told(rack, "power.boot_device") == [
        "r1: its BMC did not take the network as boot device, its firmware decides:"
        " 10.0.0.9: PATCH is not implemented"
    ]


def test_a_person_s_boot_device_is_no_wish_but_an_order(
    rack: Rack, switched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def set_boot(parameters: dict, device: str) -> None:
        raise NoSuchBoot("10.0.0.9: cannot boot from Pxe; it offers Hdd")

    monkeypatch.setattr(fake, "set_boot", set_boot)
    power.ask(rack.store, rack.policy, "r1", "on", actor="a", now=rack.now(), boot_device="pxe")
    goal = settle(rack)
    assert (goal.status, fake.switches["r1"]) == ("failed", "off")
    assert "it offers Hdd" in goal.detail


@pytest.mark.parametrize(("goal", "driver", "named"), [
    ("off", "fake", "leave boot out"), ("on", "webhook", "webhook cannot choose"),
])  # fmt: skip
def test_a_boot_device_that_means_nothing_is_refused(
    rack: Rack, switched: list[str], goal: str, driver: str, named: str
) -> None:
    if driver != "fake":
        uris = ("power_on_uri", "power_off_uri", "power_query_uri")
        given = dict.fromkeys(uris, "http://127.0.0.1:9")
        add(rack, name="r2", macs=[MAC2], driver=driver, parameters=given)
    name = "r1" if driver == "fake" else "r2"
    with pytest.raises(Conflict, match=named):
        power.ask(rack.store, rack.policy, name, goal, actor="a", now=rack.now(), boot_device="pxe")
