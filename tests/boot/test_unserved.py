"""Machines of every architecture in IANA's registry ask: served, or told that there is no image."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.conftest import NOW
from tests.server.segments import Client, in_own_network, needs_root

from muster.boot import dhcp
from muster.boot.arch import CLIENTS, SERVED, client
from muster.boot.dhcp import Segment
from muster.boot.dhcplog import Asked, Reader, Unserved
from muster.boot.dnsmasq import Dnsmasq
from muster.images.library import Library
from muster.lifecycle import deadlines, timeline
from muster.lifecycle.policy import Policy
from muster.server.loaders import Loaders
from muster.store import boots, events
from muster.store.engine import Store

URL = "http://10.77.0.1:8472"
MAC = Client.MAC
UNKNOWN = 4711
ASK = """
import dataclasses, json, sys
from muster.boot.discover import Asking, offers
heard = {}
for name, number, vendor, ipxe in json.load(open(sys.argv[1])):
    found = offers("eth0", Asking(name, vendor, number, ipxe), wait_s=2.0)
    heard[name] = dataclasses.asdict(found[0]) if found else None
print(json.dumps(heard))
"""


def test_the_table_is_the_whole_registry_each_number_once() -> None:
    assert sorted(kind.number for kind in CLIENTS) == list(range(42))
    assert len({kind.name for kind in CLIENTS}) == 42
    assert {kind.number for kind in CLIENTS if not kind.unserved} == {0, 7, 9, 11, 16, 19}
    assert "option 93: 4711" in client(UNKNOWN).unserved
    assert all(kind.by_http == ("HTTP" in kind.name) for kind in CLIENTS)


async def asked_of(
    folder: Path, mode: dhcp.Mode, work: Callable[[], str]
) -> tuple[str, list[Asked | Unserved]]:
    """What `work` says, and what a real dnsmasq's log said of those who asked meanwhile."""
    reader, found = Reader(), []

    async def on_line(line: str) -> None:
        match reader.read(line):
            case Asked() | Unserved() as said:
                found.append(said)

    (folder / "tftp").mkdir(parents=True)
    text = dhcp.configuration(Segment("srv0", "10.77.0.1/24"), mode, url=URL, folder=folder)
    child = Dnsmasq(text, folder, on_line)
    await child.start()
    try:
        said = await asyncio.to_thread(work)
    finally:
        await child.stop()
    return said, found


def play(
    folder: Path, mode: dhcp.Mode, asked: list[tuple[str, int, str, bool]]
) -> tuple[dict[str, dict[str, str] | None], list[Asked | Unserved]]:
    """Crafted DISCOVERs (name, option 93, option 60, whether iPXE), and what came of each."""
    (folder / "asked.json").write_text(json.dumps(asked))

    def exchange() -> tuple[str, list[Asked | Unserved]]:
        machine = Client("srv0", "10.77.0.1/24")
        words = machine.inside(sys.executable, "-c", ASK, str(folder / "asked.json"))

        def ask() -> str:
            return subprocess.run(
                words, check=True, capture_output=True, timeout=60
            ).stdout.decode()

        try:
            return asyncio.run(asked_of(folder / "dhcp", mode, ask))
        finally:
            machine.close()

    said, found = in_own_network(exchange)
    return json.loads(said), found


@needs_root
def test_every_architecture_is_told_a_loader_or_that_there_is_no_image(tmp_path: Path) -> None:
    kinds = [*CLIENTS, client(UNKNOWN)]
    classes = {True: "HTTPClient", False: "PXEClient"}
    asked = [
        (
            kind.name,
            kind.number,
            f"{classes[kind.by_http]}:Arch:{kind.number:05d}:UNDI:003016",
            False,
        )
        for kind in kinds
    ]
    heard, noted = play(tmp_path, "own", asked)

    assert len(noted) == len(kinds)
    for kind, said in zip(kinds, noted, strict=True):
        offer = heard[kind.name]
        assert offer, kind
        assert bool(offer["file"]) == (kind in SERVED), (kind, offer)
        assert isinstance(said, Asked if kind in SERVED else Unserved)
        assert said.mac == MAC
        assert kind.name in said.detail
        if kind not in SERVED:
            assert f"(option 93: {kind.number})" in said.detail
            if kind.number != UNKNOWN:
                assert offer["message"] == f"muster: {said.detail}"


