"""A script that nobody added yet is tried on a machine that waits for its permission."""

from dataclasses import replace

import pytest
from rack import Rack, event

from muster.lifecycle import scripts, survey, trial
from muster.lifecycle.scripts import BadScript
from muster.machine.states import Refused, State
from muster.store.engine import Conflict

SOURCE = b"""#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: mine
# script_type: commissioning
# tags: noauto
# destructive: true
# parameters:
#   depth: {type: runtime, default: 3}
# --- End MAAS 1.0 script metadata ---
"""


@pytest.fixture
def held(rack: Rack) -> Rack:
    """Its policy lets nobody in without a person's yes."""
    rack.policy = replace(rack.policy, enlist="hold")
    return rack


def start(rack: Rack, name: str, source: bytes = SOURCE, **words) -> int:
    return trial.start(rack.store, rack.policy, name, source, actor="a", now=rack.now(), **words)


def test_the_held_machine_runs_it_in_the_same_boot_and_nothing_else(held: Rack) -> None:
    plan, waits = held.arrive()
    assert waits.decision == "hold"
    start(held, waits.machine, parameters={"*": {"depth": "60"}})
    welcome = held.say_hello(plan.nonce)
    assert welcome.decision == "run"
    assert [item.name for item in welcome.scripts] == [survey.RESOURCES, "mine"]
    assert welcome.scripts[1].arguments == ["--depth=60"]
    held.finish(welcome)
    assert held.machine(waits.machine).state == State.READY
    with held.store.read() as tx:
        assert scripts.shelf.every(tx)
        assert "mine" not in [offer.script.name for offer in scripts.shelf.every(tx)]


def test_what_it_says_is_judged_as_in_any_other_run(held: Rack) -> None:
    plan, waits = held.arrive()
    start(held, waits.machine)
    welcome = held.say_hello(plan.nonce)
    mine = welcome.scripts[1].result
    written = {"data": b"status: failed\n", "stream": "result"}
    held.send(welcome.token, event(1, "output", mine, **written), event(2, "finished", mine))
    assert held.results(welcome)[1] == ("failed", "its result file says failed")


def test_a_bad_script_is_refused_with_its_lines_before_a_machine_is_touched(held: Rack) -> None:
    _plan, waits = held.arrive()
    with pytest.raises(BadScript) as refused:
        start(held, waits.machine, SOURCE.replace(b"tags", b"gats"))
    assert [problem.line for problem in refused.value.problems] == [5]
    with pytest.raises(Conflict, match="no chosen script takes"):
        start(held, waits.machine, parameters={"*": {"width": "1"}})
    assert held.machine(waits.machine).state == State.NEW


def test_a_machine_at_work_is_left_alone(held: Rack) -> None:
    _plan, waits = held.arrive()
    held.set(waits.machine, state=State.IN_USE)
    with pytest.raises(Refused):
        start(held, waits.machine)
