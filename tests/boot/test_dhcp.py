"""The configuration that dnsmasq gets, checked by dnsmasq; the child; what its log becomes."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.server.segments import Client, in_own_network, ip, needs_root

from muster.boot import dhcp, dnsmasq
from muster.boot.arch import CLIENTS
from muster.boot.dhcp import BadPool, Segment
from muster.boot.dhcplog import Asked, Loader, Reader
from muster.boot.dnsmasq import DhcpError, Dnsmasq

URL = "http://10.77.0.1:8472"
SEGMENT = Segment("srv0", "10.77.0.1/24")
needs_dnsmasq = pytest.mark.skipif(
    not shutil.which("dnsmasq", path="/usr/sbin:/usr/bin"), reason="dnsmasq is not installed"
)
needs_busybox = pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed")


@needs_dnsmasq
@pytest.mark.parametrize("mode", ["own", "proxy", "external"])
@pytest.mark.parametrize(
    "segment",
    [
        SEGMENT,
        Segment("lo", "10.0.0.9/28", "10.0.0.2,10.0.0.6", "10.0.0.1", ("10.0.0.1", "10.0.0.2")),
        Segment("lo", "192.168.1.5/16"),
        Segment("lo", "10.0.0.1/30"),
    ],
    ids=["plain", "everything", "large", "smallest"],
)
def test_dnsmasq_itself_finds_nothing_wrong(
    tmp_path: Path, mode: dhcp.Mode, segment: Segment
) -> None:
    file = tmp_path / "dnsmasq.conf"
    dhcp.check_pool(segment)
    file.write_text(dhcp.configuration(segment, mode, url=URL, folder=tmp_path))
    program = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")
    checked = subprocess.run(
        [str(program), "--test", f"--conf-file={file}"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def test_every_client_with_a_loader_is_told_it_and_no_other_client_is() -> None:
    text = dhcp.configuration(SEGMENT, "own", url=URL, folder=Path("/x"))
    for client in CLIENTS:
        told = f"dhcp-boot=tag:arch{client.number},tag:!ipxe,"
        assert (told in text) == bool(client.loader)
        assert (f"tag:arch{client.number},tag:!ipxe,56," in text) == (not client.loader)
    assert f"tag:arch16,tag:!ipxe,{URL}/boot/loader/shimx64.efi" in text
    assert "dhcp-boot=tag:arch7,tag:!ipxe,shimx64.efi" in text
    text = dhcp.configuration(SEGMENT, "own", url=URL, folder=Path("/x"), uefi="ipxe")
    assert f"tag:arch16,tag:!ipxe,{URL}/boot/loader/snponly.efi" in text
    assert "dhcp-boot=tag:arch7,tag:!ipxe,snponly.efi" in text


def test_a_router_and_name_servers_are_told_when_there_are_any() -> None:
    full = Segment("srv0", "10.77.0.1/24", router="10.77.0.254", dns=("10.77.0.2", "10.77.0.3"))
    text = dhcp.configuration(full, "own", url=URL, folder=Path("/x"))
    assert "dhcp-option=tag:here,option:router,10.77.0.254\n" in text
    assert "dhcp-option=option:dns-server,10.77.0.2,10.77.0.3\n" in text
    # Without a value dnsmasq sends neither; without the line it would name itself.
    bare = dhcp.configuration(SEGMENT, "own", url=URL, folder=Path("/x"))
    assert "dhcp-option=tag:here,option:router\n" in bare
    assert "dhcp-option=option:dns-server\n" in bare


def test_the_pool_is_the_upper_half_unless_it_is_set() -> None:
    assert SEGMENT.range() == ("10.77.0.128", "10.77.0.254")
    assert Segment("x", "10.0.0.1/30").range() == ("10.0.0.2", "10.0.0.2")
    assert Segment("x", "10.0.0.1/24", "10.0.0.5, 10.0.0.9").range() == ("10.0.0.5", "10.0.0.9")


@pytest.mark.parametrize(
    ("address", "pool", "told"),
    [
        ("10.0.0.1/24", "10.0.1.5,10.0.1.9", "no range inside 10.0.0.0/24"),
        ("10.0.0.1/24", "10.0.0.9,10.0.0.5", "no range inside"),
        ("10.0.0.1/24", "10.0.0.5", "FIRST,LAST"),
        ("10.0.0.1/24", "ten,eleven", "FIRST,LAST"),
        ("10.0.0.1/24", "10.0.0.5,10.0.0.9,10.0.0.11", "FIRST,LAST"),
        ("10.0.0.1/24", "10.0.0.5-10.0.0.9", "FIRST,LAST"),
        ("10.0.0.1/32", "", "10.0.0.1/32"),
        ("10.0.0.1/31", "", "10.0.0.1/31"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_by_name(address: str, pool: str, told: str) -> None:
    with pytest.raises(BadPool) as caught:
        dhcp.check_pool(Segment("x", address, pool))
    assert told in str(caught.value)


def recorded(name: str) -> list[str]:
    """Lines of a real dnsmasq 2.90 (Debian 12), made by test_a_real_exchange... below."""
    return (Path(__file__).parent / f"dnsmasq-{name}.log").read_text().splitlines()


def read(lines: list[str]) -> list[Asked | Loader]:
    reader = Reader()
    return [found for line in lines if (found := reader.read(line))]


MAC = Client.MAC
OWN = [
    Asked(MAC, "UEFI x86-64: offered 10.77.0.246"),
    Loader(MAC, "snponly.efi sent by TFTP"),
    Loader(MAC, "ipxe.efi is missing on the server", failed=True),
    Asked(MAC, "iPXE: offered 10.77.0.246"),
    Asked(MAC, "UEFI x86-64 by HTTP: offered 10.77.0.246"),
]
PROXY = [
    Asked(MAC, "UEFI x86-64: offered a loader, as proxyDHCP"),
    Asked(MAC, "iPXE: offered a loader, as proxyDHCP"),
]


def test_a_recorded_log_becomes_what_matters_for_a_timeline() -> None:
    assert read(recorded("own")) == OWN
    assert read(recorded("proxy")) == PROXY


def test_a_proxy_learns_the_address_from_the_second_question() -> None:
    pid = "Nov 22 13:20:50 dnsmasq"
    lines = [
        f"{pid}-dhcp[5]: 77 vendor class: PXEClient:Arch:00000:UNDI:002001",
        f"{pid}-dhcp[5]: 77 PXE(srv0) 10.77.0.150 {MAC} undionly.kpxe",
        f"{pid}-tftp[5]: sent /x/tftp/undionly.kpxe to 10.77.0.150",
    ]
    assert read(lines)[-1] == Loader(MAC, "undionly.kpxe sent by TFTP")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "dnsmasq-dhcp: ",
        "dnsmasq-dhcp[1]: 12 DHCPOFFER(eth0)",
        "dnsmasq-dhcp[1]: 12 DHCPOFFER(eth0) 10.0.0.1 not-a-mac",
        "dnsmasq-dhcp[1]: 12 vendor class: PXEClient:Arch:99999:UNDI:003000",
        "dnsmasq-tftp[1]: sent /x to 10.0.0.99",
        "dnsmasq-tftp[1]: file /a b c not found for 10.0.0.99",
        "dnsmasq-dhcp[1]: 12 user class: \x1b[31miPXE\ufffd",
    ],
)
def test_a_line_that_says_nothing_is_nothing(line: str) -> None:
    assert Reader().read(line) is None


def test_a_flood_of_forged_packets_does_not_fill_the_memory() -> None:
    reader = Reader()
    for number in range(30_000):
        reader.read(f"dnsmasq-dhcp[1]: {number} vendor class: PXEClient:Arch:00007:UNDI:003000")
        ip_address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        reader.read(f"dnsmasq-dhcp[1]: x{number} DHCPACK(e) {ip_address} {MAC}")
        reader.read(f"dnsmasq-dhcp[1]: {number} DHCPACK(e) {ip_address} {MAC}")
    assert len(reader.addresses) <= 20_001
    assert len(reader._exchanges) <= 20_001


async def served(
    folder: Path, mode: dhcp.Mode, work: Callable[[Dnsmasq], Awaitable[None]], **more: object
) -> list[str]:
    """A Dnsmasq on srv0 while `work` runs; returns its log."""
    lines: list[str] = []

    async def on_lines(told: list[str]) -> None:
        lines.extend(told)

    (folder / "tftp").mkdir(parents=True)
    (folder / "tftp/snponly.efi").write_bytes(b"a loader")
    segment = Segment(str(more.get("interface", "srv0")), "10.77.0.1/24")
    text = dhcp.configuration(segment, mode, url=URL, folder=folder)
    child = Dnsmasq(text, folder, on_lines)
    await child.start()
    try:
        await work(child)
    finally:
        await child.stop()
    return lines


@needs_root
@needs_dnsmasq
@needs_busybox
@pytest.mark.parametrize(
    ("mode", "expected"), [("own", OWN), pytest.param("proxy", PROXY, marks=pytest.mark.slow)]
)
def test_a_real_exchange_becomes_what_matters_for_a_timeline(
    tmp_path: Path, mode: dhcp.Mode, expected: list[Asked | Loader]
) -> None:
    def play(client: Client) -> None:
        said = client.discover("PXEClient:Arch:00007:UNDI:003000", "-x 0x5d:0007")
        if mode == "own":
            assert "lease of 10.77.0.246 obtained from 10.77.0.1" in said
            client.run("ip addr add 10.77.0.246/24 dev eth0")
            for name in ("snponly.efi", "autoexec.ipxe", "ipxe.efi"):
                client.run(f"busybox tftp -g -r {name} -l /dev/null 10.77.0.1")
        client.discover("PXEClient:Arch:00007:UNDI:003010", "-x 0x5d:0007 -x 0x4d:69505845")
        if mode == "own":
            client.discover("HTTPClient:Arch:00016:UNDI:003001", "-x 0x5d:0010")
            # An operating system's own DHCP: no boot begins.
            client.discover()

    def exchange() -> list[str]:
        client = Client("srv0", "10.77.0.1/24")
        try:
            return asyncio.run(
                served(tmp_path / "dhcp", mode, lambda _: asyncio.to_thread(play, client))
            )
        finally:
            client.close()

    lines = in_own_network(exchange)
    if os.environ.get("MUSTER_RECORD"):
        plain = [line.replace(str(tmp_path), "/var/lib/muster") for line in lines]
        (Path(__file__).parent / f"dnsmasq-{mode}.log").write_text("\n".join(plain) + "\n")
    assert read(lines) == expected


@needs_root
@needs_dnsmasq
def test_a_killed_dnsmasq_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnsmasq, "_FIRST_WAIT", 0.05)

    async def kill(child: Dnsmasq) -> None:
        first = child._require()
        os.kill(first.pid, signal.SIGKILL)
        async with asyncio.timeout(5):
            while child._require() is first:
                await asyncio.sleep(0.02)
        assert child._require().returncode is None

    def work() -> list[str]:
        ip("link add srv0 type veth peer name cli0")
        ip("addr add 10.77.0.1/24 dev srv0")
        ip("link set srv0 up")
        return asyncio.run(served(tmp_path / "dhcp", "own", kill))

    assert sum(": started, version" in line for line in in_own_network(work)) >= 1


@needs_root
@needs_dnsmasq
def test_a_line_that_cannot_be_noted_does_not_stop_the_next(tmp_path: Path) -> None:
    lines: list[str] = []

    async def failing(told: list[str]) -> None:
        lines.extend(told)
        raise OSError("the database is full")

    async def run() -> None:
        text = dhcp.configuration(SEGMENT, "own", url=URL, folder=tmp_path)
        (tmp_path / "tftp").mkdir()
        child = Dnsmasq(text, tmp_path, failing)
        await child.start()
        await child.stop()

    def work() -> None:
        ip("link add srv0 type veth peer name cli0")
        ip("addr add 10.77.0.1/24 dev srv0")
        ip("link set srv0 up")
        asyncio.run(run())

    in_own_network(work)
    assert "exiting on receipt of SIGTERM" in lines[-1]


async def nothing(_: Dnsmasq) -> None:
    return


@needs_root
@needs_dnsmasq
def test_a_taken_port_is_said_with_the_remedy(tmp_path: Path) -> None:
    def work() -> None:
        ip("link add srv0 type veth peer name cli0")
        ip("addr add 10.77.0.1/24 dev srv0")
        ip("link set srv0 up")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("", 67))
            asyncio.run(served(tmp_path / "dhcp", "own", nothing))

    with pytest.raises(DhcpError) as caught:
        in_own_network(work)
    assert "UDP 67" in str(caught.value)
    assert "--dhcp none" in str(caught.value)


@needs_root
@needs_dnsmasq
def test_a_missing_interface_is_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DhcpError) as caught:
        in_own_network(
            lambda: asyncio.run(served(tmp_path / "dhcp", "own", nothing, interface="nosuch0"))
        )
    assert "nosuch0" in str(caught.value)
    assert "ip link" in str(caught.value)
