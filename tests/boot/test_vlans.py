"""Machines whose DHCP comes with a VLAN tag are named, not silent."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.process import Served
from tests.server.running import wait_for
from tests.server.segments import Client, in_own_network, needs_root

from muster.boot import discover, vlans
from muster.boot.vlans import Tagged
from muster.store import events
from muster.store.engine import Store

MAC = Client.MAC
SEND = """
import socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0))
for frame in sys.argv[1:]:
    wire.send(bytes.fromhex(frame))
"""


def frame(vlan: int | None, *, port: int = 67, mac: str = MAC) -> bytes:
    """A whole DISCOVER on the wire."""
    sender = bytes.fromhex(mac.replace(":", ""))
    asking = discover.Asking("any", "PXEClient:Arch:00000:UNDI:002001", 0)
    packet = bytearray(discover.discover(asking, sender, b"abcd"))
    packet[22:24] = struct.pack("!H", port)
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return b"\xff" * 6 + sender + tag + b"\x08\x00" + bytes(packet)


def sent(machine: Client, *frames: bytes) -> None:
    words = machine.inside(sys.executable, "-c", SEND, *(one.hex() for one in frames))
    subprocess.run(words, check=True, timeout=20)


def failures(store: Store) -> list[str]:
    with store.read() as tx:
        return [event.message for event in events.some(tx, kind="boot.failed", limit=9)]


@needs_root
def test_only_dhcp_with_a_tag_of_another_vlan_is_heard() -> None:
    def work() -> set[Tagged]:
        machine = Client("srv0", "10.77.0.1/24")
        wire = vlans.listen("srv0")
        try:
            other = frame(7, mac="52:54:00:aa:bb:02")
            sent(machine, frame(None), frame(0), frame(42, port=68), frame(42), other, frame(42))
            found: set[Tagged] = set()
            wait_for(lambda: found.update(vlans.heard(wire)) or len(found) > 1)
            return found | vlans.heard(wire)
        finally:
            wire.close()
            machine.close()

    assert in_own_network(work) == {Tagged(MAC, 42), Tagged("52:54:00:aa:bb:02", 7)}


@pytest.mark.slow
@needs_root
def test_a_machine_on_another_vlan_is_on_the_timeline_once_with_the_remedy(tmp_path: Path) -> None:
    def work() -> None:
        machine = Client("srv0", "10.77.0.1/24")
        server = Served(tmp_path / "data", "--interface", "srv0", "--dhcp", "own")
        try:
            server.wait()
            store = Store(f"sqlite:///{tmp_path}/data/muster.db")
            # Firmware repeats it, too; the server listens a little after it says that it serves.
            wait_for(lambda: sent(machine, frame(42)) or failures(store), seconds=60)
            sent(machine, frame(42), frame(7, mac="52:54:00:aa:bb:02"))
            wait_for(lambda: len(failures(store)) > 1, seconds=60)
            told = sorted(failures(store))
            assert len(told) == 2
            assert "01 failed at dhcp: asked for an address with VLAN tag 42, but srv0" in str(told)
            assert "--interface srv0.42)" in str(told)
            store.close()
        finally:
            server.stop()
            machine.close()

    in_own_network(work)


@given(st.binary(max_size=100), st.lists(st.binary(max_size=30), max_size=3))
def test_no_frame_breaks_the_reader(frame: bytes, beside: list[bytes]) -> None:
    found = vlans.read(frame, beside)
    assert found is None or 0 < found.vlan < 4096
