"""A swift start, with the test as the first process: small root, large root, systemd."""

import json
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agent.machine import Machine, script
from tests.server.running import wait_for

from muster.agent.stage import Stage
from muster.lifecycle import shelf
from muster.scripts.format import Script
from muster.wire.hello import ScriptItem

INVENTORY = script("50-inventory", 'echo "$MUSTER_MODE" from the small root')
TOOLS = script("00-tools", "echo from the large root")


class FirstProcess:
    """What images/files/initrd/bin/swift does, but for chroot and mount."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        os.mkfifo(machine.folder / "orders")
        self._fifo = os.open(machine.folder / "orders", os.O_RDWR | os.O_NONBLOCK)

    def close(self) -> None:
        os.close(self._fifo)

    def start(self, level: str) -> None:
        file = self.machine.folder / "agent.json"
        config = json.loads(file.read_text()) | {"level": level}
        file.write_text(json.dumps(config))
        (self.machine.folder / "next").unlink(missing_ok=True)
        self.machine.start()
        self.tell("named")

    def orders(self, count: int, seconds: float = 20.0) -> list[str]:
        """The next `count` words; waits for them."""
        words = b""
        while len(words.split()) < count:
            assert select.select([self._fifo], [], [], seconds)[0], self.machine.console()
            words += os.read(self._fifo, 4096)
        return words.decode().split()

    def waiting(self) -> bool:
        return bool(select.select([self._fifo], [], [], 0)[0])

    def tell(self, name: str) -> None:
        (self.machine.folder / name).touch()

    def ended(self) -> str:
        """Wait for the agent; returns what it wants next."""
        assert self.machine.finish() == 0, self.machine.console()
        return (self.machine.folder / "next").read_text()


@pytest.fixture
def first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[FirstProcess]:
    monkeypatch.setattr(shelf, "INVENTORY", ("50-inventory",))
    process = FirstProcess(machine)
    yield process
    process.close()


def test_the_inventory_comes_first_and_the_rest_when_its_root_is_there(
    machine: Machine, first: FirstProcess
) -> None:
    machine.boot(TOOLS, INVENTORY)
    first.start("inventory")
    assert first.orders(2) == ["hello", "tools"]
    assert machine.results()["50-inventory"].state == "pending", "devices are still looked for"
    first.tell("ready")
    machine.wait_for_state("50-inventory", "passed")
    assert machine.results()["00-tools"].state == "pending"
    first.tell("tools")
    assert first.ended() == "tools"
    first.start("tools")
    assert first.ended() == "poweroff"
    assert {name: result.state for name, result in machine.results().items()} == {
        "00-tools": "passed",
        "50-inventory": "passed",
    }
    assert machine.output("50-inventory") == b"enlist from the small root\n"
    assert machine.status()["state"] == "passed"


def test_a_run_of_the_inventory_alone_never_asks_for_the_large_root(
    machine: Machine, first: FirstProcess
) -> None:
    machine.boot(INVENTORY)
    first.start("inventory")
    assert first.orders(1) == ["hello"]
    first.tell("ready")
    assert first.ended() == "poweroff"
    assert not first.waiting()


def test_a_script_for_a_whole_system_is_left_to_systemd(
    machine: Machine, first: FirstProcess
) -> None:
    machine.boot(INVENTORY, script("10-reboots", "echo done", may_reboot=True))
    first.start("inventory")
    first.tell("ready")
    first.tell("tools")
    assert first.ended() == "system"
    first.start("system")
    assert machine.finish() == 0
    assert machine.results()["10-reboots"].state == "passed"


def test_the_agent_stays_and_is_heard_while_the_large_root_is_fetched(
    machine: Machine, first: FirstProcess
) -> None:
    machine.boot(INVENTORY, TOOLS)
    first.start("inventory")
    first.tell("ready")
    machine.wait_for_state("50-inventory", "passed")

    def heard() -> object:
        with machine.store.read() as tx:
            return tx.exec_driver_sql("SELECT last_heard_at FROM boots").scalar()

    before = heard()
    wait_for(lambda: heard() != before)
    assert machine.process is not None
    assert machine.process.poll() is None
    first.tell("tools")
    assert first.ended() == "tools"


def item(needs: str) -> ScriptItem:
    return ScriptItem(1, "a", "0" * 64, needs=needs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("level", "needs", "beyond"),
    [
        ("inventory", ["inventory"], ""),
        ("inventory", ["inventory", "tools"], "tools"),
        ("inventory", ["system", "tools"], "system"),
        ("tools", ["tools", "inventory"], ""),
        ("tools", ["system"], "system"),
        ("system", ["system"], ""),
        ("nonsense", ["system"], ""),
        ("inventory", [], ""),
    ],
)
def test_the_next_level_is_the_highest_that_any_script_needs(
    tmp_path: Path, level: str, needs: list[str], beyond: str
) -> None:
    stage = Stage(tmp_path, level)
    assert stage.beyond([item(need) for need in needs]) == beyond


def test_orders_without_a_first_process_are_dropped(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "inventory")
    stage.order("tools")
    os.mkfifo(tmp_path / "orders")
    stage.order("tools")
    assert not stage.wait_for_devices(threading.Event(), 0.1)
    assert not stage.wait_for_names(0.1)
    assert Stage(tmp_path, "tools").wait_for_devices(threading.Event(), 0.1)


def test_no_machine_is_read_while_its_drivers_are_on_their_way(tmp_path: Path) -> None:
    stage, aborted = Stage(tmp_path, "inventory"), threading.Event()
    (tmp_path / "coming").touch()
    heard: list[bool] = []
    reader = threading.Thread(target=lambda: heard.append(stage.wait_for_devices(aborted, 0.01)))
    reader.start()
    reader.join(0.3)
    assert reader.is_alive(), "the limit is for udev, not for the network"
    (tmp_path / "ready").touch()
    reader.join(5)
    assert heard == [True]
    (tmp_path / "ready").unlink()
    aborted.set()
    assert not stage.wait_for_devices(aborted, 0.01)


def test_a_script_s_own_level_is_told_by_who_wrote_it() -> None:
    own: Script = script("mine", "true")
    assert shelf.Offer(own).needs == "tools"
    assert shelf.Offer(own, version=1).needs == "system"
    assert shelf.Offer(script("50-maas-01-commissioning", "true")).needs == "inventory"
