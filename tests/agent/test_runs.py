"""The packed agent as a process against a real server: whole runs and hostile scripts."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.agent.conftest import MakeMachine
from tests.agent.machine import Machine, script
from tests.server.running import wait_for

from muster.lifecycle import bmc, commission
from muster.lifecycle.secrets import Forbidden
from muster.server.app import utc_now
from muster.store import machines

EVERY_BYTE = bytes(range(256))
IN_OCTAL = "".join(f"\\{byte:03o}" for byte in EVERY_BYTE)


def pythons() -> list[str]:
    """Every Python from 3.10 on that starts here."""
    found = []
    for minor in range(10, 16):
        path = shutil.which(f"python3.{minor}")
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            found.append(path)
    return found


HEARD = 'until [ -s "$OUTPUT_STDOUT_PATH" ]; do :; done'
"""The agent has read what was said so far; what two pipes hold at once comes in any order."""


def gone(pid_file: Path) -> bool:
    """No such process, or only its corpse."""
    try:
        state = Path(f"/proc/{int(pid_file.read_text())}/stat").read_text().rsplit(")", 1)[1]
    except OSError:
        return True
    return state.split()[0] == "Z"


def test_a_whole_run_comes_back_byte_for_byte(machine: Machine) -> None:
    results = machine.run(
        script(
            "00-out", f'echo out; {HEARD}; echo err >&2; echo "results: {{a: 1}}" > "$RESULT_PATH"'
        ),
        script("10-binary", f"printf '{IN_OCTAL}'"),
        script("20-fails", "exit 3"),
        script("30-silent", "true"),
    )
    assert {name: result.state for name, result in results.items()} == {
        "00-out": "passed",
        "10-binary": "passed",
        "20-fails": "failed",
        "30-silent": "passed",
    }
    assert results["20-fails"].exit_status == 3
    assert results["20-fails"].reason == "exit status 3"
    assert machine.output("00-out", "stdout") == b"out\n"
    assert machine.output("00-out", "stderr") == b"err\n"
    assert machine.output("00-out") == b"out\nerr\n"
    assert machine.output("00-out", "result") == b"results: {a: 1}\n"
    assert machine.output("10-binary") == EVERY_BYTE
    assert machine.output("30-silent") == b""
    assert machine.status()["state"] == "failed"
    assert machine.console().rstrip().endswith("finished: poweroff")


@pytest.mark.slow
@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).name)
def test_the_pack_runs_under_every_python_that_is_here(machine: Machine, python: str) -> None:
    machine.boot(script("00-hello", "echo hello"))
    machine.start(python)
    assert machine.finish() == 0, machine.console()
    assert machine.output("00-hello") == b"hello\n"


@pytest.mark.slow
def test_a_script_sees_the_environment_that_maas_gives(machine: Machine) -> None:
    machine.run(script("00-env", "env; pwd", timeout=60))
    lines = machine.output("00-env").decode().splitlines()
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    assert told["MAAS_BASE_URL"] == machine.server.url
    assert told["RUNTIME"] == "60"
    assert told["HAS_STARTED"] == "False"
    assert told["DOWNLOAD_PATH"] == lines[-1]
    assert told["RESULT_PATH"].startswith(lines[-1])
    assert "nonce" not in str(told).lower()


@pytest.mark.slow
def test_a_script_that_hangs_ends_at_its_limit_with_its_children(
    machine: Machine, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    stubborn = f"trap '' TERM; echo before; sleep 1000 & echo $! > {pid}; wait; sleep 1000"
    results = machine.run(script("00-hangs", stubborn, timeout=1), script("10-next", "echo next"))
    hung = results["00-hangs"]
    assert hung.state == "timed_out"
    assert hung.reason == "stopped after its limit of 1 s"
    assert hung.runtime_s is not None
    assert 1 <= hung.runtime_s < 8
    assert machine.output("00-hangs") == b"before\n"
    assert results["10-next"].state == "passed"
    wait_for(lambda: gone(pid))


@pytest.mark.slow
def test_a_flood_is_capped_with_the_reason_and_a_marker(make_machine: MakeMachine) -> None:
    machine = make_machine(output_limit=3_000_000)
    found = machine.run(
        script("00-flood", "head -c 50000000 /dev/zero"), script("10-next", "echo next")
    )
    assert found["00-flood"].state == "passed"
    assert found["00-flood"].reason == "47000000 bytes of output beyond the limit were left out"
    marker = b"\n[muster: the limit of 3000000 bytes is reached; what follows is left out]\n"
    assert machine.output("00-flood") == b"\0" * 3_000_000 + marker
    assert found["10-next"].state == "passed"


@pytest.mark.slow
def test_a_script_that_prints_byte_by_byte_makes_few_events(machine: Machine) -> None:
    drip = "import os, time\nfor i in range(2000): os.write(1, b'x'); time.sleep(0.0002)"
    machine.run(script("00-drip", f'python3 -c "{drip}"'))
    assert machine.output("00-drip") == b"x" * 2000
    with machine.store.read() as tx:
        assert int(tx.exec_driver_sql("SELECT count(*) FROM chunks").scalar() or 0) < 100


@pytest.mark.slow
def test_a_daemon_that_keeps_the_pipe_open_does_not_keep_the_run(
    machine: Machine, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    fork = f"setsid sh -c 'echo $$ > {pid}.part; mv {pid}.part {pid}; exec sleep 300' &"
    daemon = f"echo started; {fork} while [ ! -e {pid} ]; do sleep 0.01; done"
    results = machine.run(script("00-daemon", daemon), script("10-next", "echo next"), seconds=15)
    assert gone(pid), "it must end with its script"
    assert results["00-daemon"].state == "passed"
    assert machine.output("00-daemon") == b"started\n"
    assert results["10-next"].state == "passed"


@pytest.mark.slow
def test_a_result_file_that_is_a_pipe_does_not_keep_the_run(machine: Machine) -> None:
    results = machine.run(script("00-fifo", 'mkfifo "$RESULT_PATH"'))
    assert results["00-fifo"].state == "passed"


@pytest.mark.slow
def test_a_large_result_file_arrives_whole(machine: Machine) -> None:
    machine.run(script("00-large", 'yes "key: value" | head -c 200000 > "$RESULT_PATH"'))
    assert machine.output("00-large", "result") == (b"key: value\n" * 20000)[:200000]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\x00\x01\x02 no program", "Exec format error"),
        (b"", "Exec format error"),
        (b"#!/no/such/interpreter\n", "No such file"),
        (b"#!/etc/passwd\n", "Permission denied"),
    ],
    ids=["binary", "empty", "no interpreter", "interpreter not executable"],
)
def test_what_cannot_be_executed_fails_with_the_reason(
    machine: Machine, body: bytes, why: str
) -> None:
    results = machine.run(script("00-bad", body), script("10-next", "true"))
    assert results["00-bad"].state == "failed"
    assert results["00-bad"].exit_status == 127
    assert results["00-bad"].reason.startswith("cannot be started: ")
    assert why in results["00-bad"].reason
    assert results["10-next"].state == "passed"


@pytest.mark.slow
def test_a_script_killed_by_a_signal_says_which(machine: Machine) -> None:
    results = machine.run(script("00-killed", "kill -SEGV $$"))
    assert results["00-killed"].state == "failed"
    assert results["00-killed"].reason == "ended by signal 11"
    assert results["00-killed"].exit_status == 139


@pytest.mark.slow
def test_an_abort_ends_the_running_script_and_those_that_wait(
    machine: Machine, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    machine.boot(
        script("00-long", f"trap '' TERM; sleep 600 & echo $! > {pid}; wait; sleep 600"),
        script("10-never", f"touch {tmp_path}/ran"),
    )
    machine.start()
    machine.wait_for_state("00-long", "running")
    with machine.store.read() as tx:
        name = machines.some(tx)[0].name
    commission.abort(machine.store, machine.server.policy, name, actor="test", now=utc_now())
    # One heartbeat until it hears, then TERM, the grace, KILL.
    assert machine.finish(seconds=1 + 5 + 2) == 0
    states = {result.state for result in machine.results().values()}
    assert states == {"aborted"}
    assert not (tmp_path / "ran").exists()
    wait_for(lambda: gone(pid))


@pytest.mark.slow
def test_a_held_machine_waits_for_a_person_and_then_runs(make_machine: MakeMachine) -> None:
    machine = make_machine(enlist="hold")
    machine.boot(script("00-hello", "echo hello"))
    machine.start()
    wait_for(lambda: "waiting: " in machine.console())
    with machine.store.read() as tx:
        name = machines.some(tx)[0].name
    assert machine.results() == {}
    commission.accept(machine.store, name, actor="test", now=utc_now())
    assert machine.finish() == 0
    assert machine.output("00-hello") == b"hello\n"
    assert machine.console().count("waiting: ") == 1


@pytest.mark.slow
def test_a_denied_machine_runs_nothing_and_says_why(
    make_machine: MakeMachine, tmp_path: Path
) -> None:
    machine = make_machine(enlist="hold")
    machine.boot(script("00-never", f"touch {tmp_path}/ran"))
    machine.start()
    wait_for(lambda: "waiting: " in machine.console())
    with machine.store.read() as tx:
        name = machines.some(tx)[0].name
    commission.deny(machine.store, name, reason="not ours", actor="test", now=utc_now())
    assert machine.finish() == 0
    assert "the server refuses this machine: not ours" in machine.console()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("config", ["", "{}", '{"server": 5', '["server"]'])
def test_an_agent_without_its_configuration_says_so(machine: Machine, config: str) -> None:
    (machine.folder / "agent.json").write_text(config)
    machine.start()
    assert machine.finish() == 2
    assert "agent.json" in machine.console()


def test_a_secret_reaches_its_script_by_a_file_and_nothing_else(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"user": "muster", "passwords": ["hush-hush-hush-1"]}
    monkeypatch.setattr(bmc, "secret", lambda *_: known)
    look = 'stat -c "%a %s" "$MUSTER_SECRET_FILE"; grep -c hush-hush-hush-1 "$MUSTER_SECRET_FILE"'
    places = " ".join(f"/proc/{pid}/{file}" for pid in ("$$", "$PPID")
                      for file in ("environ", "cmdline"))  # fmt: skip
    elsewhere = f"grep -l hush-hush-hush-1 {places}; true"
    results = machine.run(
        script("30-bmc", f"{look}; {elsewhere}", tags=("bmc-config",)),
        script("40-other", f"{look} || true"),
    )
    assert {result.state for result in results.values()} == {"passed"}
    size, times = machine.output("30-bmc").splitlines()
    assert size.startswith(b"600 ")
    assert times == b"1", "nowhere but in the file"
    assert machine.output("40-other") == b"600 0\n0\n"
    kept = [file for file in machine.folder.rglob("*") if file.is_file()]
    assert kept
    assert not [file for file in kept if b"hush-hush-hush-1" in file.read_bytes()]


def test_a_secret_that_is_refused_fails_its_script_alone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Forbidden("not for you", status=403)

    monkeypatch.setattr(bmc, "secret", refuse)
    results = machine.run(
        script("30-bmc", "true", tags=("bmc-config",)), script("40-other", "true")
    )
    assert results["30-bmc"].state == "failed"
    assert "its secret is refused" in results["30-bmc"].reason
    assert results["40-other"].state == "passed"
