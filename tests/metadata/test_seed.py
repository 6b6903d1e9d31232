"""The seed: what a machine hears before anybody knows who it is."""

import json
import os
import re
import subprocess
import urllib.parse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.api.desk import UUID, Desk
from tests.server.shelf import stocked

from muster.images.library import Library
from muster.lifecycle import commission
from muster.lifecycle.policy import Policy
from muster.machine.phases import Purpose
from muster.metadata import pack, seed
from muster.store.engine import Store

NAMES = ("meta-data", "user-data", "vendor-data", "network-config")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0000000000000000000000000000000000000000000 me@here"
FULL = Policy(url="http://10.0.0.1:8472", ntp_servers=("10.0.0.9",), ssh_keys=(KEY,))


@pytest.fixture
def desk(store: Store, tmp_path: Path, clock: Any) -> Iterator[Desk]:
    made = Desk(store, stocked(tmp_path), clock, ssh_keys=(KEY,), ntp_servers=("10.0.0.9",))
    with made.client:
        yield made


def fetch(desk: Desk, nonce: str) -> dict[str, str]:
    answers = {name: desk.client.get(f"/metadata/{nonce}/{name}") for name in NAMES}
    assert {answer.status_code for answer in answers.values()} == {200}
    return {name: answer.text for name, answer in answers.items()}


def config(text: str) -> dict[str, Any]:
    """cloud-config as cloud-init reads it."""
    assert text.startswith("#cloud-config\n")
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def test_every_file_of_the_seed_is_there_until_the_hello(desk: Desk) -> None:
    nonce = desk.boot()
    first = fetch(desk, nonce)
    assert fetch(desk, nonce) == first
    assert first["vendor-data"] == ""
    assert first["network-config"] == ""
    meta = yaml.safe_load(first["meta-data"])
    assert meta["instance-id"] == f"muster-{desk.get('/boots')[0]['id']}"
    desk.hello(nonce)
    assert desk.client.get(f"/metadata/{nonce}/user-data").status_code == 403


def test_every_boot_is_a_first_boot_for_cloud_init(desk: Desk) -> None:
    one = yaml.safe_load(fetch(desk, desk.boot())["meta-data"])
    two = yaml.safe_load(fetch(desk, desk.boot(mac="52:54:00:12:34:02"))["meta-data"])
    assert one["instance-id"] != two["instance-id"]


def test_two_machines_seeds_differ_only_in_nonce_and_boot(desk: Desk) -> None:
    told = []
    for mac, uuid in (("52:54:00:12:34:01", UUID), ("52:54:00:12:34:02", UUID[:-1] + "2")):
        nonce = desk.boot(mac=mac, uuid=uuid)
        boot = next(boot["id"] for boot in desk.get("/boots") if boot["mac"] == mac)
        files = fetch(desk, nonce)
        assert nonce in files["user-data"]
        told.append({n: t.replace(nonce, "NONCE").replace(boot, "BOOT") for n, t in files.items()})
        assert UUID[:-1] not in str(told[-1])
    assert told[0] == told[1]


def test_the_agent_is_told_its_server_and_its_nonce_only(desk: Desk) -> None:
    nonce = desk.boot()
    (command,) = config(fetch(desk, nonce)["user-data"])["bootcmd"]
    assert json.loads(command[4]) == {"server": desk.policy.url, "nonce": nonce}


def test_ssh_keys_come_when_commissioning_and_never_before(desk: Desk, now: datetime) -> None:
    nonce = desk.boot()
    assert "ssh-ed25519" not in fetch(desk, nonce)["user-data"]
    name = desk.hello(nonce).json()["machine"]
    options = commission.Options(enable_ssh=True)
    commission.start(desk.store, desk.policy, name, options, actor="test", now=now)
    told = config(fetch(desk, desk.boot())["user-data"])
    assert told["users"] == [{"name": "root", "ssh_authorized_keys": [KEY]}]


@pytest.mark.parametrize("purpose", [Purpose.ENLIST, Purpose.TEST])
def test_no_purpose_but_commissioning_opens_ssh(purpose: Purpose) -> None:
    told = config(seed.user_data(FULL, "nonce", purpose))
    assert "users" not in told
    assert "runcmd" not in told
    assert told["ssh_pwauth"] is False


def test_time_servers_are_told_when_there_are_any() -> None:
    told = config(seed.user_data(FULL, "nonce", Purpose.ENLIST))
    assert told["ntp"] == {"enabled": True, "servers": ["10.0.0.9"]}
    assert "ntp" not in config(seed.user_data(Policy(), "nonce", Purpose.ENLIST))