@needs_root
def test_who_is_no_pxe_client_by_name_is_known_by_its_number(tmp_path: Path) -> None:
    asked = [
        ("u-boot", 22, "U-Boot.armv8", False),
        ("petitboot", 14, "petitboot", False),
        ("iPXE on arm64", 11, "PXEClient:Arch:00011:UNDI:003010", True),
    ]
    heard, noted = play(tmp_path, "own", asked)
    assert [type(said) for said in noted] == [Unserved, Unserved, Asked]
    assert ["U-Boot arm64" in noted[0].detail, "OPAL v3 ppc64el" in noted[1].detail] == [True] * 2
    # iPXE gets its script; the boot answer then says that there is no image for arm64.
    assert (heard["iPXE on arm64"] or {})["file"] == f"{URL}/boot/start.ipxe"


@needs_root
def test_beside_another_server_it_is_said_too(tmp_path: Path) -> None:
    asked = [(f"arch{n}", n, f"PXEClient:Arch:{n:05d}:UNDI:003016", False) for n in (21, 7, 14, 11)]
    _, noted = play(tmp_path, "proxy", asked)
    assert [type(said) for said in noted] == [Unserved, Asked, Unserved, Asked]


def test_a_kind_whose_image_is_not_there_is_told_how_to_get_it(tmp_path: Path) -> None:
    loaders = Loaders(Library(tmp_path / "images"), tmp_path / "tftp", URL)
    loaders.refresh()
    (tmp_path / "tftp/shimx64.efi").write_bytes(b"from an image of amd64")
    reader = Reader(loaders.lacks)

    def said(number: int) -> str:
        reader.read(f"dnsmasq-dhcp[1]: {number} tags: arch{number}, srv0")
        found = reader.read(f"dnsmasq-dhcp[1]: {number} DHCPOFFER(srv0) 10.77.0.9 {MAC}")
        return f"{type(found).__name__}: {getattr(found, 'detail', '')}"

    assert said(7).startswith("Asked")
    wanted = "UEFI arm64 (option 93: 11): run 'muster image build --arch arm64'"
    assert said(11) == f"Unserved: no image for {wanted}"
    (tmp_path / "tftp/shimaa64.efi").write_bytes(b"from an image of arm64")
    assert said(11).startswith("Asked")


def test_a_machine_of_several_kinds_is_served_when_one_is() -> None:
    reader = Reader()
    lines = ["vendor class: PXEClient:Arch:00006:UNDI:003000", "tags: arch6, arch7, srv0"]
    lines.append(f"DHCPOFFER(srv0) 10.77.0.9 {MAC}")
    said = [reader.read(f"dnsmasq-dhcp[1]: 5 {line}") for line in lines]
    assert isinstance(said[-1], Asked)


def test_who_repeats_one_exchange_for_ever_fills_no_memory() -> None:
    reader = Reader()
    for number in range(10_000):
        reader.read(f"dnsmasq-dhcp[1]: 5 vendor class: PXEClient:Arch:{number:05d}:UNDI:003000")
    assert len(reader._exchanges["5"].kinds) <= 8


def test_the_timeline_says_it_once_and_nothing_is_late(store: Store) -> None:
    why = client(14).unserved
    for after in (0, 4, 12):
        timeline.unserved(store, NOW + timedelta(seconds=after), mac=MAC, detail=why)
    deadlines.sweep(store, Policy(url=URL), NOW + timedelta(hours=1))
    with store.read() as tx:
        boot = boots.open_for_mac(tx, MAC, since=NOW)
        assert boot is not None
        assert boot.failure == f"dhcp: {why}"
        assert boot.deadline_at is None
        marks = boots.timeline(tx, [boot.id])[boot.id]
        told = [event.message for event in events.some(tx, kind="boot.failed", limit=9)]
    assert [(mark.status, mark.detail) for mark in marks] == [
        ("done", "asked for an address"),
        ("failed", why),
    ]
    assert len(told) == 1
    assert why in told[0]


@pytest.mark.parametrize("mac", ["", "00:00:00:00:00:00", "not-a-mac"])
def test_what_has_no_mac_begins_no_boot(store: Store, mac: str) -> None:
    timeline.unserved(store, NOW, mac=mac, detail="x")
    with store.read() as tx:
        assert boots.some(tx, limit=1) == []
