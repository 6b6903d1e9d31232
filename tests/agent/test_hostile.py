"""What users' scripts do: the right state and reason for each, and the others are not touched."""

import contextlib
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from tests.agent.conftest import MakeMachine
from tests.agent.machine import Machine, script
from tests.agent.test_runs import gone

from muster.lifecycle import commission
from muster.lifecycle.commission import Options
from muster.lifecycle.plan import GOOD
from muster.server.app import utc_now
from muster.store import machines, runs

pytestmark = pytest.mark.slow

GIB = 1024 * 1024 * 1024


class Supervisor:
    """Starts the agent again whenever it ends badly, as the unit's Restart=on-failure does."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.starts = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Supervisor":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join(timeout=60)

    def _work(self) -> None:
        while not self.done.is_set():
            self.starts += 1
            self.machine.start()
            assert self.machine.process is not None
            if self.machine.process.wait() == 0:
                self.done.set()

    def wait(self, seconds: float) -> None:
        assert self.done.wait(seconds), self.machine.console()[-3000:]


def peak_mib(pid: int) -> float:
    """The most memory that a process had so far."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


NEIGHBOUR = "echo neighbour; echo 'results: {a: 1}' > $RESULT_PATH"


def neighbours_are_well(machine: Machine) -> None:
    for name in ("00-before", "99-after"):
        assert machine.results()[name].state == "passed", name
        assert machine.results()[name].values == {"a": 1}
        assert machine.output(name) == b"neighbour\n"


def among_neighbours(*scripts):
    return (script("00-before", NEIGHBOUR), *scripts, script("99-after", NEIGHBOUR))


def test_one_gibibyte_of_output_costs_little_memory_on_both_sides(machine: Machine) -> None:
    machine.boot(*among_neighbours(script("50-flood", f"head -c {GIB} /dev/zero")))
    machine.start()
    assert machine.process is not None
    most = 0.0
    while machine.process.poll() is None:
        most = max(most, peak_mib(machine.process.pid))
        with contextlib.suppress(subprocess.TimeoutExpired):
            machine.process.wait(timeout=0.1)
    limit = machine.server.policy.output_limit
    flood = machine.results()["50-flood"]
    assert flood.state == "passed"
    assert flood.reason == f"{GIB - limit} bytes of output beyond the limit were left out"
    assert limit < flood.output_bytes < limit + 200
    assert machine.output("50-flood").endswith(b"what follows is left out]\n")
    assert 0 < most < 60
    neighbours_are_well(machine)


@pytest.mark.parametrize(
    ("body", "state", "reason"),
    [
        ("printf 'a\\377\\376b'", "passed", ""),
        ("printf '\\377' > $RESULT_PATH", "failed",
         "its result file cannot be used: not UTF-8 at byte 0"),
        ("echo 'results: {a: {b: {c: 1}}}' > $RESULT_PATH", "failed",
         "its result file cannot be used: results.a: must be a text, a number, true, false, or a"
         " list"),
        ("rm -rf \"$PWD\"; exit 3", "failed", "exit status 3"),
        ("rm -rf \"$PWD\"; mkdir \"$PWD\"; ln -s /dev/zero \"$RESULT_PATH\"", "passed", ""),
        ("kill -STOP $$", "timed_out", "stopped after its limit of 3 s"),
        ("exec >&- 2>&-; sleep 600", "timed_out", "stopped after its limit of 3 s"),
        ("for i in 1 2 3 4 5 6 7 8 9; do sleep 600 & done", "passed", ""),
    ],
    ids=["bytes", "result bytes", "nested", "no folder", "link", "stopped", "closed", "forks"],
)  # fmt: skip
def test_each_ends_with_its_state_and_reason(
    machine: Machine, body: str, state: str, reason: str
) -> None:
    machine.run(*among_neighbours(script("50-bad", body, timeout=3)))
    found = machine.results()["50-bad"]
    assert (found.state, found.reason) == (state, reason)
    neighbours_are_well(machine)


def test_daemons_that_leave_their_session_end_with_their_script(
    machine: Machine, tmp_path: Path
) -> None:
    daemon = f"setsid setsid sh -c 'echo $$ > {tmp_path}/p$0.part; mv {tmp_path}/p$0.part "
    daemon += f"{tmp_path}/p$0; exec sleep 600'"
    pids = [tmp_path / f"p{i}" for i in range(4)]
    body = "\n".join(f"{daemon} {i} &" for i in range(4))
    wait = " && ".join(f"[ -e {pid} ]" for pid in pids)
    machine.run(*among_neighbours(script("50-bad", f"{body}\nuntil {wait}; do sleep 0.05; done")))
    assert machine.results()["50-bad"].state == "passed"
    assert all(gone(pid) for pid in pids)
    neighbours_are_well(machine)


