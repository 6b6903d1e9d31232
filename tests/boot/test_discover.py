"""DHCP asked as a netboot client asks, from real servers; what anybody may answer."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.running import wait_for
from tests.server.segments import Client, in_own_network, needs_root

from muster.boot import discover
from muster.boot.discover import Asking, read_offer
from muster.boot.snippets import KINDS, Here, expectations, served, snippet, vendor_class

HERE = Here("10.77.0.5", "http://10.77.0.5:8472")
PATH = "/usr/sbin:/usr/bin:/sbin"
KEA = """
{"Dhcp4": {"interfaces-config": {"interfaces": ["eth0"]},
 "lease-database": {"type": "memfile", "persist": false},
 "subnet4": [{"id": 1, "subnet": "10.77.0.0/24", "pools": [{"pool": "10.77.0.100-10.77.0.200"}]}],
 SNIPPET }}
"""
ISC = "SNIPPET\nsubnet 10.77.0.0 netmask 255.255.255.0 { range 10.77.0.100 10.77.0.200; }\n"
DNSMASQ = "SNIPPET\nport=0\ninterface=eth0\nno-ping\ndhcp-range=10.77.0.100,10.77.0.200,1h\n"


def program(name: str) -> str:
    """Where it is; missing it is tools/system-packages' fault, not the person's."""
    found = shutil.which(name, path=PATH)
    assert found, f"{name} is missing: run tools/system-packages"
    return found


def kea(folder: Path, lines: str) -> list[str]:
    (folder / "kea.conf").write_text(KEA.replace("SNIPPET", lines))
    return [program("kea-dhcp4"), "-c", str(folder / "kea.conf")]


def isc(folder: Path, lines: str) -> list[str]:
    (folder / "isc.conf").write_text(ISC.replace("SNIPPET", lines))
    (folder / "leases").touch()
    files = ["-cf", "isc.conf", "-lf", "leases", "-pf", "isc.pid"]
    words = [str(folder / word) if word[0] != "-" else word for word in files]
    return [program("dhcpd"), "-4", "-f", "-d", *words, "eth0"]


def dnsmasq(folder: Path, lines: str) -> list[str]:
    (folder / "dnsmasq.conf").write_text(DNSMASQ.replace("SNIPPET", lines))
    files = [f"--conf-file={folder / 'dnsmasq.conf'}", f"--dhcp-leasefile={folder / 'leases'}"]
    return [program("dnsmasq"), "--no-daemon", *files]


SERVERS = {"kea": kea, "isc": isc, "dnsmasq": dnsmasq}


@contextmanager
def answering(
    folder: Path, kind: str, lines: str, *, address: str = "10.77.0.1/24"
) -> Iterator[Client]:
    """A real DHCP server at the other end of srv0's cable, until the block ends."""
    client = Client("srv0", "10.77.0.5/24")
    client.run(f"ip addr add {address} dev eth0")
    words = client.inside(*SERVERS[kind](folder, lines))
    environment = os.environ | {
        "KEA_PIDFILE_DIR": str(folder),
        "KEA_LOCKFILE_DIR": str(folder),
    }
    with (folder / f"{kind}.log").open("wb") as log:
        child = subprocess.Popen(words, stdout=log, stderr=log, env=environment)
    try:
        wait_for(lambda: child.poll() is not None or discover.offers("srv0", ROUSE, wait_s=0.3))
        assert child.poll() is None, (folder / f"{kind}.log").read_text()
        yield client
    finally:
        child.kill()
        child.wait()
        client.close()


ROUSE = Asking("any", "PXEClient:Arch:00000:UNDI:002001", 0)


@pytest.mark.slow
@needs_root
@pytest.mark.parametrize("kind", sorted(SERVERS))
def test_a_server_with_our_lines_sends_every_kind_of_machine_here(
    tmp_path: Path, kind: str
) -> None:
    def ask() -> dict[str, str]:
        with answering(tmp_path, kind, snippet(kind, HERE)):  # type: ignore[arg-type]
            heard = {
                wanted.asking.name: (wanted, discover.offers("srv0", wanted.asking))
                for wanted in expectations(HERE)
            }
        assert all(len(offers) == 1 for _, offers in heard.values())
        assert {offers[0].server for _, offers in heard.values()} == {"10.77.0.1"}
        assert {offers[0].mac for _, offers in heard.values()} == {Client.MAC}
        return {name: wanted.problem(offers[0]) for name, (wanted, offers) in heard.items()}

    problems = in_own_network(ask)
    assert len(problems) == len(served()) + 1
    assert set(problems.values()) == {""}


@pytest.mark.slow
@needs_root
def test_a_server_without_our_lines_is_said_to_lack_them(tmp_path: Path) -> None:
    def ask(wanted: str) -> Callable[[], str]:
        def work() -> str:
            with answering(tmp_path, "dnsmasq", wanted):
                first = expectations(HERE)[1]
                return first.problem(discover.offers("srv0", first.asking)[0])

        return work

    assert in_own_network(ask("")) == "BIOS x86 is told no boot file, not undionly.kpxe"
    other = in_own_network(ask("dhcp-boot=pxelinux.0"))
    assert other == "BIOS x86 is told pxelinux.0, not undionly.kpxe"
    elsewhere = in_own_network(ask("dhcp-boot=undionly.kpxe,,10.77.0.9"))
    assert elsewhere == ("BIOS x86 is sent to 10.77.0.9 for undionly.kpxe, not to 10.77.0.5")


