"""Which firmware goes along with the initrd, by what is known of a machine."""

import hashlib
import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.desk import MAC, UUID, Desk, story
from tests.boot.initrd import Initrd

from muster.images import firmware as side
from muster.images import manifest
from muster.images.firmware import ANY, INDEX
from muster.images.library import Library
from muster.lifecycle import commission
from muster.lifecycle.firmware import pci_id

URL = "http://10.0.0.1:8472"
BNX2X, E100, QLA = "14e4:168e", "8086:1229", "1077:2532"
LINES = (("bnx2x", "net", BNX2X), ("e100", "net", E100), ("qla2xxx", "other", QLA))


@pytest.fixture
def library(library: Library, tmp_path: Path) -> Library:
    """The image in use has firmware."""
    image = library.in_use()
    index = "".join(f"{name} {kind} {'0' * 64} {device}\n" for name, kind, device in LINES)
    contents = {f"firmware/{name}": name for name, _, _ in LINES} | {INDEX: index, ANY: "any"}
    files = {name: library.blob(entry.sha256) for name, entry in image.files.items()}
    for name, content in contents.items():
        files[name] = tmp_path / name.replace("/", "-")
        files[name].write_text(content)
    described = {name: manifest.describe(path) for name, path in files.items()}
    fuller = replace(image, files=described).sealed()
    library.add(fuller, files)
    library.use(fuller.id)
    return library


def ask(desk: Desk, loader: str = "ipxe", **query: str) -> str:
    known = {"mac": MAC, "uuid": UUID, "arch": "x86_64"}
    answer = desk.client.get(f"/boot/{loader}", params=known | query)
    assert answer.status_code == 200
    return str(answer.text)


def brought(script: str) -> list[str]:
    """Names of what is fetched behind the initrd; each under the hash that the image has of it."""
    return [
        found
        for found in re.findall(r"/boot/files/[0-9a-f]{64}/firmware-([a-z0-9-]+)\?boot=", script)
    ]


@pytest.mark.parametrize("busid", ["0114e4168e", "01:14:E4:16:8E"])
def test_ipxe_fetches_what_its_boot_nic_wants(desk: Desk, library: Library, busid: str) -> None:
    script = ask(desk, busid=busid)
    image = library.in_use()
    boot = desk.get("/boots")[0]["id"]
    hexes = [image.files[name].sha256 for name in ("initrd", "firmware/bnx2x")]
    assert (
        f"initrd --name initrd {URL}/boot/files/{hexes[0]}/initrd?boot={boot} || goto failed\n"
        f"initrd --name firmware-bnx2x {URL}/boot/files/{hexes[1]}/firmware-bnx2x?boot={boot}"
        " || goto failed\nboot || goto failed\n"
    ) in script
    # A kernel of UEFI asks for each by its name.
    assert " initrd=initrd initrd=firmware-bnx2x root=squash:" in script
    marks = desk.get("/boots")[0]["timeline"]
    assert marks[-1]["detail"].endswith("; with firmware for bnx2x")


def test_a_nic_that_wants_none_is_given_none(desk: Desk) -> None:
    assert brought(ask(desk, busid="011af41000")) == []
    # A storage controller's waits for the initrd, which fetches faster.
    assert brought(ask(desk, busid="0110772532")) == []


def test_who_cannot_say_its_nic_gets_those_without_which_there_is_no_link(desk: Desk) -> None:
    assert brought(ask(desk)) == ["any"]
    script = ask(desk, "grub")
    assert brought(script) == ["any"]
    assert re.search(
        r'\ninitrd "\S+/initrd\?boot=\w+" "\S+/firmware-any\?boot=\w+"\nboot\n', script
    )
    assert desk.get("/boots")[0]["timeline"][-1]["detail"].endswith("; with firmware for any NIC")


def with_devices(*devices: Any) -> bytes:
    told = {"api_version": "1.0", "resources": {"pci": {"devices": list(devices)}}, "extra": {}}
    return json.dumps(told).encode()


def device(known: str) -> dict[str, str]:
    vendor, _, product = known.partition(":")
    return {"vendor_id": vendor, "product_id": product, "pci_address": "0000:00:03.0"}


def commissioning(desk: Desk, now: datetime, document: bytes) -> None:
    """A machine whose last document is known starts once more."""
    welcome = desk.enlist()
    desk.events(welcome["token"], story(welcome, document=document))
    commission.start(
        desk.store, desk.policy, welcome["machine"], commission.Options(), actor="test", now=now
    )


