"""A machine and its server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.agent.machine import Machine
from tests.server.running import live_server
from tests.server.shelf import stocked

from muster.store.engine import Store

MakeMachine = Callable[..., Machine]


@pytest.fixture
def engine() -> str:
    """Nothing here is about the database: one engine will do."""
    return "sqlite"


@pytest.fixture
def make_machine(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeMachine]:
    """`make_machine(enlist="hold")`: words are the policy's."""
    with ExitStack() as stack:

        def make(**policy: Any) -> Machine:
            words = {"heartbeat_s": 1.0, "hold_s": 0.2} | policy
            server = stack.enter_context(live_server(store, stocked(tmp_path), **words))
            machine = Machine(tmp_path / "run", store, server, monkeypatch)
            stack.callback(end, machine)
            return machine

        yield make


def end(machine: Machine) -> None:
    if machine.process and machine.process.poll() is None:
        machine.kill()


@pytest.fixture
def machine(make_machine: MakeMachine) -> Machine:
    return make_machine()
