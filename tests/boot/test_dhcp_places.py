"""Addresses kept for machines, networks behind relays: real dnsmasq, real relays, real packets."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.server.process import Served, environment
from tests.server.running import wait_for
from tests.server.segments import Client, in_own_network, ip, needs_root
from tests.server.shelf import stocked

from muster.boot import dhcp
from muster.boot.dhcp import BadPool, Segment
from muster.boot.discover import Asking, Offer
from muster.boot.dnsmasq import Dnsmasq
from muster.boot.snippets import Here, expectations
from muster.store.engine import Store
from muster.store.schema import boots

URL = "http://10.77.0.1:8472"
RELAY = "http://10.9.0.5:8472"
FAR = f"10.9.0.100-10.9.0.200/24 router 10.9.0.254 relay {RELAY}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "write FIRST-LAST/PREFIX"),
        ("10.9.0.100", "write FIRST-LAST/PREFIX"),
        ("10.9.0.100-10.9.0.200", "write FIRST-LAST/PREFIX"),
        ("10.9.0.100-10.9.0.200/24 router", "write FIRST-LAST/PREFIX"),
        ("10.9.0.100-10.9.0.200/24 gateway 10.9.0.1", "write FIRST-LAST/PREFIX"),
        ("10.9.0.100-10.9.1.200/24", "no range inside 10.9.0.0/24"),
        ("10.9.0.200-10.9.0.100/24", "no range inside"),
        ("10.9.0.1-10.9.0.2/33", "33"),
        ("10.9.0.1-ten/24", "ten"),
        ("10.9.0.1-10.9.0.9/24 relay http://rack9:8472", "rack9"),
        ("10.9.0.1-10.9.0.9/24 router me", "me"),
    ],
)
def test_a_remote_network_that_cannot_be_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(BadPool, match="dhcp_remote") as caught:
        dhcp.remote(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["52:54:00:aa:bb:01"], "write MAC=ADDRESS"),
        (["me=10.77.0.9"], "'me' is no MAC address"),
        (["52:54:00:aa:bb:01=10.77.0"], "write MAC=ADDRESS"),
        (["52:54:00:aa:bb:01=10.99.0.9"], "in none of the networks 10.77.0.0/24, 10.9.0.0/24"),
        (["52:54:00:aa:bb:01=10.77.0.1"], "this server has this address"),
        (["52:54:00:aa:bb:01=10.9.0.9", "52:54:00:aa:bb:02=10.9.0.9"], "52:54:00:aa:bb:01 has"),
    ],
)
def test_a_reservation_that_cannot_be_is_refused_by_name(texts: list[str], told: str) -> None:
    def check() -> None:
        reserved = tuple(map(dhcp.reservation, texts))
        far = (dhcp.remote(FAR),)
        dhcp.check_places(Segment("x", "10.77.0.1/24", remote=far, reserved=reserved))

    with pytest.raises(BadPool, match="dhcp_reserved") as caught:
        check()
    assert told in str(caught.value)


@contextmanager
def serving(folder: Path, segment: Segment) -> Iterator[None]:
    """Our own dnsmasq as the server runs it, in this thread's network."""
    (folder / "dhcp/tftp").mkdir(parents=True)
    text = dhcp.configuration(segment, "own", url=URL, folder=folder / "dhcp")

    async def on_lines(_: list[str]) -> None:
        return

    with asyncio.Runner() as runner:
        child = Dnsmasq(text, folder / "dhcp", on_lines)
        runner.run(child.start())
        try:
            yield
        finally:
            runner.run(child.stop())


def leased(client: Client) -> str:
    """Address by a whole exchange, as the firmware, and the same as iPXE."""
    said = client.discover("PXEClient:Arch:00007:UNDI:003000", "-x 0x5d:0007")
    again = client.discover("", "-x 0x4d:69505845", "-x 0xaf:b101")
    address = said.partition("lease of ")[2].partition(" ")[0]
    assert f"lease of {address} " in again
    return address


@pytest.mark.slow
@needs_root
def test_a_machine_gets_the_address_that_is_kept_for_it(tmp_path: Path) -> None:
    """Inside the pool or outside it, whoever asks: firmware, iPXE, the initrd."""

    def work(address: str) -> Callable[[], str]:
        def run() -> str:
            client = Client("srv0", "10.77.0.1/24")
            reserved = ((Client.MAC, address), ("52:54:00:aa:bb:99", "10.77.0.20"))
            try:
                with serving(
                    tmp_path / address, Segment("srv0", "10.77.0.1/24", reserved=reserved)
                ):
                    return leased(client)
            finally:
                client.close()

        return run

    for address in ("10.77.0.9", "10.77.0.200"):
        assert in_own_network(work(address)) == address