@pytest.mark.parametrize("loader", ["grub", "ipxe"])
def test_of_a_known_machine_its_record_says_what_it_has(
    desk: Desk, now: datetime, loader: str
) -> None:
    commissioning(desk, now, with_devices(device(BNX2X), device(QLA), device("8086:1533")))
    assert brought(ask(desk, loader)) == ["bnx2x"]
    if loader == "ipxe":
        assert brought(ask(desk, busid="0180861229")) == ["bnx2x", "e100"]


def test_a_known_machine_that_wants_none_fetches_none(desk: Desk, now: datetime) -> None:
    commissioning(desk, now, with_devices(device("8086:1533")))
    assert brought(ask(desk, "grub")) == []


HOSTILE = (
    *("", "01", "0114e4168", "0114e4168e00", "0214e4168e", "0114e4168e\n", "01:14:e4:16:8g"),
    *("../firmware/any", "0114e4168e || shell", "${netX/busid}", "٠١14e4168e"),
)


@pytest.mark.parametrize("busid", HOSTILE)
def test_what_is_no_pci_device_is_as_if_nothing_was_said(desk: Desk, busid: str) -> None:
    script = ask(desk, busid=busid)
    assert brought(script) == ["any"]
    assert not busid or len(busid) < 3 or busid not in script


def test_a_bus_id_without_end_or_with_a_zero_byte_is_refused(desk: Desk) -> None:
    for said in ("01" * 1000, "\0"):
        query = {"mac": MAC, "busid": said}
        assert desk.client.get("/boot/ipxe", params=query).status_code == 400


@given(st.text(max_size=20))
def test_a_bus_id_is_a_pci_device_or_nothing(said: str) -> None:
    assert re.fullmatch(r"([0-9a-f]{4}:[0-9a-f]{4})?", pci_id(said), re.ASCII)


@pytest.mark.parametrize(
    "devices", [[{"vendor_id": 7}], ["no device"], [device("x" * 999 + ":y")], [{}]]
)
def test_a_hostile_document_starts_its_machine_all_the_same(
    desk: Desk, now: datetime, devices: list[Any]
) -> None:
    commissioning(desk, now, with_devices(*devices))
    script = ask(desk, "grub")
    assert len(script) == 8192
    assert set(brought(script)) <= {"any"}


def test_an_index_that_was_removed_starts_a_machine_without(desk: Desk, library: Library) -> None:
    blob = library.blob(library.in_use().files[INDEX].sha256)
    blob.chmod(0o644)
    blob.unlink()
    script = ask(desk, busid="0114e4168e")
    assert brought(script) == []
    assert "initrd --name initrd " in script


def test_an_image_without_firmware_has_the_boot_answer_of_before(
    desk: Desk, library: Library
) -> None:
    image = library.in_use()
    plain = {name: e for name, e in image.files.items() if not name.startswith("firmware/")}
    bare = replace(image, files=plain).sealed()
    library.add(bare, {name: library.blob(entry.sha256) for name, entry in plain.items()})
    library.use(bare.id)
    assert " initrd=initrd root=squash:" in ask(desk, busid="0114e4168e")
    assert "firmware-" not in ask(desk, busid="0114e4168e")


# The initrd's own part.

MODALIAS = {
    "0000:00:03.0": "pci:v00008086d00001229sv00001AF4sd00001100bc02sc00i00",
    "0000:00:04.0": "pci:v00001077d00002532sv00001077sd0000015Dbc0Csc04i00",
    "0000:00:05.0": "pci:v000014E4d0000168Esv*sd*bc02sc00i00",
    "0000:00:06.0": "pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00",
}


def machine(folder: Path, packages: dict[str, bytes]) -> Initrd:
    """An initrd with an index, on a machine with four devices; bnx2x came with the loader."""
    initrd = Initrd(folder)
    for address, alias in MODALIAS.items():
        home = folder / "pci/devices" / address
        home.mkdir(parents=True)
        (home / "modalias").write_text(alias + "\n")
    (folder / "firmware").mkdir()
    (folder / "firmware/bnx2x").touch()
    text = "".join(
        side.SidePackage(name, "net", _sha256(packages.get(name, b"")), frozenset({known})).line()
        for name, _, known in LINES
    )
    (folder / INDEX).write_text(text)
    return initrd


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_initrd_knows_which_of_its_devices_lack_firmware(tmp_path: Path) -> None:
    initrd = machine(tmp_path / "root", {})
    initrd.run("lacking > /told; no_firmware >> /told", PCI="/pci")
    *devices, told = (initrd.root / "told").read_text().splitlines()
    assert [(line.split()[0], line.split()[2]) for line in devices] == [
        ("e100", "0000:00:03.0"),
        ("qla2xxx", "0000:00:04.0"),
    ]
    assert told == "; the firmware that e100 qla2xxx asks for did not come with the initrd"


