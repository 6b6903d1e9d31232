"""What breaks between a machine and the server: recovered from, or named on the timeline."""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.boot.initrd import Initrd
from tests.boot.test_dhcp_places import serving
from tests.boot.test_discover import program
from tests.server.process import Served
from tests.server.running import wait_for
from tests.server.segments import Client, in_own_network, ip, needs_root
from tests.server.shelf import stocked
from tests.server.wire import Wire, free_port, wire

from muster.boot.dhcp import Segment
from muster.images.library import Library
from muster.store.engine import Store
from muster.store.schema import marks

SIZE = 9 * 1024 * 1024 + 17
FETCH = 'persist root "$ROOT_URL" fetch_root'
pytestmark = [pytest.mark.slow, needs_root]


class Boot:
    """A machine whose kernel has started, as the boot answer of a real server told it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        content = bytes(range(251)) * (SIZE // 251) + bytes(SIZE % 251)
        self.library: Library = stocked(folder, squashfs=content, swift=content[1:])
        self.content = content
        self.small = content[1:]
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.initrd = Initrd(folder / "initrd")
        self.listen = f"127.0.0.1:{free_port()}"
        self.serve()

    def serve(self) -> None:
        words = ("--images", str(self.library.root), "--listen", self.listen)
        self.server = Served(self.folder / "data", *words)
        self.server.wait()

    def words(self, url: str, server: str = "", *, mac: str = "01") -> dict[str, str]:
        """The kernel command line's, with boot files from `url`."""
        asked = f"/boot/ipxe?mac=52:54:00:aa:bb:{mac}&uuid=&arch=x86_64&firmware=efi"
        script = self.server.get(asked)
        told = re.search(r"/boot/report/(\S+)", script)
        assert told, script
        return {
            "ROOT_URL": f"{url}/boot/files/{self.sha256}/squashfs",
            "SHA256": self.sha256,
            "SWIFT": hashlib.sha256(self.small).hexdigest(),
            "REPORT": f"{server or self.server.url}/boot/report/{told[1]}",
        }

    def timeline(self, phase: str = "root") -> list[tuple[str, str]]:
        store = Store(f"sqlite:///{self.folder}/data/muster.db")
        query = sa.select(marks.c.status, marks.c.detail).where(marks.c.phase == phase)
        with store.read() as tx:
            found = [(status, detail) for status, detail in tx.execute(query.order_by(marks.c.id))]
        store.close()
        return found


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Boot]:
    made = Boot(tmp_path)
    try:
        yield made
    finally:
        made.server.stop()


@pytest.fixture
def line(boot: Boot) -> Iterator[Wire]:
    with wire(int(boot.listen.rpartition(":")[2])) as made:
        yield made


def test_a_download_that_is_cut_short_is_gone_on_with(boot: Boot, line: Wire) -> None:
    line.cut_at = 3 * 1024 * 1024
    boot.initrd.run(FETCH, **boot.words(line.url))
    assert boot.initrd.fetched == boot.content
    # What had arrived was not asked for again.
    assert line.carried < SIZE * 1.1
    assert boot.timeline()[-1][0] == "done"


def test_a_damaged_download_is_named_and_fetched_again(boot: Boot, line: Wire) -> None:
    line.damage_at = 5 * 1024 * 1024
    boot.initrd.run(FETCH, **boot.words(line.url))
    assert boot.initrd.fetched == boot.content
    failed = [detail for status, detail in boot.timeline() if status == "failed"]
    assert len(failed) == 1
    assert "damaged on its way, or the server changed its image (attempt 1, trying on)" in failed[0]
    assert boot.timeline()[-1][0] == "done"


def test_an_image_that_is_deleted_in_a_boot_is_named_and_awaited(boot: Boot) -> None:
    blob = boot.library.blob(boot.sha256)
    kept = boot.folder / "kept"
    words = boot.words(boot.server.url)
    shutil.move(blob, kept)
    child = boot.initrd.start(FETCH, **words)
    try:
        wait_for(lambda: any("404 Not Found" in detail for _, detail in boot.timeline()))
        shutil.move(kept, blob)
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
    assert boot.initrd.fetched == boot.content
    assert boot.timeline()[-1][0] == "done"


def test_a_server_that_is_restarted_finds_its_machine_waiting(boot: Boot, line: Wire) -> None:
    words = boot.words(line.url)
    line.cut_at = 3 * 1024 * 1024
    boot.server.process.kill()
    boot.server.process.wait()
    child = boot.initrd.start(FETCH, **words)
    try:
        wait_for(lambda: "root failed" in boot.initrd.console)
        boot.serve()
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
    assert boot.initrd.fetched == boot.content
    wait_for(lambda: boot.timeline()[-1][0] == "done")


def test_a_machine_with_too_little_memory_is_told_what_is_missing(boot: Boot) -> None:
    words = boot.words(boot.server.url) | {"SIZE": str(10**15)}
    child = boot.initrd.start(FETCH, **words)
    try:
        wait_for(lambda: any("MiB are free" in detail for _, detail in boot.timeline()))
    finally:
        child.kill()
        child.wait()


SMALL = 'persist swift "the small root" fetch_small_root'


def fetched(boot: Boot, name: str) -> bytes:
    return (boot.initrd.root / "image" / name).read_bytes()


def test_a_small_root_that_is_cut_short_is_gone_on_with(boot: Boot, line: Wire) -> None:
    line.cut_at = 3 * 1024 * 1024
    boot.initrd.run(SMALL, **boot.words(line.url))
    assert fetched(boot, "swift") == boot.small
    assert line.carried < SIZE * 1.1
    status, detail = boot.timeline("swift")[-1]
    assert (status, detail.split(" bytes")[0]) == ("done", f"swift: {SIZE - 1}")


