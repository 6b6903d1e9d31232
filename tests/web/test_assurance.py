"""What a machine's page says for and against the machine being as it should be."""

from typing import Any

from rackserver import rackserver
from tests.api.desk import Desk
from tests.api.test_history import Server, without_disk
from tests.web.test_pages import desk, desks

from muster.lifecycle import bmclogs
from muster.store import findings, machines, runs, versions
from muster.web import assurance, diagram
from muster.web.assurance import Line
from muster.wire.resources import read_sections

__all__ = ["desk", "desks"]


def assured(desk: Desk, name: str) -> dict[str, Line]:
    """By their words."""
    with desk.store.read() as tx:
        machine = machines.find(tx, name)
        newest = versions.some(tx, machine.id, limit=1)
        document = read_sections(versions.body(tx, newest[0])) if newest else None
        drawing = diagram.draw(document, {}) if document else None
        told = assurance.lines(tx, machine, document, drawing)
    return {line.word: line for line in told}


def with_a_test(desk: Desk, server: Server) -> int:
    """One result of the newest run counts as a test's; returns its id."""
    with desk.store.write() as tx:
        run = runs.some(tx, machines.find(tx, server.name).id)[0]
        one = runs.results_of(tx, run.id)[-1]
        runs.update_result(tx, one.id, script_type="testing")
    return one.id


def logged(desk: Desk, name: str, clock: Any, **body: Any) -> None:
    with desk.store.write() as tx:
        machine = machines.find(tx, name).id
        findings.put(tx, machine, bmclogs.FINDING, body, result=0, now=clock())


def test_what_was_not_looked_at_is_not_told_as_good(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    told = assured(desk, name)
    assert {line.state for line in told.values()} == {""}
    assert told["commissioning"].text == "never commissioned"
    assert told["tests"].text == "none has run"
    assert told["hardware"].text == "not surveyed yet"
    assert told["BMC's log"].text == "not read"
    assert "profiles" not in told


def test_a_machine_that_was_commissioned_and_is_as_its_profile_says_is_told_good(
    desk: Desk,
) -> None:
    server = Server(desk, 1)
    server.sends(rackserver())
    server.sends(rackserver())
    with_a_test(desk, server)
    golden = {"machines": [server.name], "condition": "cpu.cores > 1"}
    assert desk.ask("POST", "/profiles/golden/learn", json=golden).status_code == 201
    other = {"machines": [server.name], "condition": "cpu.cores > 1000"}
    assert desk.ask("POST", "/profiles/others/learn", json=other).status_code == 201
    told = assured(desk, server.name)
    assert (told["commissioning"].state, told["commissioning"].text) == (
        "good", "passed: every script passed",
    )  # fmt: skip
    assert told["commissioning"].at is not None
    assert told["tests"].state == "good"
    assert (told["profile golden"].state, told["profile golden"].text) == ("good", "as expected")
    assert "profile others" not in told
    assert told["hardware"].state == "good"
    assert told["firmware"].text.startswith("BIOS ")


def test_what_is_wrong_is_named(desk: Desk, clock: Any) -> None:
    server = Server(desk, 1)
    server.sends(rackserver())
    golden = {"machines": [server.name], "condition": ""}
    desk.ask("POST", "/profiles/golden/learn", json=golden)
    less, _ = without_disk(2)
    less["extra"]["pcie"]["functions"][0]["degraded"] = "x8 of x16"
    server.sends(less)
    test = with_a_test(desk, server)
    with desk.store.write() as tx:
        run = runs.find_result(tx, test).run_id
        runs.update_result(tx, test, state="failed", reason="pending sectors: 8")
        runs.update(tx, run, state="failed", reason="a test failed")
    told = assured(desk, server.name)
    assert (told["commissioning"].state, told["tests"].state) == ("bad", "bad")
    assert "pending sectors: 8" in told["tests"].more[0]
    assert (told["profile golden"].state, "disk" in told["profile golden"].more[0].lower()) == (
        "bad", True,
    )  # fmt: skip
    assert "x8 of x16" in told["hardware"].more[0]
    with desk.store.write() as tx:
        runs.update_result(tx, test, suppressed="known, disk is ordered")
    assert (assured(desk, server.name)["tests"].state) == ""


def test_the_bmc_s_log_is_summed_up(desk: Desk, clock: Any) -> None:
    name = desk.enlist()["machine"]
    full = {"entries": 512, "full_percent": 100, "newest_critical": None, "error": ""}
    logged(desk, name, clock, **full)
    told = assured(desk, name)["BMC's log"]
    assert (told.state, told.text) == ("good", "512 lines, 100 % full, none critical")
    worst = {"at": "2026-05-01", "severity": "Critical", "message": "PSU 2 lost input"}
    logged(desk, name, clock, **full | {"newest_critical": worst, "error": "it timed out"})
    told = assured(desk, name)["BMC's log"]
    assert told.state == "bad"
    assert told.more == ("2026-05-01: PSU 2 lost input",
                         "it could not be read the last time: it timed out")  # fmt: skip
    logged(desk, name, clock, entries=-1, error="the BMC does not answer")
    told = assured(desk, name)["BMC's log"]
    assert (told.state, told.text, told.more) == (
        "", "could not be read", ("the BMC does not answer",),
    )  # fmt: skip