def test_nothing_of_a_setting_breaks_out_of_the_seed() -> None:
    evil = Policy(url='http://x/"\n- evil: {', ssh_keys=('k"\nruncmd: [reboot]',))
    told = config(seed.user_data(evil, "nonce", Purpose.COMMISSION))
    assert told["users"][0]["ssh_authorized_keys"] == list(evil.ssh_keys)
    assert told["runcmd"] == [["systemctl", "start", "--no-block", "ssh.service"]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's own root: cloud-init on the host would run at the host's next boot."""
    library = Library(Path(os.environ.get("MUSTER_IMAGES", "build/images")))
    image = library.current()
    if image is None:
        pytest.fail(f"no image in {library.root}: run 'make image'")
    root = tmp_path_factory.mktemp("image") / "root"
    squashfs = library.blob(image.files["squashfs"].sha256)
    subprocess.run(
        ["unsquashfs", "-q", "-n", "-d", str(root), str(squashfs)], check=True, capture_output=True
    )
    return root


@pytest.mark.image
@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("policy", [Policy(), FULL], ids=["bare", "full"])
def test_the_image_s_cloud_init_finds_nothing_wrong(
    root: Path, purpose: Purpose, policy: Policy
) -> None:
    (root / "tmp" / "user-data").write_text(seed.user_data(policy, "nonce", purpose))
    checked = subprocess.run(
        ["chroot", str(root), "cloud-init", "schema", "--config-file", "/tmp/user-data"],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "deprecat" not in checked.stdout.lower()


def test_the_start_command_writes_what_the_unit_needs(tmp_path: Path) -> None:
    """The shell of bootcmd, with its folder moved and systemd-run recorded."""
    (command,) = config(seed.user_data(FULL, "the-nonce", Purpose.ENLIST))["bootcmd"]
    folder = f"{tmp_path}/muster"
    moved = [word.replace("/run/muster", folder) for word in command[2:]]
    calls = tmp_path / "calls"
    stub = tmp_path / "systemd-run"
    stub.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {calls}\n')
    stub.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["sh", "-c", *moved], check=True, env=path)
    told = json.loads((tmp_path / "muster/agent.json").read_text())
    assert told == {"server": FULL.url, "nonce": "the-nonce"}
    assert (tmp_path / "muster").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "muster/agent.json").stat().st_mode & 0o777 == 0o600
    words = calls.read_text().splitlines()
    assert words[-3:] == ["/bin/sh", f"{folder}/run", FULL.url]
    assert "--property=Restart=on-failure" in words
    assert "--no-block" in words


def test_scripts_may_run_where_the_initrd_mounted_run_noexec(tmp_path: Path) -> None:
    """As initramfs-tools does; systemd-run here starts a script in the agent's folder."""
    (command,) = config(seed.user_data(FULL, "the-nonce", Purpose.ENLIST))["bootcmd"]
    run, stub, ran = tmp_path / "run", tmp_path / "systemd-run", tmp_path / "ran"
    run.mkdir()
    moved = [word.replace("/run/muster", f"{run}/muster") for word in command[2:]]
    script = f"{run}/muster/script"
    stub.write_text(f"#!/bin/sh\ncp {stub}.script {script} && exec {script}\n")
    (tmp_path / "systemd-run.script").write_text(f"#!/bin/sh\ntouch {ran}\n")
    for path in (stub, tmp_path / "systemd-run.script"):
        path.chmod(0o755)
    inside = f'mount -t tmpfs -o noexec run {run} && exec sh -c "$@"'
    subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", inside, "sh", *moved],
        check=True,
        env={"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    assert ran.exists()


@pytest.mark.parametrize("tool", ["curl", "wget", "python3"])
def test_the_agent_is_fetched_with_whatever_the_image_has(tmp_path: Path, tool: str) -> None:
    """Only `tool` fetches; what came is then run."""
    (command,) = config(seed.user_data(FULL, "the-nonce", Purpose.ENLIST))["bootcmd"]
    fetch_and_run = command[5].replace("/run/muster", str(tmp_path))
    asked = f"{FULL.url}/agent/agent.pyz"
    for name in ("curl", "wget", "python3"):
        works = f'case "$*" in *"{asked}"*) echo packed > {tmp_path}/agent.pyz.part;; esac'
        runs = f'case "$*" in "-I "*) echo "$@" > {tmp_path}/ran; exit 0;; esac'
        stub = tmp_path / name
        stub.write_text(f"#!/bin/sh\n{runs}\n{works if name == tool else 'exit 1'}\n")
        stub.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["sh", "-c", fetch_and_run, "run", FULL.url], check=True, env=path)
    assert (tmp_path / "agent.pyz").read_text() == "packed\n"
    assert (tmp_path / "ran").read_text() == f"-I {tmp_path}/agent.pyz run {tmp_path}\n"


def test_the_agent_is_served_to_everybody_and_holds_no_secret(desk: Desk) -> None:
    nonce = desk.boot()
    answer = desk.client.get("/agent/agent.pyz")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.content == pack.packed()
    assert nonce.encode() not in answer.content


def test_the_kernel_command_line_points_to_the_seed(desk: Desk) -> None:
    query = {"mac": "52:54:00:12:34:01", "arch": "x86_64"}
    script = desk.client.get("/boot/ipxe", params=query).text
    found = re.search(r"ds=nocloud;dsmode=net;s=(\S+)", script)
    assert found
    path = urllib.parse.urlsplit(found[1]).path
    # cloud-init appends the file's name to it.
    assert path.endswith("/")
    assert desk.client.get(f"{path}meta-data").status_code == 200