def test_a_damaged_small_root_is_not_started(boot: Boot, line: Wire) -> None:
    line.damage_at = 5 * 1024 * 1024
    boot.initrd.run(SMALL, **boot.words(line.url))
    assert fetched(boot, "swift") == boot.small
    failed = [detail for status, detail in boot.timeline("swift") if status == "failed"]
    assert len(failed) == 1
    assert "/swift hashes to " in failed[0]
    assert "damaged on its way, or the server changed its image (attempt 1" in failed[0]
    assert boot.timeline("swift")[-1][0] == "done"


def test_a_small_root_that_the_server_has_not_is_named_and_awaited(boot: Boot) -> None:
    words = boot.words(boot.server.url)
    blob, kept = boot.library.blob(words["SWIFT"]), boot.folder / "kept"
    shutil.move(blob, kept)
    child = boot.initrd.start(SMALL, **words)
    try:
        wait_for(lambda: any("404 Not Found" in detail for _, detail in boot.timeline("swift")))
        shutil.move(kept, blob)
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
    assert fetched(boot, "swift") == boot.small


def test_a_small_root_waits_for_its_turn_as_a_root_does(boot: Boot) -> None:
    words = boot.words(boot.server.url)
    turns = boot.folder / "busybox-httpd"
    (turns / "boot/turn").mkdir(parents=True)
    answer = turns / "boot/turn" / words["REPORT"].rpartition("/")[2]
    answer.write_text("2\n")
    port = free_port()
    http = subprocess.Popen(
        [program("busybox"), "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", turns]
    )
    told = f"http://127.0.0.1:{port}/boot/report/{answer.name}"
    child = boot.initrd.start(SMALL, **words | {"REPORT": told})
    try:
        wait_for(lambda: "its turn comes" in boot.initrd.console)
        assert child.poll() is None
        assert not (boot.initrd.root / "image/swift").exists()
        answer.write_text("0\n")
        assert child.wait(60) == 0
    finally:
        for one in (child, http):
            one.kill()
            one.wait()
    assert fetched(boot, "swift") == boot.small


@contextmanager
def two_nics(folder: Path) -> Iterator[Client]:
    """eth0 (52:54:00:aa:bb:01) is at our DHCP, eth1 (..:02) has a cable with nobody at its end."""
    machine = Client("srv0", "10.77.0.1/24")
    ip("link add dead0 type veth peer name eth1 address 52:54:00:aa:bb:02")
    machine.run("true")
    holder = machine.inside("true")[2]
    ip(f"link set eth1 netns {holder}")
    machine.run("ip link set eth0 down")
    try:
        with serving(folder, Segment("srv0", "10.77.0.1/24")):
            yield machine
    finally:
        machine.close()


GET_ADDRESS = 'persist network "${BOOTMAC:-any}" get_address; echo $NIC > /nic'


@pytest.mark.parametrize("linked", ["unplugged", "plugged in elsewhere"])
@pytest.mark.parametrize("mac", ["", "52:54:00:aa:bb:01", "52:54:00:aa:bb:02"])
def test_the_nic_with_an_answer_is_found_whichever_comes_first(
    tmp_path: Path, mac: str, linked: str
) -> None:
    def work() -> str:
        with two_nics(tmp_path) as machine:
            if linked == "plugged in elsewhere":
                ip("link set dead0 up")
            initrd = Initrd(tmp_path / "initrd")
            initrd.run(GET_ADDRESS, inside=tuple(machine.inside()), BOOTMAC=mac)
            assert (initrd.root / "nic").read_text() == "eth0\n"
            return initrd.console

    said = in_own_network(work)
    if mac.endswith("02"):
        why = "no link" if linked == "unplugged" else "no DHCP answer"
        assert f"network failed: {why} on eth1" in said
        assert "from now on not only 52:54:00:aa:bb:02 is tried but every NIC" in said


@pytest.mark.parametrize("fault", ["mtu 1400", "5 % loss"])
def test_a_poor_wire_makes_a_boot_slow_and_no_more(tmp_path: Path, fault: str) -> None:
    """Address and root file system, through what a real segment does to packets."""

    def work() -> None:
        machine = Client("srv0", "10.77.0.1/24")
        content = bytes(range(251)) * (SIZE // 251)
        served = tmp_path / "www"
        served.mkdir()
        (served / "squashfs").write_bytes(content)
        if fault == "mtu 1400":
            ip("link set srv0 mtu 1400")
        else:
            lose(machine)
        words = [program("busybox"), "httpd", "-f", "-p", "10.77.0.1:8080", "-h", str(served)]
        http = subprocess.Popen(words)
        initrd = Initrd(tmp_path / "initrd")
        try:
            with serving(tmp_path, Segment("srv0", "10.77.0.1/24")):
                initrd.run(
                    f"persist network any get_address; {FETCH}",
                    inside=tuple(machine.inside()),
                    limit_s=120,
                    ROOT_URL="http://10.77.0.1:8080/squashfs",
                    SHA256=hashlib.sha256(content).hexdigest(),
                )
        finally:
            http.kill()
            http.wait()
            machine.close()
        assert initrd.fetched == content

    in_own_network(work)


def lose(machine: Client) -> None:
    """Every twentieth packet, either way, by chance; netem is not in every kernel."""
    for device, inside in (("srv0", []), ("eth0", machine.inside())):
        rules = (
            "table netdev faults { chain in { type filter hook ingress device "
            f"{device} priority 0; numgen random mod 100 < 5 drop; }}; }}"
        )
        subprocess.run([*inside, program("nft"), rules], check=True)
