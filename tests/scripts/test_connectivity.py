"""The connectivity tests over IPv4 and IPv6, at the end of a cable with real addresses."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.server.running import wait_for
from tests.server.segments import Client, in_own_network, ip, needs_root

from muster.scripts import outcome
from muster.scripts.catalogue import builtin
from muster.scripts.outcome import ResultFile

pytestmark = [pytest.mark.e2e, needs_root]

TESTS = {script.name: script for script in builtin("testing")}
SERVE = """
import http.server, socket, sys
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
server = Server((sys.argv[1], 80), Page)
print("up", flush=True)
server.serve_forever()
"""
V4 = ["addr add 10.77.0.2/24 dev eth0", "route add default via 10.77.0.1"]
V6 = ["-6 addr add fd00:77::2/64 dev eth0 nodad", "-6 route add default via fe80::1 dev eth0"]
BOTH = "10.77.0.1 host\nfd00:77::1 host\n"


@contextmanager
def web(address: str) -> Iterator[None]:
    words = [sys.executable, "-c", SERVE, address]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        try:
            yield
        finally:
            server.terminate()


class Cable:
    """A machine with eth0 and, at the other end, router and server in one."""

    def __init__(self, folder: Path, setup: list[str], hosts: str) -> None:
        self.folder = folder
        self.client = Client("srv0", "10.77.0.1/24")
        ip("-6 addr add fd00:77::1/64 dev srv0 nodad")
        ip("-6 addr add fe80::1/64 dev srv0 nodad")
        for words in setup:
            assert self.client.run(f"ip {words}") == ""
        # Its own link-local address counts only when nobody else was found to have it.
        wait_for(lambda: "tentative" not in self.client.run("ip -6 addr show dev eth0"))
        (folder / "hosts").write_text(hosts)

    def test(self, name: str, *words: str, server: str = "") -> tuple[int, str, ResultFile]:
        """Exit status, what was said, and the result file."""
        file = self.folder / name
        file.write_bytes(TESTS[name].source)
        file.chmod(0o755)
        result = self.folder / "result.yaml"
        result.write_text("")
        own = f"mount --bind {self.folder}/hosts /etc/hosts && exec {file} eth0 {' '.join(words)}"
        done = subprocess.run(
            self.client.inside("unshare", "--mount", "sh", "-c", own),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "RESULT_PATH": str(result),
                 "MAAS_BASE_URL": server},
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr, outcome.read(result.read_bytes())


def on_cable(
    folder: Path, setup: list[str], work: Callable[[Cable], None], hosts: str = ""
) -> None:
    def run() -> None:
        cable = Cable(folder, setup, hosts)
        try:
            work(cable)
        finally:
            cable.client.close()

    in_own_network(run)


def test_a_server_with_an_ipv6_address_is_reached_over_it_alone(tmp_path: Path) -> None:
    def work(cable: Cable) -> None:
        with web("fd00:77::1"):
            code, said, found = cable.test("server-connectivity", server="http://[fd00:77::1]:80")
        assert code == 0, said
        assert found.values.keys() == {"took_ipv6"}

    on_cable(tmp_path, V6[:1], work)


def test_a_server_with_a_name_is_reached_over_both(tmp_path: Path) -> None:
    def work(cable: Cable) -> None:
        with web("10.77.0.1"), web("fd00:77::1"):
            code, said, found = cable.test("server-connectivity", server="http://host")
            assert code == 0, said
            assert found.values.keys() == {"took", "took_ipv6"}
            code, said, found = cable.test("internet-connectivity", "http://host/,http://host/a")
            assert code == 0, said
            assert found.values.keys() == {"took", "took_ipv6"}
        with web("10.77.0.1"):
            code, said, _ = cable.test("server-connectivity", server="http://host")
            assert code == 1, said
            assert "answers over IPv4" in said
            assert "does not answer over IPv6" in said
            code, said, _ = cable.test("internet-connectivity", "http://host/")
            assert code == 1, said

    on_cable(tmp_path, V4 + V6, work, BOTH)


def test_what_one_side_has_not_is_not_asked(tmp_path: Path) -> None:
    def work(cable: Cable) -> None:
        code, said, found = cable.test("server-connectivity", server="http://10.77.0.1:80")
        assert (code, found.state) == (0, "skipped"), said
        code, said, found = cable.test("server-connectivity", server="http://nowhere")
        assert code == 1, said
        assert "no address for IPv6" in said
        with web("fd00:77::1"):
            # The host has an IPv4 address too, which this NIC could not come from.
            code, said, found = cable.test("internet-connectivity", "http://host/")
        assert code == 0, said
        assert found.values.keys() == {"took_ipv6"}

    on_cable(tmp_path, V6, work, BOTH)


def test_an_ipv6_address_without_a_router_is_no_way_to_the_internet(tmp_path: Path) -> None:
    def work(cable: Cable) -> None:
        with web("10.77.0.1"):
            code, said, found = cable.test("internet-connectivity", "http://host/")
            assert code == 0, said
            assert found.values.keys() == {"took"}
            code, said, found = cable.test("server-connectivity", server="http://host")
            assert code == 0, said
            assert found.values.keys() == {"took"}

    on_cable(tmp_path, V4 + V6[:1], work, BOTH)


@pytest.mark.parametrize(
    ("setup", "values"),
    [(V4, {"took"}), (V6, {"took_ipv6"}), (V4 + V6, {"took", "took_ipv6"}), (V6[:1], set())],
    ids=["ipv4", "ipv6", "both", "no router"],
)
def test_each_router_answers(setup: list[str], values: set[str], tmp_path: Path) -> None:
    def work(cable: Cable) -> None:
        code, said, found = cable.test("gateway-connectivity")
        assert code == 0, said
        assert found.values.keys() == values
        assert found.state == ("" if values else "skipped")

    on_cable(tmp_path, setup, work)


def test_a_router_that_is_away_fails_though_the_other_answers(tmp_path: Path) -> None:
    def work(cable: Cable) -> None:
        cable.client.run("ip -6 route replace default via fe80::99 dev eth0")
        code, said, _ = cable.test("gateway-connectivity")
        assert code == 1, said

    on_cable(tmp_path, V4 + V6, work)
