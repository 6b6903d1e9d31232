"""A relay's nginx between machines and a real server: what crosses the wire, and what survives."""

import http.client
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from tests.api.desk import Desk
from tests.boot.test_discover import program
from tests.conftest import Clock
from tests.server.process import Served
from tests.server.running import wait_for
from tests.server.shelf import stocked
from tests.server.wire import Wire, free_port, wire

from muster.__main__ import app
from muster.boot.relay import CALLER, RELAY, CannotRelay, Relay, configuration, dhcp_lines
from muster.images.library import Library
from muster.lifecycle.policy import Policy
from muster.server import relaying
from muster.server.relaying import Loaders
from muster.server.relays import Relays, as_known, networks
from muster.server.settings import BadSettings
from muster.store.engine import Store
from muster.store.schema import boots
from muster.store.schema import marks as marks_table

SIZE = 9 * 1024 * 1024 + 17
MACHINE = "127.0.0.50"
RACK = Relay("http://10.0.0.1:8472", "http://10.9.0.5:8472", "0.0.0.0:8472", Path("/var/cache/x"))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Its squashfs is of three slices."""
    return stocked(tmp_path, squashfs=bytes(range(251)) * (SIZE // 251) + bytes(SIZE % 251))


@pytest.fixture
def rack(tmp_path: Path, library: Library) -> Iterator["Rack"]:
    with racked(tmp_path, library, "127.0.0.1") as made:
        yield made


@dataclass
class Rack:
    """A server, the wire to it, and the relay that machines know."""

    folder: Path
    library: Library
    listen: str
    server: Served
    wire: Wire
    relay: Relay
    nginx: subprocess.Popen[bytes]

    def start_again(self) -> None:
        words = ("--config", str(self.folder / "toml"), "--listen", self.listen)
        self.server = Served(self.folder / "data", *words, "--images", str(self.library.root))
        self.server.wait()

    def get(
        self, path: str, method: str = "GET", *, address: str = MACHINE, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        port = urlsplit(self.relay.url).port
        link = http.client.HTTPConnection("127.0.0.1", port, 30, source_address=(address, 0))
        try:
            link.request(method, path, headers=headers)
            answer = link.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            link.close()

    def file(self, name: str = "squashfs") -> tuple[str, bytes]:
        """Its address and content."""
        sha256 = self.library.in_use().files[name].sha256
        return f"/boot/files/{sha256}/{name}", self.library.blob(sha256).read_bytes()


@contextmanager
def racked(folder: Path, library: Library, relays: str) -> Iterator[Rack]:
    (folder / "toml").write_text(f'relays = ["{relays}"]\n')
    listen = f"127.0.0.1:{free_port()}"
    here = Path(tempfile.mkdtemp(prefix="muster-relay-"))
    with wire(int(listen.rpartition(":")[2])) as made:
        port = free_port()
        relay = Relay(made.url, f"http://127.0.0.1:{port}", f"127.0.0.1:{port}", here, user="root")
        (here / "nginx.conf").write_text(configuration(relay))
        nginx = subprocess.Popen([program("nginx"), "-c", str(here / "nginx.conf"), "-e", "stderr"])
        rack = Rack(folder, library, listen, None, made, relay, nginx)  # type: ignore[arg-type]
        rack.start_again()
        try:
            wait_for(lambda: answers(rack))
            yield rack
        finally:
            rack.server.stop()
            nginx.terminate()
            nginx.wait(10)
            shutil.rmtree(here)


def answers(rack: Rack) -> bool:
    try:
        return rack.get("/healthz")[0] == 200
    except OSError:
        return False


def test_nginx_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(configuration(Relay(**vars(RACK) | {"folder": tmp_path})))
    words = [program("nginx"), "-t", "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_dnsmasq_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    lines = dhcp_lines(RACK, interface="lo", address="10.9.0.5", dhcp_server="10.0.0.1")
    (tmp_path / "conf").write_text(lines)
    words = [program("dnsmasq"), "--test", f"--conf-file={tmp_path / 'conf'}"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "dhcp-relay=10.9.0.5,10.0.0.1\n" in lines


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"server": "https://10.0.0.1"}, "server"),
        ({"server": "http://10.0.0.1; return 200"}, "server"),
        ({"url": "http://10.9.0.5/below"}, "--url"),
        ({"url": "10.9.0.5"}, "--url"),
        ({"listen": "8472"}, "--listen"),
        ({"listen": "0.0.0.0:80; }"}, "--listen"),
        ({"folder": Path("/var/my cache")}, "--cache"),
    ],
)
def test_what_nginx_cannot_be_told_is_refused_by_name(change: dict[str, object], told: str) -> None:
    with pytest.raises(CannotRelay, match=told):
        configuration(Relay(**vars(RACK) | change))


@pytest.mark.slow
def test_a_file_crosses_the_wire_once_for_fifty_machines(rack: Rack) -> None:
    path, content = rack.file()
    before = rack.wire.carried

    def fetch(number: int) -> bool:
        status, _, body = rack.get(f"{path}?boot=x{number}", address=f"127.0.1.{number + 1}")
        return status == 200 and body == content

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(fetch, range(50)))
    carried = rack.wire.carried - before
    assert SIZE <= carried < SIZE * 1.05


@pytest.mark.slow
def test_ranges_and_tags_are_the_server_s_own(rack: Rack) -> None:
    path, content = rack.file()
    for wanted, part in (
        ("bytes=10-19", content[10:20]),
        (f"bytes={SIZE - 5}-", content[-5:]),
        # Across slices, and resumed as the initrd does.
        ("bytes=4194000-4195000", content[4194000:4195001]),
        ("bytes=5000000-", content[5000000:]),
    ):
        status, _, body = rack.get(path, Range=wanted)
        assert (status, body == part) == (206, True), wanted
    status, headers, _ = rack.get(path)
    assert headers["ETag"] == f'"{path.split("/")[3]}"'
    assert "immutable" in headers["Cache-Control"]
    assert rack.get(path, **{"If-None-Match": headers["ETag"]})[0] == 304
    status, headers, body = rack.get(path, "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(SIZE), b"")
    assert rack.get(f"/boot/files/{'0' * 64}/squashfs")[0] == 404


@pytest.mark.slow
def test_each_machine_is_known_by_its_own_address_and_told_the_relay_s(rack: Rack) -> None:
    path, _ = rack.file("kernel")
    query = "uuid=5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0a01&mac=52:54:00:12:34:01&arch=x86_64"
    forged = {CALLER: "10.1.1.1", RELAY: "http://evil.example"}
    _, _, script = rack.get(f"/boot/ipxe?{query}&firmware=efi", **forged)
    told = set(re.findall(r"http://[0-9.:a-z]+", script.decode()))
    assert told == {rack.relay.url}
    boot = re.search(r"kernel \S+\?boot=(\w+)", script.decode())
    assert boot
    assert rack.get(f"{path}?boot={boot[1]}")[0] == 200
    assert rack.get(f"{path}?boot={boot[1]}")[0] == 200

    def marks() -> list[str]:
        with store.read() as tx:
            query = sa.select(marks_table.c.detail).where(marks_table.c.phase == "kernel")
            return list(tx.execute(query).scalars())

    store = Store(f"sqlite:///{rack.folder}/data/muster.db")
    with store.read() as tx:
        assert tx.execute(sa.select(boots.c.client_ip)).scalars().all() == [MACHINE]
    # From the cache, too: the server did not send it, and notes it.
    wait_for(lambda: f"kernel asked of the relay {rack.relay.url}" in marks())
    store.close()


@pytest.mark.slow
def test_a_relay_that_is_not_named_is_taken_for_a_machine(tmp_path: Path, library: Library) -> None:
    with racked(tmp_path, library, "10.9.0.5") as rack:
        _, _, script = rack.get("/boot/start.ipxe")
        assert rack.relay.url.encode() not in script
        told = Loaders(rack.relay).refresh()
        assert "name its address in the server's setting relays" in told


@pytest.mark.slow
def test_loaders_are_kept_for_tftp_with_the_relay_s_own_address(rack: Rack) -> None:
    loaders = Loaders(rack.relay)
    assert loaders.refresh() == ""
    folder = rack.relay.folder / "tftp"
    wanted = rack.library.in_use().files["loader/undionly.kpxe"].sha256
    assert (folder / "undionly.kpxe").read_bytes() == rack.library.blob(wanted).read_bytes()
    netloc = urlsplit(rack.relay.url).netloc
    assert f"(http,{netloc})/boot/grub" in (folder / "grub/grub.cfg").read_text()
    before = rack.wire.carried
    assert loaders.refresh() == ""
    assert rack.wire.carried - before < 4096
    rack.server.stop()
    assert rack.relay.server in loaders.refresh()
    assert (folder / "undionly.kpxe").exists()


@pytest.mark.slow
def test_while_the_server_is_away_what_is_kept_is_served_and_the_rest_says_when(rack: Rack) -> None:
    path, content = rack.file()
    first = rack.get("/boot/start.ipxe")[2]
    assert rack.get("/boot/loader/shimx64.efi")[0] == 200
    assert rack.get("/agent/agent.pyz")[0] == 200
    assert rack.get(path)[2] == content
    rack.server.stop()
    assert rack.get(path)[2] == content
    assert rack.get("/boot/start.ipxe")[:3:2] == (200, first)
    assert rack.get("/boot/loader/shimx64.efi")[0] == 200
    assert rack.get("/agent/agent.pyz")[0] == 200
    for dynamic in ("/boot/ipxe?mac=52:54:00:12:34:01", "/boot/turn/x", "/agent/plan"):
        status, headers, body = rack.get(dynamic)
        assert (status, headers["Retry-After"]) == (502, "5"), dynamic
        assert b"does not reach the server" in body
    rack.start_again()
    assert rack.get("/boot/ipxe?mac=52:54:00:12:34:01&uuid=&arch=x86_64")[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cut", "killed"])
def test_what_breaks_on_the_long_wire_is_fetched_again_and_never_kept(rack: Rack, how: str) -> None:
    path, content = rack.file()
    if how == "cut":
        rack.wire.cut_at = rack.wire.carried + 6 * 1024 * 1024
    else:
        rack.server.process.kill()
        rack.server.process.wait()

    def fetch(number: int) -> bytes:
        """As the initrd: what is missing is asked for until it is there; what is wrong, anew."""
        got, end, fresh = b"", time.monotonic() + 30, {}
        while got != content and time.monotonic() < end:
            if len(got) >= SIZE:
                got, fresh = b"", {"Cache-Control": "no-cache"}
            try:
                status, _, body = rack.get(path, address=f"127.0.1.{number}",
                                           Range=f"bytes={len(got)}-", **fresh)  # fmt: skip
                got += body if status == 206 else b""
            except http.client.IncompleteRead as error:
                got += error.partial
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
        return got

    with ThreadPoolExecutor(10) as pool:
        fetching = [pool.submit(fetch, number) for number in range(1, 11)]
        if how == "killed":
            rack.start_again()
        assert all(one.result() == content for one in fetching)
    assert rack.get(path)[2] == content


@pytest.mark.slow
def test_damage_that_was_kept_is_mended_by_who_notices_it(rack: Rack) -> None:
    path, content = rack.file()
    rack.wire.damage_at = rack.wire.carried + 5 * 1024 * 1024
    assert rack.get(path)[2] != content
    assert rack.get(path)[2] != content
    # What the initrd says after a wrong hash.
    assert rack.get(path, **{"Cache-Control": "no-cache"})[2] == content
    assert rack.get(path)[2] == content


@pytest.mark.parametrize(
    "client", ["10.9.0.6", "10.9.0.5", "::ffff:10.9.0.5", "fd00::1", "testclient"]
)
def test_only_the_named_are_believed(client: str) -> None:
    asked: list[dict[str, object]] = []

    async def app(scope: object, *_: object) -> None:
        asked.append(dict(scope))  # type: ignore[call-overload]

    headers = [
        (CALLER.lower().encode(), b"10.9.0.77"),
        (RELAY.lower().encode(), b"http://10.9.0.5"),
    ]
    scope = {"type": "http", "client": (client, 4000), "headers": headers}
    relays = Relays(app, networks(["10.9.0.5", "fd00::/64"]))  # type: ignore[arg-type]
    coroutine = relays(scope, None, None)  # type: ignore[arg-type]
    with pytest.raises(StopIteration):
        coroutine.send(None)
    believed = client not in ("10.9.0.6", "testclient")
    assert asked[0]["client"] == (("10.9.0.77", 0) if believed else (client, 4000))
    policy = Policy(url="http://10.0.0.1", files_url="http://files", metadata_url="http://seeds")
    known = as_known(policy, asked[0])  # type: ignore[arg-type]
    expected = (
        ("http://10.9.0.5", "", "") if believed else (policy.url, "http://files", "http://seeds")
    )
    assert (known.url, known.files_url, known.metadata_url) == expected


def test_a_relay_that_is_no_address_is_named() -> None:
    with pytest.raises(BadSettings, match="relays: 'rack9'"):
        networks(["10.9.0.5", "rack9"])


def test_the_headers_mean_nothing_without_relays(
    store: Store, library: Library, clock: Clock
) -> None:
    with Desk(store, library, clock).client as client:
        told = client.get("/boot/start.ipxe", headers={RELAY: "http://evil.example"}).text
    assert "evil.example" not in told


def test_a_cache_that_nginx_may_not_enter_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "_workers", lambda: "www-data www-data")
    (tmp_path / "cache").mkdir(mode=0o700)
    words = ["relay", "run", RACK.server, "--url", RACK.url, "--cache", str(tmp_path / "cache")]
    with pytest.raises(SystemExit) as ended:
        app(words)
    assert ended.value.code == 1
    assert "www-data (nginx) may not enter it: chmod 755" in capsys.readouterr().err


def test_what_is_asked_for_is_printed_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app(["relay", "snippet", RACK.server, "--url", RACK.url])
    assert ended.value.code in (0, None)
    assert "proxy_cache files;" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        app(["relay", "dhcp", RACK.server, "--url", RACK.url])
    assert ended.value.code == 1
    assert "--interface NAME" in capsys.readouterr().err
