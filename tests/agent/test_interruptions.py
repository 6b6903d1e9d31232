"""What goes wrong on the way: a killed agent, a server that is away, answers that get lost."""

import os
from pathlib import Path

import pytest
from tests.agent.machine import Machine, script
from tests.server.running import wait_for

LINES = "".join(f"line {i}\n" for i in range(200)).encode()


def count(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


@pytest.mark.slow
def test_a_killed_agent_goes_on_and_the_script_that_ran_is_lost(
    machine: Machine, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    machine.boot(
        script("00-first", f"echo first >> {ran}; echo done"),
        script("10-killed", f"echo killed >> {ran}; echo half; sleep 600"),
        script("20-last", f"echo last >> {ran}; echo done"),
    )
    machine.start()
    machine.wait_for_state("10-killed", "running")
    machine.kill()
    machine.start()
    assert machine.finish() == 0, machine.console()
    results = machine.results()
    assert [result.state for result in results.values()] == ["passed", "lost", "passed"]
    assert results["10-killed"].reason == "the agent was restarted while this script ran"
    assert count(ran) == ["first", "killed", "last"]
    assert machine.output("00-first") == b"done\n"
    assert machine.output("20-last") == b"done\n"
    assert machine.status()["state"] == "failed"


@pytest.mark.slow
def test_a_server_that_is_away_for_a_while_gets_everything_once(
    machine: Machine, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    os.mkfifo(away)
    # It talks before the server goes, while it is away, and goes on when it comes back.
    body = "i=0; while [ $i -lt 200 ]; do [ $i -ne 100 ] || read _ <%s; "
    body += 'echo "line $i"; i=$((i+1)); done'
    machine.boot(script("00-talks", body % away), script("10-next", "echo next"))
    machine.start()
    machine.wait_for_state("00-talks", "running")
    machine.server.stop()
    away.write_text("go on\n")
    wait_for(lambda: "again in" in machine.console())
    machine.server.start()
    assert machine.finish() == 0, machine.console()
    assert machine.output("00-talks") == LINES
    assert machine.output("10-next") == b"next\n"
    assert machine.status() == {"state": "passed", "reason": "every script passed"}


@pytest.mark.slow
def test_an_agent_that_starts_before_its_server_waits_for_it(machine: Machine) -> None:
    machine.boot(script("00-hello", "echo hello"))
    machine.server.stop()
    machine.start()
    wait_for(lambda: "again in" in machine.console())
    machine.server.start()
    assert machine.finish() == 0
    assert machine.output("00-hello") == b"hello\n"


@pytest.mark.slow
def test_an_agent_whose_run_was_closed_meanwhile_ends(machine: Machine) -> None:
    machine.boot(script("00-long", "sleep 600"))
    machine.start()
    machine.wait_for_state("00-long", "running")
    with machine.store.write() as tx:
        tx.exec_driver_sql("UPDATE boots SET token_hash = 'of another'")
    assert machine.finish() == 0
    assert "refuses our events" in machine.console()
