"""A lab with no boot server: firmware, power, cables, and that nothing of it stays."""

import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from muster.lab import launch
from muster.lab.client import Lab
from muster.lab.errors import AlreadyUp, BadOrder, Conflict, NoSuchMachine, NotUp, TimedOut
from muster.lab.machines import Bmc, DiskKind, DiskOrder, NicModel, NicOrder, Order

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("able_host")]
ORDER = Order(name="m1", memory_mib=128, cpus=1, disks=(DiskOrder(size_mib=8),))
IPXE = r"iPXE .* -- Open Source Network Boot Firmware"


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_LAB_ACCEL", "tcg")


@pytest.fixture
def lab(short_folder: Path) -> Iterator[Lab]:
    with Lab.up(orders=[ORDER], name="test", folder=short_folder) as lab:
        yield lab


def qemus_of(folder: Path) -> list[int]:
    """Processes whose working directory is a machine's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(process / "cwd")).is_relative_to(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def inside(lab: Lab, *argv: str) -> str:
    with lab.run_inside(argv, stdout=subprocess.PIPE, text=True) as process:
        return str(process.communicate(timeout=30)[0])


def test_a_machine_runs_its_firmware_and_obeys_its_power_button(lab: Lab) -> None:
    machine = lab.machine("m1")
    assert machine.status == "stopped"
    assert machine.on()["power_ons"] == 1
    assert machine.wait_for("SeaBIOS", limit_s=60)
    assert machine.wait_for(IPXE, limit_s=60)
    assert machine.on()["power_ons"] == 1, "on is idempotent"
    assert machine.off()["status"] == "stopped"
    assert machine.off()["reason"] == "switched off"
    assert qemus_of(lab.folder) == []
    assert machine.cycle()["power_ons"] == 2
    assert re.search(r"=== m1: power on 2, .*Z, bios, tcg ===", machine.serial_text())


def test_a_machine_with_tpm_bmc_and_every_kind_of_disk_is_cycled(lab: Lab) -> None:
    disks = tuple(DiskOrder(kind=kind, size_mib=8) for kind in DiskKind)
    board = {"cpus": 2, "numa_nodes": 2, "dimms": 2, "tpm": True, "bmc": Bmc.KCS}
    machine = lab.add(Order(name="rich", memory_mib=256, disks=disks, **board))
    machine.on()
    assert machine.wait_for(IPXE, limit_s=120)
    assert "swtpm" in inside(lab, "ps", "-eo", "comm")
    assert machine.cycle()["power_ons"] == 2
    assert machine.wait_for(IPXE, limit_s=120)
    assert machine.off()["status"] == "stopped"
    assert "swtpm" not in inside(lab, "ps", "-eo", "comm")


def test_a_reset_starts_the_firmware_again_in_the_same_power_on(lab: Lab) -> None:
    machine = lab.machine("m1")
    machine.on()
    machine.wait_for(IPXE, limit_s=60)
    assert machine.reset()["power_ons"] == 1
    assert machine.wait_for(rf"(?s){IPXE}.*{IPXE}", limit_s=60)


def test_a_reset_of_a_machine_that_is_off_is_refused(lab: Lab) -> None:
    with pytest.raises(Conflict, match="m1 is off"):
        lab.machine("m1").reset()


def test_a_qemu_that_dies_shows_as_stopped_with_its_exit_status(lab: Lab) -> None:
    machine = lab.machine("m1")
    machine.on()
    (pid,) = qemus_of(lab.folder)
    os.kill(pid, signal.SIGKILL)
    assert "exit status -9" in machine.wait_until("stopped", limit_s=10)["reason"]
    assert machine.on()["status"] == "running"


def test_a_pulled_cable_stays_pulled_over_a_power_cycle(lab: Lab) -> None:
    # iPXE's virtio driver never asks for the link's state, its e1000 driver does.
    machine = lab.add(Order(name="m2", memory_mib=128, nics=(NicOrder(model=NicModel.E1000),)))
    assert machine.link(0, up=False)["links"] == ["down"]
    machine.on()
    assert machine.wait_for("Link:down", limit_s=60)
    assert machine.cycle()["links"] == ["down"]
    assert machine.wait_for("Link:down", limit_s=60)
    with pytest.raises(NoSuchMachine, match="no NIC 1"):
        machine.link(1, up=True)


def test_the_power_answer_suits_the_webhook_driver(lab: Lab) -> None:
    """Its default patterns, asked inside the namespace where the driver runs."""
    script = (
        "import urllib.request as u; "
        "print(u.urlopen('http://127.0.0.1:8970/machines/m1').read().decode())"
    )
    running, stopped = r"status.*:.*running", r"status.*:.*stopped"
    text = inside(lab, sys.executable, "-c", script)
    assert re.search(stopped, text)
    assert not re.search(running, text)
    lab.machine("m1").on()
    text = inside(lab, sys.executable, "-c", script)
    assert re.search(running, text)
    assert not re.search(stopped, text)


def test_machines_come_and_go_in_a_running_lab(lab: Lab) -> None:
    added = lab.add(Order(name="m2", memory_mib=128, disks=()))
    assert [machine.name for machine in lab.machines()] == ["m1", "m2"]
    added.on()
    with pytest.raises(Conflict, match="already"):
        lab.add(Order(name="m2"))
    mac = lab.machine("m1").document()["macs"][0]
    with pytest.raises(BadOrder, match="already a NIC of m1"):
        lab.add(Order(name="m3", nics=(NicOrder(mac=mac),)))
    added.remove()
    assert [machine.name for machine in lab.machines()] == ["m1"]
    assert not added.folder.exists()
    assert "tap1" not in inside(lab, "ip", "-br", "link")


def test_the_segment_can_be_cut_and_mended(lab: Lab) -> None:
    lab.machine("m1").on()
    before = inside(lab, "ip", "-br", "address", "show", "dev", "br0")
    assert "10.99.0.1/24" in before
    assert "fd99::1/64" in before
    lab.network(up=False)
    assert " DOWN " in inside(lab, "ip", "-br", "address", "show", "dev", "br0")
    lab.network(up=True)
    assert inside(lab, "ip", "-br", "address", "show", "dev", "br0") == before


@pytest.mark.parametrize(
    ("method", "path", "status", "word"),
    [
        ("GET", "/machines/m9", 404, "there are: m1"),
        ("POST", "/machines/m1/explode", 400, "on, off, cycle, reset"),
        ("POST", "/machines/m1/nic/x/up", 400, "whole number"),
        ("POST", "/machines/m1/nic/0/sideways", 400, "up, down"),
        ("POST", "/network/sideways", 400, "up, down"),
        ("GET", "/machines/m1/until/running?within=soon", 400, "within"),
        ("GET", "/machines/m1/until/melted", 409, "running or stopped"),
        ("GET", "/server", 409, "--no-server"),
        ("PUT", "/machines", 405, "PUT /machines"),
        ("GET", "/nowhere", 404, "/nowhere"),
        ("POST", "/machines", 400, "send a JSON object"),
    ],
)
def test_a_bad_request_is_answered_with_its_reason(
    lab: Lab, method: str, path: str, status: int, word: str
) -> None:
    connection = http.client.HTTPConnection("lab")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(lab.folder / "control.sock"))
    connection.request(method, path)
    answer = connection.getresponse()
    assert answer.status == status
    assert word in answer.read().decode()
    connection.close()


def test_waiting_for_what_does_not_come_ends_with_the_console(lab: Lab) -> None:
    with pytest.raises(TimedOut, match="did not print 'never'"):
        lab.machine("m1").wait_for("never", limit_s=0.05)
    with pytest.raises(TimedOut, match="was not running within"):
        lab.machine("m1").wait_until("running", limit_s=0.05)


def test_one_name_holds_one_lab(lab: Lab) -> None:
    with pytest.raises(AlreadyUp, match="already runs"):
        Lab.up(orders=[ORDER], name="test", folder=lab.folder)
    assert lab.machine("m1").status == "stopped", "the first lab is unharmed"


def test_down_leaves_no_process_and_no_folder(short_folder: Path) -> None:
    lab = Lab.up(orders=[ORDER], name="test", folder=short_folder)
    lab.machine("m1").on()
    assert qemus_of(short_folder)
    assert lab.down() == []
    assert qemus_of(short_folder) == []
    assert not short_folder.exists()
    with pytest.raises(NotUp, match="nothing to take down"):
        lab.down()


def test_a_killed_supervisor_takes_everything_with_it_and_the_lab_comes_up_again_at_once(
    short_folder: Path,
) -> None:
    lab = Lab.up(orders=[ORDER], name="test", folder=short_folder)
    lab.machine("m1").on()
    pids = [lab.pid, *qemus_of(short_folder)]
    assert len(pids) == 2
    os.kill(lab.pid, signal.SIGKILL)
    with Lab.up(orders=[ORDER], name="test", folder=short_folder) as again:
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert again.machine("m1").on()["power_ons"] == 1
    assert not short_folder.exists()


def test_a_tied_lab_ends_with_the_process_that_started_it(short_folder: Path) -> None:
    code = f"""
