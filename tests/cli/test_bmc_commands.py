import ipaddress
import json
from typing import Any

import pytest
from tests.cli.conftest import Person

from muster.cli import bmcs
from muster.cli.words import log_summary, plain
from muster.lifecycle import bmclogs
from muster.power import discovery
from muster.server.app import utc_now
from muster.store import findings, machines, power_states


@pytest.mark.parametrize(
    "text", ["10.0.0.0/24", "10.0.0.0/27", "10.0.0.0/30", "10.0.0.7", "fd00::/120"]
)
def test_a_range_is_asked_in_pieces_that_leave_nothing_out(text: str) -> None:
    parts = bmcs._parts((text,))
    found = [address for (part,) in parts for address in discovery.addresses(part)]
    network = ipaddress.ip_network(text)
    hosts = [str(host) for host in network.hosts()]
    assert found == (hosts if network.version == 4 else hosts[: len(found)])
    assert all(len(discovery.addresses(part)) <= 32 for (part,) in parts)


def test_a_password_on_the_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bmcs._hidden("password", "hush")
    assert "others can read a command line" in capsys.readouterr().err


def test_no_range_and_too_wide_a_range_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for ranges in ((), ("10.0.0.0/8",)):
        with pytest.raises(SystemExit):
            bmcs._parts(ranges)
    told = capsys.readouterr().err
    assert "which range?" in told
    assert "name at most 65536 at a time" in told


CRITICAL = {"at": "2026-11-01", "severity": "Critical", "message": "Fan 3 \x1b[2J failed"}
LOG = {"entries": 812, "full_percent": 71, "newest_critical": CRITICAL, "error": ""}
WHOLE = "812 entries, 71 % full, newest critical one 2026-11-01: Fan 3 \x1b[2J failed"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, WHOLE),
        ({"full_percent": None, "newest_critical": None}, "812 entries, none critical"),
        ({"error": "is busy"}, f"{WHOLE}; cannot be read now: is busy"),
        ({"entries": -1, "error": "wrong password"}, "never read: wrong password"),
        ({"entries": -1}, "not read yet"),
    ],
)
def test_a_log_s_summary_is_one_line(changes: dict[str, Any], told: str) -> None:
    assert log_summary(LOG | changes) == told


def test_a_log_ends_with_its_severities_and_what_the_whole_one_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"/machines/m1/power": {"log": LOG}, "/machines/m1/bmc/log": [CRITICAL]}
    monkeypatch.setattr(bmcs.Client, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(bmcs.Client, "get", lambda _, path: answers[path])
    bmcs.log("m1")
    shown, severities, whole = capsys.readouterr().out.splitlines()
    assert shown.split() == ["2026-11-01", "Critical", "Fan", "3", "\ufffd[2J", "failed"]
    assert (severities, whole) == ("1 Critical", f"the whole log: {plain(WHOLE)}")


@pytest.mark.slow
def test_a_machine_is_shown_with_its_power_and_the_health_that_its_bmc_tells(
    person: Person,
) -> None:
    name = person.desk.enlist()["machine"]
    switch = {"driver": "fake", "parameters": {"name": name}}
    person.desk.ask("PUT", f"/machines/{name}/power", json=switch)
    with person.desk.store.write() as tx:
        machine = machines.find(tx, name).id
        findings.put(tx, machine, bmclogs.FINDING, LOG, result=0, now=utc_now())
        seen = power_states.PowerState(machine, state="on", health="Warning")
        power_states.enrol(tx, now=utc_now())
        power_states.save(tx, [seen])
    shown = " ".join(person.gets("show", name).split())
    assert "power fake: on" in shown
    assert f"BMC health Warning; log: {plain(WHOLE)}" in shown
    assert json.loads(person.gets("show", name, "-o", "json"))["power"]["log"] == LOG
