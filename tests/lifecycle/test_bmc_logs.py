import asyncio

import pytest
from rack import MAC, Rack

from muster.lifecycle import bmclogs, polling, power, switches
from muster.power import fake
from muster.power.drivers import LogLine, LogSummary, PowerError
from muster.store import findings, machines

HOT = LogLine("Mar-01-2026 12:00:00", "Critical", "Temperature: going high")
COLD = LogLine("Mar-02-2026 12:00:00", "Critical", "Temperature: going low")


@pytest.fixture
def name(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine whose fake switch was seen and has a log of two lines."""
    monkeypatch.setattr(fake, "switches", {})
    machine: str = rack.arrive(uuid="", macs=[MAC])[1].machine
    given = {"name": machine}
    switches.set_switch(rack.store, rack.keyring, machine, "fake", given, actor="a", now=rack.now())
    says(monkeypatch, LogSummary(2, 10))
    asyncio.run(polling.sweep(board(rack)))
    return machine


def board(rack: Rack) -> power.Switchboard:
    return power.Switchboard(rack.store, rack.keyring, rack.policy, rack.now)


def look(rack: Rack) -> int:
    return asyncio.run(bmclogs.look(board(rack)))


def later(rack: Rack) -> int:
    rack.now.advance(bmclogs.EVERY.total_seconds())
    return look(rack)


def says(monkeypatch: pytest.MonkeyPatch, said: LogSummary | PowerError) -> None:
    async def sum_log(_: dict) -> LogSummary:
        if isinstance(said, PowerError):
            raise said
        return said

    monkeypatch.setattr(fake, "sum_log", sum_log, raising=False)


def kept(rack: Rack, name: str) -> dict:
    with rack.store.read() as tx:
        body: dict = findings.body(tx, machines.find(tx, name).id, bmclogs.FINDING)
        return body


def test_a_log_is_summed_up_once_an_hour(rack: Rack, name: str) -> None:
    assert [look(rack), look(rack)] == [1, 0]
    assert kept(rack, name) == {
        "entries": 2,
        "full_percent": 10,
        "newest_critical": None,
        "error": "",
    }
    assert later(rack) == 1


def test_a_new_critical_line_is_an_event_once(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(rack)
    for line in (HOT, HOT, COLD):
        says(monkeypatch, LogSummary(3, 12, line))
        later(rack)
    words = [f"{line.at}: {line.message}" for line in (COLD, HOT)]
    told = [f"{name}: its BMC's log says {word}" for word in words]
    assert sorted(rack.told("bmc.critical")) == sorted(told)
    assert kept(rack, name)["newest_critical"]["message"] == COLD.message


def test_what_was_there_before_the_first_look_is_shown_and_no_event(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, LogSummary(1, None, HOT))
    look(rack)
    assert kept(rack, name)["newest_critical"]["at"] == HOT.at
    assert rack.told("bmc.critical") == []


def test_a_log_that_cannot_be_read_says_why_and_keeps_what_was_known(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, PowerError("it has no log"))
    look(rack)
    assert (kept(rack, name)["entries"], kept(rack, name)["error"]) == (-1, "it has no log")
    says(monkeypatch, LogSummary(1, None, HOT))
    later(rack)
    says(monkeypatch, PowerError("no answer"))
    later(rack)
    assert (kept(rack, name)["entries"], kept(rack, name)["error"]) == (1, "no answer")
    says(monkeypatch, LogSummary(1, None, HOT))
    later(rack)
    assert rack.told("bmc.critical") == []


def test_a_bmc_that_is_not_seen_is_not_asked_for_its_log(
    rack: Rack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: dict) -> str:
        raise PowerError("no answer")

    monkeypatch.setattr(fake, "state", fails)
    rack.now.advance(7200)
    asyncio.run(polling.sweep(board(rack)))
    assert look(rack) == 0
