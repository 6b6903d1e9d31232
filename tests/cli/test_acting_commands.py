"""Several machines by one command, and waiting for what it began."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.cli.conftest import Person
from tests.server.running import wait_for


@pytest.fixture
def engine() -> str:
    """Nothing here is about the database."""
    return "sqlite"


@pytest.fixture
def rack(person: Person) -> Person:
    for n in (1, 2):
        person.gets("add", f"m{n}", f"52:54:00:12:36:0{n}")
    return person


def test_each_machine_has_its_line_and_one_that_is_missing_fails_the_command(rack: Person) -> None:
    done = rack.types("machine", "pool", "m1", "lab", "--also", "m2", "nobody")
    assert done.stdout.splitlines() == ["m1: done", "m2: done"]
    assert done.stderr.startswith("nobody: missing: ")
    assert done.returncode == 1
    again = rack.gets("machine", "pool", "m1", "lab", "--also", "m2")
    assert "m1: unchanged: is in lab already" in again


def test_a_machine_is_marked_broken_and_fixed(rack: Person) -> None:
    told = rack.gets("machine", "broken", "m1", "m2", "--reason", "smoke")
    assert told.splitlines() == ["m1: done", "m2: done"]
    assert "Ready: marked fixed" in rack.gets("machine", "fixed", "m1")
    assert "only a Broken machine" in rack.told_no("machine", "fixed", "m1")


def test_power_needs_its_goal_at_the_end(rack: Person) -> None:
    assert "on|off|cycle" in rack.told_no("power", "m1", "m2")
    assert rack.gets("power", "m1", "m2", "off").splitlines() == ["m1: done", "m2: done"]


@pytest.mark.slow
def test_a_command_that_waits_ends_with_the_run(rack: Person) -> None:
    with ThreadPoolExecutor() as elsewhere:
        waiting = elsewhere.submit(rack.types, "commission", "m1", "m2", "--wait")
        wait_for(lambda: len(json.loads(rack.gets("operation", "show"))) == 2)
        assert "m2" in rack.gets("abort", "m1", "m2")
        done = waiting.result(timeout=30)
    assert done.returncode == 1
    assert "m1: commission: aborted" in done.stdout
    run = json.loads(rack.gets("operation", "show", "run-1"))
    assert run["state"] == "aborted"
    assert rack.types("operation", "watch", "run-1").returncode == 1
    assert "no operation" in rack.told_no("operation", "watch", "nothing")


def test_many_are_deleted_when_that_is_meant(rack: Person) -> None:
    assert "--yes" in rack.told_no("delete", "m1", "m2")
    assert rack.gets("delete", "m1", "m2", "--yes").splitlines() == ["m1: done", "m2: done"]