class Machine(Client):
    """A machine in the rack: its cable goes to the relay, not to the server."""

    def __init__(self, relay: Client) -> None:
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "300"])
        self._wait_for_namespace()
        peer = f"eth0 address 52:54:00:aa:bb:77 netns {self._holder.pid}"
        relay.run(f"ip link add down0 type veth peer name {peer}")
        relay.run("ip addr add 10.9.0.5/24 dev down0")
        relay.run("ip link set down0 up")
        self.run("ip link set lo up")
        self.run("ip link set eth0 up")

    def offers(self, asking: Asking) -> list[Offer]:
        code = (
            "import json, sys; from muster.boot.discover import Asking, offers;"
            "heard = offers('eth0', Asking(**json.loads(sys.argv[1])));"
            "print(json.dumps([vars(offer) for offer in heard]))"
        )
        words = self.inside(sys.executable, "-c", code, json.dumps(vars(asking)))
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
        return [Offer(**one) for one in json.loads(done.stdout)]


@contextmanager
def rack(folder: Path) -> Iterator[tuple[Served, Machine]]:
    """A server on one network, machines on another, and `muster relay run` between them."""
    library = stocked(folder)
    (folder / "toml").write_text(
        f'relays = ["10.77.0.5"]\ndhcp_remote = ["{FAR}"]\n'
        'dhcp_reserved = ["52:54:00:aa:bb:77=10.9.0.42"]\n'
    )
    between = Client("srv0", "10.77.0.1/24")
    between.run("ip addr add 10.77.0.5/24 dev eth0")
    ip("route add 10.9.0.0/24 via 10.77.0.5")
    words = ["--interface", "srv0", "--dhcp", "own", "--images", str(library.root)]
    server = Served(folder / "data", "--config", str(folder / "toml"), *words)
    machine = Machine(between)
    kept = Path(tempfile.mkdtemp(prefix="muster-relay-"))
    kept.chmod(0o755)
    told = ["--url", RELAY, "--cache", str(kept), "--interface", "down0"]
    words = between.inside(sys.executable, "-m", "muster", "relay", "run", URL, *told)
    with (folder / "relay.log").open("wb") as log:
        relay = subprocess.Popen(words, env=environment(folder), stdout=log, stderr=log)
    try:
        server.wait()
        wait_for(lambda: relay.poll() is not None or (kept / "tftp/grubx64.efi").exists())
        assert relay.poll() is None, (folder / "relay.log").read_text()
        yield server, machine
        assert "alert" not in (folder / "relay.log").read_text()
        assert [file for file in (kept / "files").rglob("*") if file.is_file()]
    finally:
        relay.terminate()
        assert relay.wait(10) == 0, (folder / "relay.log").read_text()
        server.stop()
        machine.close()
        between.close()
        shutil.rmtree(kept)


@pytest.mark.slow
@needs_root
def test_machines_behind_a_relay_are_sent_to_the_relay_and_keep_their_addresses(
    tmp_path: Path,
) -> None:
    def work() -> None:
        with rack(tmp_path) as (server, machine):
            for wanted in expectations(Here("10.9.0.5", RELAY)):
                (offer,) = machine.offers(wanted.asking)
                assert wanted.problem(offer) == ""
                assert offer.address == "10.9.0.42"
            assert leased(machine) == "10.9.0.42"
            machine.run("ip addr add 10.9.0.42/24 dev eth0")
            for name in ("shimx64.efi", "grub/grub.cfg"):
                machine.run(f"busybox tftp -g -r {name} -l {tmp_path}/got 10.9.0.5")
                assert (tmp_path / "got").read_bytes(), name
            assert "(http,10.9.0.5:8472)/boot/grub" in (tmp_path / "got").read_text()
            query = "mac=52:54:00:aa:bb:77&uuid=&arch=x86_64&firmware=efi"
            script = machine.run(f"busybox wget -qO- {RELAY}/boot/ipxe?{query}")
            assert set(re.findall(r"http://[0-9.:]+", script)) == {RELAY}
            kernel = re.search(r"kernel (\S+)", script)
            assert kernel
            assert machine.run(f"busybox wget -qO- {kernel[1]}") == "kernel\n" * 100
            # The relay's nginx, the server's timeline: the machine's own address.
            store = Store(f"sqlite:///{server.folder}/muster.db")
            with store.read() as tx:
                assert "10.9.0.42" in tx.execute(sa.select(boots.c.client_ip)).scalars().all()
            store.close()

    in_own_network(work)


def test_without_a_relay_of_ours_machines_come_to_the_server_itself() -> None:
    far = dhcp.remote("10.9.0.100-10.9.0.200/24 router 10.9.0.254")
    lines = dhcp.configuration(
        Segment("srv0", "10.77.0.1/24", remote=(far,)), "own", url=URL, folder=Path("/x")
    ).splitlines()
    assert "dhcp-boot=tag:far1,tag:arch7,tag:!ipxe,shimx64.efi,,10.77.0.1" in lines
    assert f"dhcp-boot=tag:far1,tag:ipxe,{URL}/boot/start.ipxe" in lines
    assert "dhcp-option=tag:far1,option:router,10.9.0.254" in lines
    assert "dhcp-range=set:far1,10.9.0.100,10.9.0.200,255.255.255.0,1h" in lines
    # Who gets no loader is told why once, not once a network.
    assert len(lines) == len(set(lines))
