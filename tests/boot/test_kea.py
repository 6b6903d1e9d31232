"""A pair of Kea servers, checked by Kea itself, and killed."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.boot.test_dhcp_places import FAR
from tests.boot.test_discover import ROUSE, program
from tests.server.running import wait_for
from tests.server.segments import Client, in_own_network, ip, needs_root

from muster.boot import dhcp, discover
from muster.boot.dhcp import Segment
from muster.boot.kea import NoPair, Pair, configuration
from muster.boot.snippets import Here, expectations

HERE = Here("10.77.0.1", "http://10.77.0.1:8472")
PAIR = Pair("10.77.0.2", "10.77.0.3", "10.77.0.2")
MAC = "52:54:00:aa:bb:55"
SEGMENT = Segment(
    *("eth0", "10.77.0.1/24", "10.77.0.100,10.77.0.200", "10.77.0.254", ("10.77.0.1",)),
    remote=(dhcp.remote(FAR), dhcp.remote("10.8.0.10-10.8.0.20/24")),
    reserved=((MAC, "10.77.0.42"), ("52:54:00:aa:bb:56", "10.9.0.42")),
)


@pytest.mark.parametrize("this", ["10.77.0.2", "10.77.0.3"])
def test_kea_itself_finds_nothing_wrong(tmp_path: Path, this: str) -> None:
    text = configuration(replace(SEGMENT, interface="lo"), HERE, replace(PAIR, this=this))
    (tmp_path / "conf").write_text(text)
    words = [program("kea-dhcp4"), "-t", str(tmp_path / "conf")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("primary", "standby", "this"),
    [
        ("10.0.0.2", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.2", "10.0.0.3", "10.0.0.4"),
        ("kea1", "10.0.0.3", "10.0.0.3"),
    ],
)
def test_what_is_no_pair_is_refused(primary: str, standby: str, this: str) -> None:
    with pytest.raises(NoPair):
        configuration(SEGMENT, HERE, Pair(primary, standby, this))


def test_machines_behind_a_relay_of_ours_are_sent_to_it() -> None:
    told = json.loads(configuration(SEGMENT, HERE, PAIR))["Dhcp4"]
    by_name = {one["name"]: one for one in told["client-classes"]}
    far = by_name["muster-00007-10.9.0.5"]
    assert (far["next-server"], far["boot-file-name"]) == ("10.9.0.5", "shimx64.efi")
    assert far["test"].startswith("pkt4.giaddr == 10.9.0.5 and not member('muster-ipxe-10.9.0.5')")
    assert by_name["muster-ipxe"]["test"].startswith("not (pkt4.giaddr == 10.9.0.5) and (")
    far_net = told["subnet4"][1]
    kept = {"hw-address": "52:54:00:aa:bb:56", "ip-address": "10.9.0.42"}
    assert (far_net["subnet"], far_net["reservations"]) == ("10.9.0.0/24", [kept])


@contextmanager
def running(folder: Path) -> Iterator[tuple[list[Client], list[subprocess.Popen[bytes]]]]:
    """Both servers, each at a port of the bridge br0, which is this thread's."""
    ip("link add br0 type bridge")
    ip(f"link set br0 address {MAC}")
    ip("addr add 10.77.0.1/24 dev br0")
    ip("link set br0 up")
    places, children = [], []
    for address in (PAIR.primary, PAIR.standby):
        place = Client(f"port{address[-1]}", "0.0.0.0/0")
        ip(f"link set port{address[-1]} master br0")
        place.run(f"ip link set eth0 address 52:54:00:aa:bb:0{address[-1]}")
        place.run(f"ip addr add {address}/24 dev eth0")
        own = folder / address
        own.mkdir()
        told = json.loads(configuration(SEGMENT, HERE, replace(PAIR, this=address)))
        told["Dhcp4"]["lease-database"] |= {"name": f"{own}/leases", "lfc-interval": 0}
        told["Dhcp4"]["loggers"][0]["output_options"] = [{"output": f"{own}/log"}]
        (own / "conf").write_text(json.dumps(told))
        home = os.environ | {"KEA_PIDFILE_DIR": str(own), "KEA_LOCKFILE_DIR": str(own)}
        words = place.inside(program("kea-dhcp4"), "-c", str(own / "conf"))
        places.append(place)
        children.append(subprocess.Popen(words, env=home, stdout=subprocess.DEVNULL))
    try:
        yield places, children
    finally:
        for child in children:
            child.kill()
            child.wait()
        for place in places:
            place.close()


@pytest.mark.slow
@needs_root
def test_a_machine_is_answered_by_the_other_when_one_is_killed(tmp_path: Path) -> None:
    def work() -> tuple[list[str], float]:
        def both() -> bool:
            logs = [tmp_path / name / "log" for name in (PAIR.primary, PAIR.standby)]
            return all(one.exists() and "transitions from READY to HOT-STANDBY" in one.read_text()
                       for one in logs)  # fmt: skip

        with running(tmp_path) as (_, children):
            wait_for(both, seconds=60)
            servers = []
            for wanted in expectations(HERE):
                (offer,) = discover.offers("br0", wanted.asking)
                assert wanted.problem(offer) == ""
                assert offer.address == "10.77.0.42"
                servers.append(offer.server)
            children[0].kill()
            began = time.monotonic()
            (offer,) = wait_for(lambda: discover.offers("br0", ROUSE), seconds=60)
            assert offer.address == "10.77.0.42"
            return [*servers, offer.server], time.monotonic() - began

    servers, took_s = in_own_network(work)
    assert set(servers[:-1]) == {PAIR.primary}
    assert servers[-1] == PAIR.standby
    # Firmware has not given up by then.
    assert took_s < 40
