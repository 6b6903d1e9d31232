"""A machine goes into an archive and comes out of it the same; hostile archives stay outside."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import trees

from muster.collect import capture as taking
from muster.collect import commands
from muster.collect.archive import unpack
from muster.collect.capture import FORMAT, NOTE, Tree, _add_link, capture
from muster.collect.document import document
from muster.collect.redact import without_addresses

MAC = "52:54:00:00:00:02"


def told(root: Path) -> dict[str, Any]:
    """The document without what changes from one survey to the next."""
    found = json.loads(json.dumps(document(root)))
    for probe in found["extra"]["probes"].values():
        del probe["ms"]
    return found


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    return trees.load("qemu-rich-guest", tmp_path / "guest")


def test_a_captured_machine_reads_as_the_machine_itself(server: Path, tmp_path: Path) -> None:
    replay = unpack(capture(str(server), redact=False), tmp_path / "replay")
    assert told(replay) == told(server)


def test_the_rich_guest_reads_the_same_from_its_archive(guest: Path, tmp_path: Path) -> None:
    replay = unpack(capture(str(guest), redact=False), tmp_path / "replay")
    assert told(replay) == told(guest)


def test_only_what_the_probes_look_at_is_captured(server: Path, tmp_path: Path) -> None:
    (server / "etc/shadow").write_text("root:secret")
    (server / "sys/class/net/eth0/unknown").write_text("x")
    replay = unpack(capture(str(server), redact=False), tmp_path / "replay")
    assert not (replay / "etc/shadow").exists()
    assert not (replay / "sys/class/net/eth0/unknown").exists()


def test_the_note_says_what_the_archive_is_and_what_could_not_be_read(
    server: Path, tmp_path: Path
) -> None:
    serial = server / "sys/class/dmi/id/product_serial"
    serial.unlink()
    serial.symlink_to("../../../../../../../../etc/passwd")
    replay = unpack(capture(str(server), redact=False), tmp_path / "replay")
    note = json.loads((replay / NOTE).read_text())
    assert note["format"] == FORMAT
    assert note["unread"] == {"sys/class/dmi/id/product_serial": "is a link out of the root"}
    assert note["document"]["resources"]["cpu"]["total"] == 4
    assert not note["redacted"]


def test_what_is_too_large_is_left_out_and_noted(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muster.collect.capture.FILE_LIMIT", 100)
    replay = unpack(capture(str(server), redact=False), tmp_path / "replay")
    note = json.loads((replay / NOTE).read_text())
    assert note["unread"]["proc/cpuinfo"] == "too large for the archive"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root = trees.plant(tmp_path / "m", {"/proc/meminfo": "MemTotal: 1 kB\n"})
    (root / "sys").symlink_to("sys")
    replay = unpack(capture(str(root), redact=False), tmp_path / "replay")
    assert told(replay)["resources"]["memory"]["total"] == 1024


def test_the_same_machine_gives_the_same_tree(server: Path, tmp_path: Path) -> None:
    first, second = (
        unpack(capture(str(server), redact=False), tmp_path / name) for name in ("a", "b")
    )
    names = [sorted(str(p.relative_to(root)) for p in root.rglob("*")) for root in (first, second)]
    assert names[0] == names[1]


@pytest.fixture
def secretive(server: Path) -> Path:
    """A machine with a serial in every form that redaction has to find."""
    home = server / "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0"
    (home / "wwid").write_text("naa.5000c50015ea71bb\n")
    (home / "vpd_pg80").write_bytes(b"\0\x80\0\x08WD-12345")
    udev = server / "run/udev/data/b8:0"
    udev.write_text(
        "S:disk/by-id/ata-BIGDISK_WD-12345\nS:disk/by-id/wwn-0x5000c50015ea71bb\n"
        "E:ID_SERIAL=BIGDISK_WD-12345\nE:ID_SERIAL_SHORT=WD-12345\n"
    )
    by_id = server / "dev/disk/by-id"
    by_id.mkdir(parents=True)
    (by_id / "ata-BIGDISK_WD-12345").symlink_to("../../sda")
    dmi = server / "sys/class/dmi/id"
    (dmi / "product_serial").write_text("SN1\n")
    (dmi / "board_serial").write_text("CN7220012345\n")
    (dmi / "chassis_serial").write_text("To Be Filled By O.E.M.\n")
    (server / "proc/sys/kernel/hostname").write_text("payroll-3\n")
    inet6 = server / "proc/net/if_inet6"
    inet6.write_text(
        "fe8000000000000050540000ff000002 02 40 20 80 eth0\n"
        "20010a10000000000000000000000007 02 40 00 80 eth0\n"
        "00000000000000000000000000000001 01 80 10 80 lo\n"
    )
    return server


SECRETS = [
    "WD-12345",
    "5000c50015ea71bb",
    "CN7220012345",
    "payroll",
    "4c4c4544-0042-3510-8054-c2c04f4e3132",
    MAC,
    "ff000002",
    "20010a10",
]


def everything(root: Path) -> str:
    """All names, link targets and contents of a tree, as one text."""
    words = []
    for place in root.rglob("*"):
        words.append(str(place.relative_to(root)))
        if place.is_symlink():
            words.append(os.readlink(place))
        elif place.is_file():
            words.append(place.read_bytes().decode("latin-1"))
    return "\n".join(words).lower()


def test_redaction_leaves_no_serial_and_the_structure_whole(
    secretive: Path, tmp_path: Path
) -> None:
    before = everything(unpack(capture(str(secretive), redact=False), tmp_path / "open"))
    assert [secret for secret in SECRETS if secret.lower() not in before] == []
    replay = unpack(capture(str(secretive), redact=True), tmp_path / "redacted")
    after = everything(replay)
    assert [secret for secret in SECRETS if secret.lower() in after] == []

    plain, hidden = told(secretive), told(replay)
    (disk,), (other) = plain["resources"]["storage"]["disks"], hidden["resources"]["storage"]
    (left,) = other["disks"]
    assert left["device_id"] == f"wwn-0x{left['wwn'].removeprefix('naa.')}"
    assert len(left["serial"]) == len(disk["serial"])
    assert f"ata-BIGDISK_{left['serial']}" in os.listdir(replay / "dev/disk/by-id")
    changed = {"serial", "wwn", "device_id"}
    assert {k: v for k, v in left.items() if k not in changed} == {
        k: v for k, v in disk.items() if k not in changed
    }
    for section in ("cpu", "memory"):
        assert hidden["resources"][section] == plain["resources"][section]
    system = hidden["resources"]["system"]
    assert system["chassis"]["serial"] == "To Be Filled By O.E.M."
    ports = hidden["resources"]["network"]["cards"][0]["ports"]
    assert ports[0]["address"].startswith("52:54:00:")
    assert hidden["networks"]["lo"]["addresses"] == plain["networks"]["lo"]["addresses"]
    assert hidden["networks"]["eth0"]["hwaddr"] == ports[0]["address"]


def test_two_redactions_cannot_be_compared(secretive: Path, tmp_path: Path) -> None:
    serials = {
        told(unpack(capture(str(secretive), redact=True), tmp_path / name))["resources"]["system"][
            "motherboard"
        ]["serial"]
        for name in ("a", "b")
    }
    assert len(serials) == 2


def test_the_commands_capture_this_machine_and_read_it_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "this.tar.gz"
    assert commands.capture(output=output, redact=True) == 0
    assert output.stat().st_mode & 0o777 == 0o600
    assert commands.capture(output=output) == 1
    assert "File exists" in capsys.readouterr().err
    assert commands.read(output) == 0
    read = json.loads(capsys.readouterr().out)
    live = json.loads(json.dumps(document("/")))
    assert read["resources"]["cpu"]["total"] == live["resources"]["cpu"]["total"]
    assert read["environment"]["kernel_architecture"] == os.uname().machine


def test_a_person_without_root_is_told_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands.os, "geteuid", lambda: 1000)
    assert commands.capture(output=tmp_path / "this.tar.gz") == 0
    said = capsys.readouterr().err
    assert "as root the archive holds more" in said
    assert "--redact" in said


def test_an_archive_that_cannot_be_read_is_told_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.read(tmp_path / "none") == 1
    (tmp_path / "bad").write_bytes(b"x")
    assert commands.read(tmp_path / "bad") == 1
    said = capsys.readouterr().err
    assert "No such file" in said
    assert "is damaged or no tar.gz" in said


def test_redaction_finds_serials_that_only_the_disk_tells(server: Path, tmp_path: Path) -> None:
    (server / "sys/class/dmi/id/product_uuid").write_text("00000000-0000-0000-0000-000000000000")
    home = server / "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0"
    (home / "wwid").write_text("t10.ATA     BIGDISK        WX-771\n")
    read = told(unpack(capture(str(server), redact=True), tmp_path / "redacted"))["resources"]
    (disk,) = read["storage"]["disks"]
    assert disk["serial"] != "SERIAL"
    assert len(disk["serial"]) == 6
    assert disk["wwn"].startswith("t10.ATA BIGDISK ")
    assert not disk["wwn"].endswith("WX-771")
    # It names no machine, so it is still what a person has to see.
    assert read["system"]["uuid"] == "00000000-0000-0000-0000-000000000000"


def test_a_redacted_archive_names_no_host_and_no_folder(server: Path, tmp_path: Path) -> None:
    (server / "proc/sys/kernel/hostname").write_text("vm\n")
    (server / "proc/self/mountinfo").write_text("22 1 8:1 / /srv/payroll rw - ext4 /dev/sda1 rw\n")
    replay = unpack(capture(str(server), redact=True), tmp_path / "redacted")
    note = json.loads((replay / NOTE).read_text())
    assert note["document"]["environment"]["server_name"] == ""
    assert (replay / "proc/sys/kernel/hostname").read_text() != "vm\n"
    assert "payroll" not in everything(replay)
    (disk,) = told(replay)["resources"]["storage"]["disks"]
    assert disk["partitions"][0]["mounted"]


def test_a_redacted_note_has_no_certificate_of_the_tpm(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(root: str) -> dict[str, Any]:
        found: dict[str, Any] = document(root)
        found["extra"]["tpm"] |= {"ek_certificate": "3082" + "ab" * 300, "ek_sha256": "c0ffee" * 10}
        return found

    monkeypatch.setattr(taking, "document", asked)
    note = (unpack(capture(str(server), redact=True), tmp_path / "redacted") / NOTE).read_text()
    assert "c0ffee" not in note
    assert "ek_certificate" not in note
    whole = (unpack(capture(str(server), redact=False), tmp_path / "whole") / NOTE).read_text()
    assert "ek_certificate" in whole


def test_a_machine_that_was_sent_in_is_read(tmp_path: Path) -> None:
    """tests/machines/cloud-vm: no SMBIOS, no udev, virtio on PCI, made by `inventory capture`."""
    found = told(trees.load("cloud-vm", tmp_path))
    resources = found["resources"]
    assert resources["cpu"]["total"] == 2
    assert resources["memory"]["total"] == 24 << 30
    assert [disk["id"] for disk in resources["storage"]["disks"]] == ["vda"]
    assert [card["product"] for card in resources["network"]["cards"]] == [
        "Virtio 1.0 network device"
    ]
    assert len(resources["pci"]["devices"]) == 6
    assert resources["system"]["firmware"] is None
    assert all(probe["ok"] for probe in found["extra"]["probes"].values())


def test_a_device_node_is_captured_as_being_there(tmp_path: Path) -> None:
    home = "pci0000:00/0000:00:1f.2/ata1"
    files, links = trees.disk("sda", home, "8:0", queue__rotational="1\n")
    root = trees.plant(tmp_path / "m", files, links)
    dev = root / f"sys/devices/{home}/block/sda/dev"
    dev.unlink()
    os.mkfifo(dev)
    replay = unpack(capture(str(root), redact=False), tmp_path / "replay")
    assert (replay / f"sys/devices/{home}/block/sda/dev").read_bytes() == b""


def test_addresses_of_the_note_become_the_documentation_s() -> None:
    found = {"a": ["10.1.2.3", "127.0.0.1", "fe80::12", "2a00::1", "::1", "8:0", 7]}
    shown = without_addresses(found)
    assert shown == {"a": ["192.0.2.1", "127.0.0.1", "fe80::1", "2001:db8::1", "::1", "8:0", 7]}


def test_an_absolute_link_stays_inside_of_the_archive(tmp_path: Path) -> None:
    """On a real machine "/" is the root; in an archive it would be the reader's."""
    tree = Tree()
    _add_link(tree, "etc/os-release", "/usr/lib/os-release")
    assert tree.links == {"etc/os-release": "../usr/lib/os-release"}


def test_a_file_that_vanishes_or_is_refused_is_noted_and_costs_only_itself(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(place: str, _: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", place)

    survey = document(server)
    monkeypatch.setattr("muster.collect.capture.document", lambda root: _look(root) or survey)
    monkeypatch.setattr("muster.collect.capture.os.open", refuse)
    sent = capture(str(server), redact=False)
    monkeypatch.undo()
    note = json.loads((unpack(sent, tmp_path / "replay") / NOTE).read_text())
    assert note["unread"] == {"proc/cpuinfo": "Permission denied"}


def _look(root: Any) -> None:
    root.watch("/proc/cpuinfo", listed=False)