from pathlib import Path
from muster.lab.client import Lab
lab = Lab.up(name="test", folder=Path({str(short_folder)!r}), tied=True)
print(lab.pid, flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        pidfd = os.pidfd_open(int(owner.stdout.readline()))
        owner.kill()
    ended, _, _ = select.select([pidfd], [], [], 30)
    os.close(pidfd)
    assert ended
    launch.stop(short_folder)
    assert not short_folder.exists()


def test_down_clears_a_crashed_lab(short_folder: Path) -> None:
    lab = Lab.up(orders=[ORDER], name="test", folder=short_folder)
    lab.machine("m1").on()
    pids = [lab.pid, *qemus_of(short_folder)]
    os.kill(lab.pid, signal.SIGKILL)
    launch.stop(short_folder)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not short_folder.exists()


def test_the_host_sees_no_interface_of_the_lab(lab: Lab) -> None:
    assert "br0" in inside(lab, "ip", "-br", "link")
    ours = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True)
    assert "br0" not in ours.stdout


def test_a_server_that_is_killed_comes_back_on_the_same_socket(short_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lab = Lab.up(
            orders=[],
            name="test",
            folder=short_folder,
            server=[sys.executable, "-u", "-c", SERVER],
            server_env={"GREETING": "hello"},
            listen=listener,
        )
        address = listener.getsockname()
    with lab:
        first = ask(address)
        assert first.startswith("hello ")
        kill_and_wait(host_pid(lab, first))
        second = ask(address)
        assert second.startswith("hello ")
        assert second != first
        assert lab.server()["deaths"] == 1
        assert lab.server("stop")["state"] == "stopped"
        assert lab.server("start")["state"] == "running"
        assert ask(address).startswith("hello ")


# It takes file descriptor 3 as sd_listen_fds(3) says and tells its pid to each caller.
SERVER = """
import os, socket
assert (os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"]) == ("1", str(os.getpid()))
listener = socket.socket(fileno=3)
while True:
    caller, _ = listener.accept()
    caller.sendall(f"{os.environ['GREETING']} {os.getpid()}".encode())
    caller.close()
"""


def ask(address: tuple[str, int]) -> str:
    with socket.create_connection(address, timeout=30) as connection:
        return connection.makefile().read()


def kill_and_wait(pid: int) -> None:
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    ended, _, _ = select.select([pidfd], [], [], 30)
    os.close(pidfd)
    assert ended


def host_pid(lab: Lab, greeting: str) -> int:
    """The pid in this namespace of the server that said its pid in the lab's."""
    own = greeting.split()[1]
    for process in Path("/proc").glob("[0-9]*/status"):
        nspid = re.search(r"^NSpid:\s+(\d+)\s+(\d+)$", process.read_text(), re.MULTILINE)
        inside_lab = nspid and os.readlink(process.parent / "ns/pid") == os.readlink(
            f"/proc/{lab.pid}/ns/pid"
        )
        if nspid and inside_lab and nspid[2] == own:
            return int(nspid[1])
    raise AssertionError(f"no process {own} in the lab")


def test_a_lab_in_a_user_namespace_works_and_ends_alike(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--user", "--map-root-user", "--net", "--pid", "--fork", "--mount-proc"]
    if subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces on this machine")
    monkeypatch.setattr(launch, "choose_namespace", lambda: True)
    with Lab.up(orders=[ORDER], name="test", folder=short_folder) as lab:
        assert lab.facts["user_namespace"]
        lab.machine("m1").on()
        lab.machine("m1").wait_for(IPXE, limit_s=60)
        assert "10.99.0.1/24" in inside(lab, "ip", "-br", "address", "show", "dev", "br0")
        assert "dnsmasq" in inside(lab, "ps", "ax")
    assert not short_folder.exists()


def test_a_command_inside_the_lab_gets_a_socket_of_the_host(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = lab.run_inside(
            [sys.executable, "-c", SERVER], listen=listener, env={**os.environ, "GREETING": "hi"}
        )
        try:
            assert ask(listener.getsockname()) == f"hi {server.pid}"
        finally:
            server.kill()
            server.wait()


def test_a_console_is_followed_without_polling(lab: Lab) -> None:
    code = "from muster.lab.commands import app; app()"
    flags = ["console", "m1", "-f", "--dir", str(lab.folder)]
    with subprocess.Popen([sys.executable, "-uc", code, *flags], stdout=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        lab.machine("m1").on()
        readable, _, _ = select.select([tail.stdout], [], [], 30)
        assert readable
        assert b"=== m1: power on 1" in tail.stdout.readline() + tail.stdout.readline()
        tail.kill()
