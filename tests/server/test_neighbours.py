"""Other DHCP servers on the segment: named by doctor, and as events while serving."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.boot.test_discover import answering, program
from tests.server.running import wait_for
from tests.server.segments import Client, in_own_network, needs_root

from muster.boot.discover import Offer
from muster.boot.snippets import snippet
from muster.server import doctor, segment
from muster.server.neighbours import Watch
from muster.server.settings import BadSettings, Settings
from muster.store import events
from muster.store.engine import Store

MAC = Client.MAC
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def dhcp(mode: str) -> tuple[str, str]:
    found = doctor._dhcp(Settings(interface="srv0", dhcp=mode, listen="0.0.0.0:8472"))
    assert found is not None
    return found.verdict, found.said


@contextmanager
def rogue(folder: Path, client: Client, servers: int = 1) -> Iterator[None]:
    """A server at the other end, the first or the second there, under addresses of its own."""
    client.run("ip link add rogue link eth0 type macvlan mode bridge")
    client.run("ip addr add 10.77.0.66/24 dev rogue")
    client.run("ip link set rogue address 52:54:00:aa:bb:66 up")
    lines = "port=0\ninterface=rogue\nbind-interfaces\nno-ping\ndhcp-boot=evil.efi\n"
    (folder / "rogue.conf").write_text(f"{lines}dhcp-range=10.77.0.210,10.77.0.220,1h\n")
    files = [f"--conf-file={folder}/rogue.conf", f"--dhcp-leasefile={folder}/rogue.leases"]
    words = client.inside(program("dnsmasq"), "--no-daemon", *files)
    child = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(segment.other_servers("srv0")) == servers)
        yield
    finally:
        child.kill()
        child.wait()


@pytest.mark.slow
@needs_root
def test_doctor_says_what_an_external_server_tells_each_kind_of_machine(tmp_path: Path) -> None:
    here = segment.Here("10.77.0.5", "http://10.77.0.5:8472")

    def ask(lines: str) -> tuple[str, str]:
        with answering(tmp_path, "dnsmasq", lines):
            return dhcp("external")

    well = in_own_network(lambda: ask(snippet("dnsmasq", here)))
    assert well == ("ok", f"10.77.0.1 ({MAC}) sends every kind of machine here (5 asked)")
    verdict, said = in_own_network(lambda: ask("dhcp-boot=pxelinux.0"))
    assert verdict == "wrong"
    assert f"10.77.0.1 ({MAC}): iPXE is told pxelinux.0, not http://10.77.0.5:8472/boot/" in said
    assert "UEFI x86-64 by HTTP is told pxelinux.0" in said
    assert said.endswith("muster dhcp snippet")


@pytest.mark.slow
@needs_root
def test_doctor_says_beside_a_proxy_what_firmware_that_boots_by_http_lacks(tmp_path: Path) -> None:
    here = segment.Here("10.77.0.5", "http://10.77.0.5:8472")

    def ask(lines: str) -> tuple[str, str]:
        with answering(tmp_path, "dnsmasq", lines):
            return dhcp("proxy")

    verdict, said = in_own_network(lambda: ask(""))
    assert verdict == "warning"
    assert "firmware that boots by HTTP hears no proxy: 10.77.0.1" in said
    assert "http://10.77.0.5:8472/boot/loader/shimx64.efi" in said
    well = in_own_network(lambda: ask(snippet("dnsmasq", here)))
    assert well == ("ok", f"addresses come from 10.77.0.1 ({MAC})")


@pytest.mark.slow
@needs_root
def test_a_second_server_is_named_by_address_and_hardware_address(tmp_path: Path) -> None:
    def ask() -> dict[str, tuple[str, str]]:
        with (
            answering(tmp_path, "dnsmasq", "bind-interfaces") as client,
            rogue(tmp_path, client, 2),
        ):
            return {mode: dhcp(mode) for mode in ("own", "proxy", "external")}

    said = in_own_network(ask)
    assert {verdict for verdict, _ in said.values()} == {"wrong"}
    for _, text in said.values():
        assert f"10.77.0.1 ({MAC})" in text
        assert "10.77.0.66 (52:54:00:aa:bb:66)" in text


@pytest.mark.slow
@needs_root
def test_a_server_that_comes_and_goes_is_an_event_each_time(tmp_path: Path, store: Store) -> None:
    def watch() -> list[str]:
        own = Watch(store, "srv0", "own", lambda: NOW)
        beside = Watch(store, "srv0", "external", lambda: NOW)
        client = Client("srv0", "10.77.0.5/24")
        try:
            with rogue(tmp_path, client):
                own.look()
                own.look()
                beside.look()
            own.look()
        finally:
            client.close()
        with store.read() as tx:
            return [event.message for event in events.some(tx, kind="dhcp.")]

    came, went = in_own_network(watch)
    named = "10.77.0.66 (52:54:00:aa:bb:66)"
    assert came.startswith(f"another DHCP server on srv0: {named}: offers 10.77.0.2")
    assert came.endswith("boot file evil.efi from 10.77.0.66")
    assert went == f"the other DHCP server on srv0 is silent now: {named}"


def test_beside_a_sites_own_server_both_of_two_are_told() -> None:
    def offer(server: str, address: str) -> Offer:
        return Offer(server, "02:00:00:00:00:01", address, "", "", "")

    one, proxy = offer("10.0.0.1", "10.0.0.9"), offer("10.0.0.2", "")
    beside = Watch(None, "srv0", "proxy", lambda: NOW)  # type: ignore[arg-type]
    assert beside.rogues([one]) == {}
    assert beside.rogues([one, proxy]) == {
        one.named: "offers 10.0.0.9, no boot file",
        proxy.named: "offers no address (proxyDHCP), no boot file",
    }


def test_the_way_here_is_the_interfaces_or_the_urls_address() -> None:
    told = segment.here(Settings(url="http://10.9.9.9:80/"))
    assert (told.tftp, told.url) == ("10.9.9.9", "http://10.9.9.9:80")
    for url in ("", "http://muster.example/"):
        with pytest.raises(BadSettings, match="--interface NAME"):
            segment.here(Settings(url=url))
