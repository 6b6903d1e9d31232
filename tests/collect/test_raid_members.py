"""Disks behind RAID controllers, by a smartctl that answers as the real one does (7.3, -j)."""

import json
from pathlib import Path

import pytest
import trees
from living import LiveReader, program

from muster.collect import raid, smartctl
from muster.collect.document import document
from muster.machine.parts import parts
from muster.wire.peripherals import RaidDisk
from muster.wire.resources import read_document

ADDRESS = "0000:18:00.0"
HOME = f"/sys/devices/pci0000:00/{ADDRESS}"
SCAN = {
    "devices": [
        {"name": "/dev/sda", "type": "scsi", "protocol": "SCSI"},
        {"name": "/dev/bus/0", "type": "sat+megaraid,8", "protocol": "ATA"},
        {"name": "/dev/bus/0", "type": "megaraid,9", "protocol": "SCSI"},
        {"name": "/dev/bus/7", "type": "megaraid,8", "protocol": "SCSI"},
    ]
}
SATA = {
    "device": {"name": "/dev/bus/0", "type": "sat+megaraid,8", "protocol": "ATA"},
    "model_name": "SAMSUNG MZ7LH960",
    "serial_number": "S45NNA0M1",
    "firmware_version": "HXT7904Q",
    "user_capacity": {"blocks": 1875385008, "bytes": 960197124096},
    "rotation_rate": 0,
    "smart_status": {"passed": True},
    "temperature": {"current": 29},
}
SAS = {
    "device": {"name": "/dev/bus/0", "type": "megaraid,9", "protocol": "SCSI"},
    "scsi_vendor": "SEAGATE",
    "scsi_product": "ST1200MM0099",
    "scsi_revision": "ST31",
    "serial_number": "WFK9BZ1C",
    "user_capacity": {"bytes": 1200243695616},
    "rotation_rate": 10500,
    "smart_status": {"passed": False},
    "scsi_grown_defect_list": 12,
}


def controller(root: Path, driver: str) -> Path:
    """With host0 behind it, and its own generic device sg1."""
    own = f"{HOME}/host0/target0:3:0/0:3:0:0"
    files: trees.Files = {
        f"{HOME}/class": "0x010400\n",
        f"{HOME}/vendor": "0x1000\n",
        f"{HOME}/device": "0x0014\n",
        f"{HOME}/host0/scsi_host/host0/unique_id": "0\n",
        f"{own}/type": "12\n",
        f"{HOME}/host0/target0:0:0/0:0:0:0/type": "0\n",
    }
    links = {
        f"/sys/bus/pci/devices/{ADDRESS}": HOME,
        "/sys/class/scsi_host/host0": f"{HOME}/host0/scsi_host/host0",
        f"{HOME}/driver": f"/sys/bus/pci/drivers/{driver}",
        "/sys/class/scsi_generic/sg0": f"{HOME}/host0/target0:0:0/0:0:0:0/scsi_generic/sg0",
        "/sys/class/scsi_generic/sg1": f"{own}/scsi_generic/sg1",
        f"{HOME}/host0/target0:0:0/0:0:0:0/scsi_generic/sg0/device": (
            f"{HOME}/host0/target0:0:0/0:0:0:0"
        ),
        f"{own}/scsi_generic/sg1/device": own,
    }
    return trees.plant(root, files, links)


def answers(folder: Path, said: dict[str, object], otherwise: str = "echo {}") -> str:
    """A smartctl that says these by what its arguments end with."""
    cases = "".join(
        f"*'{end}') cat << 'END'\n{json.dumps(what)}\nEND\n;;\n" for end, what in said.items()
    )
    return program(
        folder, f'echo "$*" >> {folder}/asked\ncase "$*" in\n{cases}*) {otherwise};;\nesac'
    )


@pytest.fixture(autouse=True)
def _live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveReader, "channel", -1)
    monkeypatch.setattr(raid, "Reader", LiveReader)


def test_disks_of_a_megaraid_are_those_that_a_scan_finds_on_its_bus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = answers(
        tmp_path,
        {"--scan-open -j": SCAN, "megaraid,8 /dev/bus/0": SATA, "megaraid,9 /dev/bus/0": SAS},
    )
    monkeypatch.setattr(smartctl, "which", lambda _: tool)
    found = raid.probe(controller(tmp_path / "root", "megaraid_sas"))
    assert found.errors == []
    assert found.controllers[0].members == [
        RaidDisk(
            "megaraid,8",
            source="smartctl",
            passed=True,
            temperature=29.0,
            model="SAMSUNG MZ7LH960",
            serial="S45NNA0M1",
            firmware_version="HXT7904Q",
            protocol="ATA",
            size=960197124096,
            rpm=0,
        ),
        RaidDisk(
            "megaraid,9",
            source="smartctl",
            passed=False,
            reallocated_sectors=12,
            vendor="SEAGATE",
            model="ST1200MM0099",
            serial="WFK9BZ1C",
            firmware_version="ST31",
            protocol="SCSI",
            size=1200243695616,
            rpm=10500,
        ),
    ]


def test_disks_of_an_hpsa_are_asked_by_number_until_sixteen_are_silent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = answers(tmp_path, {"-d cciss,2 /dev/sg1": SAS, "-d cciss,17 /dev/sg1": SATA})
    monkeypatch.setattr(smartctl, "which", lambda _: tool)
    found = raid.probe(controller(tmp_path / "root", "hpsa"))
    assert [(one.disk, one.serial) for one in found.controllers[0].members] == [
        ("cciss,2", "WFK9BZ1C"),
        ("cciss,17", "S45NNA0M1"),
    ]
    assert len((tmp_path / "asked").read_text().splitlines()) == 48


@pytest.mark.parametrize(
    "said", ["[]", "null", '{"devices": 7}', '{"devices": [null, 3]}', "no json"]
)
def test_a_scan_that_makes_no_sense_leaves_the_controller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str
) -> None:
    tool = answers(tmp_path, {}, f"echo '{said}'")
    monkeypatch.setattr(smartctl, "which", lambda _: tool)
    found = raid.probe(controller(tmp_path / "root", "megaraid_sas"))
    assert [one.members for one in found.controllers] == [[]]
    assert [error.path for error in found.errors] == (["smartctl -j"] if said == "no json" else [])


def test_a_controller_without_a_way_in_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(smartctl, "which", lambda _: answers(tmp_path, {}))
    for number, driver in enumerate(("aacraid", "mpi3mr")):
        assert raid.probe(controller(tmp_path / str(number), driver)).controllers[0].members == []
    root = controller(tmp_path / "root", "smartpqi")
    (root / "sys/class/scsi_generic/sg1").unlink()
    assert raid.probe(root).controllers[0].members == []
    assert not (tmp_path / "asked").exists()


def test_disks_behind_a_controller_are_components_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = answers(tmp_path, {"--scan-open -j": SCAN, "megaraid,8 /dev/bus/0": SATA})
    monkeypatch.setattr(smartctl, "which", lambda _: tool)
    text = json.dumps(document(controller(tmp_path / "root", "megaraid_sas")))
    disks = [part for part in parts(read_document(text.encode())) if part.kind == "disk"]
    assert [(disk.place, disk.serial) for disk in disks] == [
        (f"{ADDRESS} megaraid,8", "S45NNA0M1"),
        (f"{ADDRESS} megaraid,9", ""),
    ]
    assert "960.2 GB SAMSUNG MZ7LH960" in disks[0].title