@pytest.mark.slow
@needs_root
def test_a_proxy_is_heard_as_one_that_gives_no_address(tmp_path: Path) -> None:
    def ask() -> list[discover.Offer]:
        client = Client("srv0", "10.77.0.5/24")
        client.run("ip addr add 10.77.0.1/24 dev eth0")
        lines = "port=0\ninterface=eth0\ndhcp-range=10.77.0.0,proxy\npxe-service=x86PC,x,y\n"
        (tmp_path / "conf").write_text(lines)
        words = client.inside(program("dnsmasq"), "--no-daemon", f"--conf-file={tmp_path}/conf")
        child = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        try:
            return wait_for(lambda: discover.offers("srv0", ROUSE, wait_s=0.3))
        finally:
            child.kill()
            child.wait()
            client.close()

    (offer,) = in_own_network(ask)
    assert (offer.server, offer.address, offer.vendor) == ("10.77.0.1", "", "PXEClient")


@given(st.binary(max_size=700), st.binary(min_size=4, max_size=4))
def test_no_packet_breaks_the_reader(packet: bytes, xid: bytes) -> None:
    assert read_offer(packet, xid, bytes(6)) is None
    header = discover.discover(ROUSE, bytes(6), xid)[:28]
    answer = bytearray(header)
    answer[20:24] = b"\x00\x43\x00\x44"
    offer = read_offer(bytes(answer) + b"\x02" + packet, xid, bytes(6))
    assert offer is None or offer.file.isprintable()


@given(st.binary(max_size=300))
def test_whatever_the_options_say_the_offer_is_printable(options: bytes) -> None:
    xid = b"abcd"
    packet = bytearray(discover.discover(ROUSE, bytes(6), xid)[: 28 + 240])
    packet[20:24] = b"\x00\x43\x00\x44"
    packet[28] = 2
    offer = read_offer(bytes(packet) + b"\x35\x01\x02" + options, xid, b"\x02\x00\x00\x00\x00\x01")
    if offer is not None:
        assert f"{offer.file}{offer.vendor}{offer.next_server}".isprintable()
        assert offer.mac == "02:00:00:00:00:01"


def test_an_overloaded_file_field_holds_options_and_no_name() -> None:
    """RFC 2132, 9.3: servers with much to say continue there."""
    packet = bytearray(discover.discover(ROUSE, bytes(6), b"abcd")[: 28 + 240])
    packet[20:24] = b"\x00\x43\x00\x44"
    packet[28] = 2
    packet[28 + 108 : 28 + 108 + 14] = b"\x43\x0bpxelinux.0\0\xff"
    offer = read_offer(bytes(packet) + b"\x35\x01\x02\x34\x01\x01\xff", b"abcd", bytes(6))
    assert offer is not None
    assert offer.file == "pxelinux.0"


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("kea", lambda folder: [program("kea-dhcp4"), "-t", str(folder / "kea.conf")]),
        ("isc", lambda folder: [program("dhcpd"), "-t", "-cf", str(folder / "isc.conf")]),
        ("dnsmasq", lambda folder: [program("dnsmasq"), "--test", f"-C{folder}/dnsmasq.conf"]),
    ],
)
def test_each_server_itself_finds_nothing_wrong_with_its_lines(
    tmp_path: Path, kind: str, check: Callable[[Path], list[str]]
) -> None:
    SERVERS[kind](tmp_path, snippet(kind, HERE))  # type: ignore[arg-type]
    if kind == "kea":
        # Only a running server needs the interface to be there.
        text = (tmp_path / "kea.conf").read_text()
        (tmp_path / "kea.conf").write_text(text.replace('["eth0"]', "[]"))
    done = subprocess.run(check(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_keas_lines_are_json_but_for_the_comment() -> None:
    comment, _, body = snippet("kea", HERE).partition("\n")
    assert comment.startswith("//")
    told = json.loads("{" + body + "}")
    assert next(c["name"] for c in told["client-classes"]) == "muster-ipxe"


def test_windows_has_a_policy_for_every_kind_of_client_in_order_behind_ipxe() -> None:
    text = snippet("windows", HERE)
    for order, client in enumerate(served(), 2):
        assert f"-Data '{vendor_class(client)}'" in text
        assert f"-ProcessingOrder {order}\n" in text
        assert f"-OptionId 67 -Value '{HERE.loader(client)}'" in text
    assert text.index("-ProcessingOrder 1\n") < text.index("-ProcessingOrder 2\n")
    assert text.count("'") % 2 == 0


def test_every_kind_names_the_script_and_every_loader() -> None:
    for kind in KINDS:
        text = snippet(kind, HERE)
        assert HERE.script in text
        if kind != "ipxe":
            assert all(HERE.loader(client) in text for client in served())
