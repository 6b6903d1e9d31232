"""Machines whose only way to the server is `muster relay`: DHCP, TFTP and HTTP, to New."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.served import Served

from muster.images.library import Library
from muster.lab.machines import Firmware, Order

pytestmark = [pytest.mark.e2e, pytest.mark.matrix]

SERVER, UPLINK, RACK = "10.77.0.1", "10.77.0.2", "10.99.0.1"
SERVER_URL, RACK_URL = f"http://{SERVER}:8472", f"http://{RACK}:8472"


@pytest.fixture
def site(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The server is behind a cable, and knows a way to the relay alone, to no machine."""
    served.kill()
    holder = served.lab.run_inside(["unshare", "--net", "sleep", "3600"])
    there = ["nsenter", "--target", str(holder.pid), "--net", "--"]
    try:
        # On its way there it is in this process's network, then in the lab's.
        taken = {network("self"), network(served.lab.pid)}
        served.wait("a network of its own", lambda: network(holder.pid) not in taken)
        for where, words in (
            ([], f"link add up0 type veth peer name site0 netns {holder.pid}"),
            ([], f"addr add {UPLINK}/24 dev up0"),
            ([], "link set up0 up"),
            (there, "link set lo up"),
            (there, f"addr add {SERVER}/24 dev site0"),
            (there, "link set site0 up"),
            (there, f"route add {RACK}/32 via {UPLINK}"),
        ):
            assert served.lab.run_inside([*where, "ip", *words.split()]).wait(30) == 0, words
        remote = f"10.99.0.100-10.99.0.200/24 router {RACK} relay {RACK_URL}"
        monkeypatch.setenv("MUSTER_RELAYS", UPLINK)
        monkeypatch.setenv("MUSTER_DHCP_REMOTE", remote)
        served.within = there
        served.start(interface="site0")
        yield served
    finally:
        served.kill()
        holder.kill()
        holder.wait(30)


def network(process: int | str) -> Path:
    return Path(f"/proc/{process}/ns/net").readlink()


@pytest.fixture
def cache(site: Served) -> Iterator[Path]:
    """A relay that runs on the machines' segment; where it keeps files."""
    # Not below pytest's own folder: nginx's workers may not enter that.
    folder = Path(tempfile.mkdtemp(prefix="muster-rack-"))
    folder.chmod(0o755)
    words = [sys.executable, "-m", "muster", "relay", "run", SERVER_URL, "--url", RACK_URL]
    words += ["--interface", "br0", "--cache", str(folder)]
    with (site.folder / "relay.log").open("wb") as log:
        relay = site.lab.run_inside(words, stdout=log, stderr=subprocess.STDOUT)
    try:
        loader = folder / "tftp" / "grubx64.efi"
        site.wait("the relay has the loaders", loader.exists, limit_s=60)
        yield folder
    finally:
        relay.terminate()
        relay.wait(30)
        shutil.rmtree(folder)


@pytest.mark.parametrize("firmware", [Firmware.BIOS, Firmware.SECURE_BOOT, Firmware.UEFI_HTTP])
def test_a_machine_enlists_through_a_relay(
    site: Served, cache: Path, images: Path, firmware: Firmware
) -> None:
    site.lab.add(Order(name="m1", firmware=firmware))
    (record,) = site.enlist("m1")

    assert (record["state"], record["firmware"]) == ("New", firmware.kind)
    assert site.last_run(record["id"])["reason"] == "every script passed"
    (boot,) = site.boots(record["id"])
    assert boot["client_ip"].startswith("10.99.0.1")
    assert not boot["failure"]
    kept = sum(path.stat().st_size for path in (cache / "files").rglob("*") if path.is_file())
    files = Library(images).in_use().files
    assert kept >= sum(files[name].size for name in ("kernel", "initrd", "swift", "drivers"))