def test_the_initrd_fetches_it_and_lets_a_driver_begin_anew(tmp_path: Path) -> None:
    """`bring` is tried with a real server in test_faults.py."""
    packed = side.archive({"e100": {"e100/a.bin": b"ucode"}})
    initrd = machine(tmp_path / "root", {"e100": packed, "qla2xxx": packed[:-20]})
    root = initrd.root
    (root / "served").mkdir()
    (root / "served/firmware-e100").write_bytes(packed)
    (root / "pci/drivers_probe").touch()
    # Served to one, refused for the other; what it tries is written down.
    fake = (
        'bring() { echo "$2 $3" >> /asked; DETAIL="no answer"; cp "/served/${1##*/}" "$1"; };'
        " sleep() { :; }; fetch_firmware"
    )
    initrd.run(fake, PCI="/pci", ROOT_URL="http://s/boot/files/feed/squashfs")
    assert (root / "lib/firmware/e100/a.bin").read_bytes() == b"ucode"
    assert (root / "firmware/e100").exists()
    asked = (root / "asked").read_text().splitlines()
    assert asked[0] == f"http://s/boot/files/{_sha256(packed)}/firmware-e100 {_sha256(packed)}"
    assert len([line for line in asked if "/firmware-qla2xxx " in line]) == 3
    assert (root / "pci/drivers_probe").read_text() == "0000:00:03.0\n"
    assert "firmware failed: qla2xxx: no answer; going on without" in initrd.console
    assert re.search(r"firmware done: for e100 in [0-9.]+ s", initrd.console)


def test_a_device_that_has_its_driver_is_left_alone(tmp_path: Path) -> None:
    initrd = machine(tmp_path / "root", {})
    (initrd.root / "pci/devices/0000:00:03.0/driver").mkdir()
    (initrd.root / "pci/drivers_probe").touch()
    initrd.run("begin_anew 0000:00:03.0; begin_anew 0000:00:04.0", PCI="/pci")
    assert (initrd.root / "pci/drivers_probe").read_text() == "0000:00:04.0\n"


def test_an_initrd_without_an_index_asks_for_nothing(tmp_path: Path) -> None:
    initrd = machine(tmp_path / "root", {})
    (initrd.root / INDEX).unlink()
    initrd.run("fetch_firmware; no_firmware > /told", PCI="/pci")
    assert (initrd.root / "told").read_text() == ""
    assert "firmware" not in initrd.console


KERNEL_LOG = """\
[    1.0] e100 0000:00:03.0: firmware: failed to load e100/a.bin (-2)
[    1.0] e100 0000:00:03.0: Direct firmware load for e100/a.bin failed with error -2
[    1.1] r8169 0000:00:07.0: Direct firmware load for rtl_nic/b.fw failed with error -2
[    1.2] qla2xxx 0000:00:08.0: firmware: failed to load ql2500_fw.bin (-2)
[    1.3] e100 0000:00:03.0: firmware: direct-loading firmware e100/c.bin
"""


def test_what_the_kernel_did_not_find_and_is_not_there_since_is_told(tmp_path: Path) -> None:
    initrd = machine(tmp_path / "root", {})
    (initrd.root / "lib/firmware/rtl_nic").mkdir(parents=True)
    (initrd.root / "lib/firmware/rtl_nic/b.fw").touch()
    (initrd.root / "log").write_text(KERNEL_LOG)
    initrd.run("dmesg() { cat /log; }; tell_missing; dmesg() { :; }; tell_missing")
    told = re.findall(r"firmware done: (.*)", initrd.console)
    assert told == [
        "not in this image, so that devices may be dead or limited: e100/a.bin ql2500_fw.bin"
    ]


def test_the_root_is_given_what_the_initrd_has(tmp_path: Path) -> None:
    initrd = machine(tmp_path / "root", {})
    (initrd.root / "newroot/usr/lib/firmware/own").mkdir(parents=True)
    (initrd.root / "lib/firmware/e100").mkdir(parents=True)
    (initrd.root / "lib/firmware/e100/a.bin").write_text("ucode")
    initrd.run("keep_firmware")
    found = initrd.root / "newroot/usr/lib/firmware"
    assert (found / "e100/a.bin").read_text() == "ucode"
    assert (found / "own").is_dir()
