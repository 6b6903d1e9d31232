"""`muster serve` as a process: it comes up and goes down, or says why not and fails."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.server.process import Served, environment, muster, served
from tests.server.segments import Client, in_own_network, ip, needs_root

from muster.__main__ import app
from muster.server import commands

LOOPBACK = "127.0.0.1:0"


@pytest.mark.slow
def test_a_server_comes_up_shows_a_password_once_and_ends_when_told(tmp_path: Path) -> None:
    with served(tmp_path / "data", "--listen", LOOPBACK) as server:
        assert json.loads(server.get("/healthz"))["status"] == "ok"
        assert 'muster_machines{state="Ready"} 0.0' in server.get("/metrics")
        password = server.password
        assert len(password) > 16
        assert f"muster login {server.url} --user admin" in server.log()
        port = int(server.url.rsplit(":", 1)[1])
    assert server.process.returncode == 0
    with socket.create_server(("127.0.0.1", port)) as probe:
        assert probe.getsockname()[1] == port
    with served(tmp_path / "data", "--listen", LOOPBACK) as again:
        assert "First start" not in again.log()
        assert password not in again.log()


def refused(folder: Path, *words: str, **more: str) -> str:
    """What `muster serve` says when it cannot start."""
    done = muster(folder, "serve", *words, **more)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.slow
def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        told = refused(tmp_path, "--data", str(tmp_path), "--listen", listen)
    assert f"cannot listen on {listen}" in told
    assert "setting: listen" in told


def a_file(folder: Path) -> str:
    (folder / "file").write_text("not a database, not a folder")
    return str(folder / "file")


@pytest.fixture
def refused_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """The same without a process of its own, which takes a second to import."""
    monkeypatch.setattr(commands, "set_up_logs", lambda _: None)

    def refuse(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            app(["serve", *words])
        assert ended.value.code not in (0, None)
        return capsys.readouterr().err

    return refuse


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--listen 127.0.0.1:99999", "write ADDRESS:PORT"),
        ("--listen here", "write ADDRESS:PORT"),
        ("--interface nosuch0 --dhcp own", "interface 'nosuch0' is missing; this machine has:"),
        ("--interface lo --dhcp own --dhcp-pool 10.9.9.1,10.9.9.2", "no range inside 127.0.0.0/8"),
        ("--dhcp own", "--interface NAME"),
        ("--data FILE", "data folder"),
        ("--data FILE/below", "data folder"),
        ("--database sqlite:////no/such/folder/x.db", "cannot use the database"),
        ("--database sqlite:///FILE", "cannot use the database"),
        ("--database postgresql://nobody@127.0.0.1:1/x", "cannot use the database"),
        ("--database nonsense", "database URL"),
        ("--database mysql://x/y", "database URL"),
        ("--config FILE", "not TOML"),
    ],
)
def test_what_cannot_be_is_named_and_the_exit_status_says_so(
    tmp_path: Path, refused_here: Callable[..., str], words: str, told: str
) -> None:
    flags = words.replace("FILE", a_file(tmp_path)).split()
    for name, value in (("--data", str(tmp_path / "data")), ("--listen", LOOPBACK)):
        flags += [] if name in flags else [name, value]
    assert told in refused_here(*flags)


def test_an_unknown_setting_in_the_file_is_named(
    tmp_path: Path, refused_here: Callable[..., str]
) -> None:
    file = tmp_path / "muster.toml"
    file.write_text('interfase = "eth0"')
    told = refused_here("--config", str(file))
    assert "no setting 'interfase'" in told
    assert "interface" in told


@pytest.mark.slow
def test_settings_shows_each_value_and_where_it_came_from(tmp_path: Path) -> None:
    done = muster(tmp_path, "settings", "--listen", "127.0.0.1:1", MUSTER_ENLIST="hold")
    assert done.returncode == 0
    lines = {line.split()[1]: line for line in done.stdout.splitlines() if len(line.split()) > 3}
    assert "flag --listen" in lines["listen"]
    assert "environment MUSTER_ENLIST" in lines["enlist"]
    assert "default" in lines["data"]


@pytest.mark.slow
@needs_root
def test_an_interface_without_an_address_is_named_with_the_remedy(tmp_path: Path) -> None:
    def work() -> str:
        ip("link add srv0 type veth peer name cli0")
        ip("link set srv0 up")
        flags = ("--interface", "srv0", "--dhcp", "own", "--listen", LOOPBACK)
        return refused(tmp_path, "--data", str(tmp_path / "data"), *flags)

    told = in_own_network(work)
    assert "interface 'srv0' has no IPv4 address: ip addr add" in told


@pytest.mark.slow
@needs_root
def test_a_second_dhcp_server_on_the_segment_names_the_first_and_stays_out(
    tmp_path: Path,
) -> None:
    """Two servers on one wire, each with its own end of it."""

    def work() -> tuple[str, subprocess.CompletedProcess[str]]:
        other = Client("srv0", "10.77.0.1/24")
        other.run("ip addr add 10.77.0.2/24 dev eth0")
        flags = ("--listen", "0.0.0.0:0", "--dhcp", "own", "--interface")
        first = Served(tmp_path / "first", *flags, "srv0")
        try:
            first.wait()
            words = (sys.executable, "-m", "muster", "serve", "--data", f"{tmp_path}/second")
            second = other.inside(*words, *flags, "eth0")
            home = environment(tmp_path)
            return first.log(), subprocess.run(
                second, env=home, capture_output=True, text=True, timeout=60
            )
        finally:
            first.stop()
            other.close()

    log, second = in_own_network(work)
    assert "serving" in log
    assert second.returncode == 1
    assert "another DHCP server, 10.77.0.1 (" in second.stderr
    assert "--dhcp proxy" in second.stderr
