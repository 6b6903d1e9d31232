"""DHCPv6: what UEFI machines are told by a real dnsmasq, and what its log says of them."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.boot.initrd import Initrd
from tests.server.segments import Client, in_own_network, needs_root

from muster.boot import dhcp, dhcp6
from muster.boot.dhcp import BadPool
from muster.boot.dhcp6 import Segment6
from muster.boot.dhcplog import Asked, Loader, Reader, Unserved
from muster.boot.dnsmasq import Dnsmasq

URL = "http://[fd77::1]:8472"
HERE = Segment6("srv0", "fd77::1/64")
KINDS = [7, 16, 27]
ASK = """
import json, socket, struct, sys, time
wire = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
index = socket.if_nametoindex("eth0")
wire.settimeout(1)
for _ in range(50):
    try:
        wire.bind(("::", 546))
        wire.sendto(b"", ("ff02::1:2", 547, 0, index))
        break
    except OSError:
        time.sleep(0.1)  # no address on the link is known to be nobody else's yet
option = lambda number, value: struct.pack("!HH", number, len(value)) + value
mac = bytes.fromhex("525400aabb01")
heard = {}
for kind in json.load(open(sys.argv[1])):
    solicit = b"\\x01" + kind.to_bytes(3, "big")
    solicit += option(1, b"\\x00\\x03\\x00\\x01" + mac) + option(8, bytes(2))
    solicit += option(3, kind.to_bytes(4, "big") + b"\\xff" * 8)
    solicit += option(6, struct.pack("!3H", 59, 60, 23)) + option(61, struct.pack("!H", kind))
    for _ in range(5):
        wire.sendto(solicit, ("ff02::1:2", 547, 0, index))
        try:
            answer = wire.recv(2000)
        except TimeoutError:
            continue
        options, rest = {}, answer[4:]
        while rest:
            number, length = struct.unpack("!HH", rest[:4])
            options[number], rest = rest[4 : 4 + length].decode("latin-1"), rest[4 + length :]
        heard[kind] = options
        break
print(json.dumps(heard))
"""


async def asked_of(folder: Path, words: list[str]) -> tuple[str, list[Asked | Unserved | Loader]]:
    reader, found = Reader(), []

    async def on_lines(lines: list[str]) -> None:
        found.extend(said for said in map(reader.read, lines) if said)

    (folder / "tftp").mkdir(parents=True)
    text = dhcp.alone("srv0", folder) + dhcp6.lines(HERE, URL)
    child = Dnsmasq(text, folder, on_lines)
    await child.start()
    try:
        done = await asyncio.to_thread(subprocess.run, words, capture_output=True, timeout=60)
    finally:
        await child.stop()
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(), found


@needs_root
def test_uefi_machines_are_told_a_loader_by_url_and_are_on_the_timeline(tmp_path: Path) -> None:
    (tmp_path / "asked.json").write_text(json.dumps(KINDS))

    def exchange() -> tuple[str, list[Any]]:
        machine = Client("srv0", "10.77.0.1/24")
        subprocess.run("ip addr add fd77::1/64 dev srv0 nodad".split(), check=True)
        words = machine.inside(sys.executable, "-c", ASK, str(tmp_path / "asked.json"))
        try:
            return asyncio.run(asked_of(tmp_path / "dhcp", words))
        finally:
            machine.close()

    said, noted = in_own_network(exchange)
    heard = json.loads(said)
    assert heard["7"]["59"] == "tftp://[fd77::1]/shimx64.efi"
    assert "16" not in heard["7"]
    assert heard["16"]["59"] == f"{URL}/boot/loader/snponly.efi"
    # What EDK2 compares (HttpBootDhcp6.c): ten bytes from the seventh on.
    assert heard["16"]["16"][6:16] == "HTTPClient"
    assert "59" not in heard["27"]

    by_pxe, by_http, unserved = noted
    assert by_pxe.mac == by_http.mac == unserved.mac == Client.MAC
    assert by_pxe.detail.startswith("UEFI x86-64: offered fd77::")
    assert isinstance(by_http, Asked)
    assert isinstance(unserved, Unserved)


def test_a_loader_sent_by_ipv6_is_the_machines_that_was_given_the_address() -> None:
    reader = Reader()
    told = [
        "dnsmasq-dhcp[1]: 5 client MAC address: 52:54:00:aa:bb:01",
        "dnsmasq-dhcp[1]: 5 DHCPREPLY(br0) fd99::5711 00:01:00:01:31:dc:ac:1f:52:54:00:aa:bb:01 ",
        "dnsmasq-tftp[1]: sent /tftp/shimx64.efi to fd99::5711",
        "dnsmasq-tftp[1]: file /tftp/grubx64.efi not found for fd99::5711",
    ]
    said = [reader.read(line) for line in told]
    assert said[2:] == [
        Loader("52:54:00:aa:bb:01", "shimx64.efi sent by TFTP"),
        Loader("52:54:00:aa:bb:01", "grubx64.efi is missing on the server", failed=True),
    ]


def test_an_operating_systems_own_question_begins_no_boot() -> None:
    reader = Reader()
    told = [
        "client MAC address: 52:54:00:aa:bb:01",
        "DHCPADVERTISE(br0) fd99::c16a 00:01:00:01:31:dc:aa:7a:52:54:00:aa:bb:01 ",
        "tags: dhcpv6, br0",
    ]
    assert [reader.read(f"dnsmasq-dhcp[1]: 5 {line}") for line in told] == [None, None, None]


@pytest.mark.parametrize(
    ("address", "pool", "told"),
    [
        ("fd77::1/48", "", "in a /64"),
        ("fd77::1/64", "fd77::5", "is no range inside|write FIRST,LAST"),
        ("fd77::1/64", "fd78::1,fd78::5", "is no range inside fd77::/64"),
        ("fd77::1/64", "fd77::9,fd77::5", "is no range inside"),
        ("fd77::1/64", "10.0.0.1,10.0.0.9", "is no range inside fd77::/64"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_by_name(address: str, pool: str, told: str) -> None:
    with pytest.raises(BadPool, match=told):
        dhcp6.check_pool(Segment6("eth1", address, pool))
    dhcp6.check_pool(HERE)


@pytest.mark.slow
@needs_root
def test_the_initrd_has_an_address_by_ipv6_when_its_server_is_named_so(tmp_path: Path) -> None:
    def work() -> tuple[str, str]:
        machine = Client("srv0", "10.77.0.1/24")
        subprocess.run("ip addr add fd77::1/64 dev srv0 nodad".split(), check=True)
        initrd = Initrd(tmp_path / "initrd")
        (tmp_path / "tftp").mkdir()
        (tmp_path / "conf").write_text(dhcp.alone("srv0", tmp_path) + dhcp6.lines(HERE, URL))
        server = subprocess.Popen(
            ["dnsmasq", "--no-daemon", f"--conf-file={tmp_path}/conf"], stderr=subprocess.DEVNULL
        )
        try:
            inside = tuple(machine.inside())
            initrd.run("persist network x get_address", inside=inside, ROOT_URL=f"{URL}/x")
            return initrd.console, (initrd.root / "run/muster/lease.env").read_text()
        finally:
            server.kill()
            server.wait()
            machine.close()

    console, lease = in_own_network(work)
    assert "network done: eth0 52:54:00:aa:bb:01 fd77::" in console
    assert lease.startswith("ADDRESS=fd77::5054:ff:feaa:bb01/64\n")