def test_a_script_that_kills_the_agent_is_lost_and_ended(machine: Machine, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    body = f"echo $$ > {pid}; kill -9 $PPID; sleep 600"
    machine.boot(*among_neighbours(script("50-bad", body)))
    with Supervisor(machine) as supervisor:
        supervisor.wait(60)
    assert supervisor.starts == 2
    found = machine.results()["50-bad"]
    assert found.state == "lost"
    assert found.reason == "the agent was restarted while this script ran"
    assert gone(pid)
    neighbours_are_well(machine)


def test_an_agent_that_is_stopped_reports_what_it_cut_off(machine: Machine) -> None:
    machine.boot(script("00-long", "sleep 600"), script("10-next", "true"))
    machine.start()
    machine.wait_for_state("00-long", "running")
    assert machine.process is not None
    machine.process.send_signal(signal.SIGTERM)
    assert machine.finish(seconds=15) == 0
    found = machine.results()
    assert found["00-long"].state == "lost"
    assert found["00-long"].reason == "the machine was shut down while this script ran"
    assert found["10-next"].state == "pending"


def test_a_script_that_may_reboot_goes_on_after_the_reboot(
    machine: Machine, tmp_path: Path
) -> None:
    body = 'echo "started: $HAS_STARTED"; [ "$HAS_STARTED" = True ] || sleep 600'
    scripts = (script("00-before", NEIGHBOUR), script("10-firmware", body, may_reboot=True),
               script("99-after", NEIGHBOUR))  # fmt: skip
    machine.boot(*scripts)
    machine.start()
    machine.wait_for_state("00-before", "passed")
    with machine.store.read() as tx:
        name = machines.some(tx)[0].name
    machine.kill()

    def chosen(*_: object) -> list:
        return list(scripts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("muster.lifecycle.shelf.catalogue.for_commission", chosen)
        options = Options(tests=["none"])
        policy = machine.server.policy
        commission.start(machine.store, policy, name, options, actor="a", now=utc_now())
    machine.reboot()
    machine.start()
    machine.wait_for_state("10-firmware", "running")
    assert machine.process is not None
    machine.process.send_signal(signal.SIGTERM)
    assert machine.finish() == 0
    assert machine.results()["10-firmware"].state == "running"
    machine.reboot()
    machine.start()
    assert machine.finish() == 0, machine.console()
    assert machine.output("10-firmware") == b"started: False\nstarted: True\n"
    assert machine.results()["10-firmware"].state == "passed"
    neighbours_are_well(machine)


def test_parallel_scripts_run_together_and_one_disk_is_held_once(
    machine: Machine, tmp_path: Path
) -> None:
    body = f'mkdir {tmp_path}/$0 2>/dev/null; i=0; until [ "$(ls {tmp_path} | grep -c meet)" = 3 ]'
    body += "; do sleep 0.05; done"
    meet = [
        script(f"meet-{i}", body.replace("$0", f"meet-{i}"), parallel="any", timeout=20)
        for i in range(3)
    ]
    found = machine.run(*meet)
    assert [result.state for result in found.values()] == ["passed"] * 3


def test_an_abort_stops_every_script_within_five_seconds(
    make_machine: MakeMachine, tmp_path: Path
) -> None:
    machine = make_machine(heartbeat_s=2.5)
    body = "trap '' TERM; sleep 600 & wait; sleep 600"
    machine.boot(*(script(f"s{i}", body, parallel="any") for i in range(8)))
    machine.start()
    for i in range(8):
        machine.wait_for_state(f"s{i}", "running")
    with machine.store.read() as tx:
        name = machines.some(tx)[0].name
    commission.abort(machine.store, machine.server.policy, name, actor="test", now=utc_now())
    assert machine.finish(seconds=6) == 0
    assert {result.state for result in machine.results().values()} == {"aborted"}


LINES = "".join(f"line {i}\n" for i in range(300)).encode()


def test_an_agent_killed_at_200_random_instants_loses_and_doubles_nothing(
    machine: Machine, tmp_path: Path
) -> None:
    """Runs of at most twenty kills; each ends by itself within 60 s of its last kill."""
    chance = random.Random(11)
    body = 'i=0; while [ $i -lt 300 ]; do echo "line $i"; i=$((i+1)); done; sleep 0.05'
    kills = rounds = 0
    while kills < 200:
        rounds += 1
        assert rounds <= 40, "runs end before they can be killed"
        ran = tmp_path / f"ran{rounds}"
        names = [f"{n:02}-some" for n in range(24)]
        both = ("disabled", "any")
        scripts = [
            script(name, f"echo {name} >> {ran}\n{body}", parallel=both[n % 4 == 3])
            for n, name in enumerate(names)
        ]
        machine.forget()
        machine.boot(*scripts)
        with Supervisor(machine) as supervisor:
            for _ in range(20):
                if supervisor.done.wait(chance.random() * 0.5):
                    break
                kills += machine.kill_agent_only()
            supervisor.wait(60)
        check_run(machine, names, ran)


def check_run(machine: Machine, names: list[str], ran: Path) -> None:
    found = machine.results()
    assert sorted(found) == names
    for name, result in found.items():
        assert result.state in (*GOOD, "lost"), (name, result)
        assert result.state == "passed" or result.reason, name
        output = machine.output(name)
        assert output == LINES if result.state == "passed" else LINES.startswith(output), name
    started = ran.read_text().split() if ran.exists() else []
    assert len(started) == len(set(started)), "a script ran twice"
    missing = set(names) - set(started)
    assert missing <= {name for name, result in found.items() if result.state == "lost"}
    with machine.store.read() as tx:
        newest = max(result.run_id for result in found.values())
        assert runs.find(tx, newest).state in ("passed", "failed")
