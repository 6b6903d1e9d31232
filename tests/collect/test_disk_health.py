"""Health of disks: the NVMe log, smartctl, sysfs; and how other programs are run."""

import ctypes
import errno
import json
import struct
import time
from pathlib import Path

import pytest
import trees
from living import LiveReader, program

from muster.collect import health, running, smartctl
from muster.wire.peripherals import Health, NvmePath


@pytest.fixture(autouse=True)
def _no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveReader, "channel", -1)
    monkeypatch.setattr(LiveReader, "opened", [])


def health_log() -> bytes:
    log = bytearray(512)
    log[0], log[3], log[5] = 0b1001, 90, 104
    log[1:3] = (273 + 41).to_bytes(2, "little")
    for place, number in ((32, 10), (48, 20), (112, 5), (128, 9000), (144, 3), (160, 1)):
        log[place : place + 16] = number.to_bytes(16, "little")
    return bytes(log)


def nvme_tree(root: Path) -> Path:
    subsystem = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0"
    files: trees.Files = {
        f"{subsystem}/nvme0n1/dev": "259:0\n",
        f"{subsystem}/subsysnqn": "nqn.2014\n",
        "/dev/nvme1": "",
    }
    links = {
        "/sys/block/nvme0n1": f"{subsystem}/nvme0n1",
        f"{subsystem}/nvme0n1/device": subsystem,
    }
    for number, state in ((0, "dead"), (1, "live")):
        home = f"/sys/devices/pci0000:00/0000:0{number}:00.0/nvme/nvme{number}"
        files |= {
            f"{home}/state": f"{state}\n",
            f"{home}/transport": "pcie\n",
            f"{home}/address": f"0000:0{number}:00.0\n",
        }
        links[f"{subsystem}/nvme{number}"] = home
        links[f"/sys/class/nvme/nvme{number}"] = home
    return trees.plant(root, files, links)


def test_an_nvme_s_log_is_asked_of_a_live_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ioctl(_channel: int, request: int, question: bytearray) -> int:
        assert request == 0xC0484E41
        fields = struct.unpack("=BBHIIIQQII6III", question)
        assert (fields[0], fields[3], fields[10]) == (2, 0xFFFFFFFF, 0x7F0002)
        ctypes.memmove(fields[7], health_log(), fields[9])
        return 0

    monkeypatch.setattr(health, "Reader", LiveReader)
    monkeypatch.setattr(health.fcntl, "ioctl", ioctl)
    monkeypatch.setattr(LiveReader, "channel", 0)
    found = health.probe(nvme_tree(tmp_path))
    assert LiveReader.opened == ["/dev/nvme1"]
    assert found.disks == [
        Health(
            "nvme0n1",
            source="nvme",
            passed=False,
            warnings=["spare below threshold", "read-only"],
            temperature=41.0,
            power_on_hours=9000,
            power_cycles=5,
            unsafe_shutdowns=3,
            percentage_used=104,
            available_spare=90,
            media_errors=1,
            bytes_written=20 * 512000,
            bytes_read=10 * 512000,
            transport="pcie",
            subsystem="nqn.2014",
            paths=[
                NvmePath("nvme0", "pcie", "0000:00:00.0", "dead"),
                NvmePath("nvme1", "pcie", "0000:01:00.0", "live"),
            ],
        )
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(0x4002, "the controller has no health log"), (None, "Permission denied")],
)
def test_an_nvme_without_a_log_keeps_its_paths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: int | None, reason: str
) -> None:
    def ioctl(*_: object) -> int:
        if answer is None:
            raise PermissionError(errno.EACCES, "Permission denied")
        return answer

    monkeypatch.setattr(health, "Reader", LiveReader)
    monkeypatch.setattr(health.fcntl, "ioctl", ioctl)
    monkeypatch.setattr(LiveReader, "channel", 0)
    found = health.probe(nvme_tree(tmp_path))
    assert (len(found.disks[0].paths), found.disks[0].passed) == (2, None)
    assert [complaint.reason for complaint in found.errors] == [reason]


def test_a_counter_beyond_reason_is_unknown() -> None:
    disk = Health("nvme0n1")
    health.read_nvme(b"\xff" * 512, disk)
    assert (disk.bytes_written, disk.power_on_hours, disk.percentage_used) == (None, None, 255)
    assert len(disk.warnings) == 6


def sata_tree(root: Path) -> Path:
    home = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0"
    files, links = trees.disk("sda", home, "8:0")
    virtual = trees.disk("sdb", "pci0000:00/0000:00:05.0/host1/target1:0:0/1:0:0:0", "8:16")
    device = f"/sys/devices/{home}"
    files |= virtual[0] | {
        f"{device}/type": "0\n",
        f"{device}/vendor": "ATA\n",
        f"{device}/state": "running\n",
        f"{device}/sas_address": "0x5000\n",
        f"{device}/hwmon/hwmon3/temp1_input": "33500\n",
        "/sys/devices/pci0000:00/0000:00:05.0/host1/target1:0:0/1:0:0:0/type": "0\n",
        "/sys/devices/pci0000:00/0000:00:05.0/host1/target1:0:0/1:0:0:0/vendor": "QEMU\n",
    }
    return trees.plant(root, files, links | virtual[1])


def test_sysfs_alone_tells_state_address_and_temperature(tmp_path: Path) -> None:
    found = health.probe(sata_tree(tmp_path))
    assert found.disks == [
        Health("sda", temperature=33.5, state="running", sas_address="0x5000"),
        Health("sdb"),
    ]


SMART = {
    "smart_status": {"passed": True},
    "temperature": {"current": 36},
    "power_on_time": {"hours": 12345},
    "power_cycle_count": 17,
    "ata_smart_attributes": {
        "table": [
            {"id": 5, "raw": {"value": 8}},
            {"id": 197, "raw": {"value": 2}},
            {"id": 9, "raw": {}},
            "odd",
        ]
    },
}


def test_smartctl_is_asked_of_disks_that_may_know(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    answer = f"echo $* >> {asked}\ncat << END\n{json.dumps(SMART)}\nEND\nexit 4"
    tool = program(tmp_path, answer)
    monkeypatch.setattr(health, "Reader", LiveReader)
    monkeypatch.setattr(smartctl, "which", lambda _: tool)
    found = health.probe(sata_tree(tmp_path / "root"))
    assert asked.read_text() == "-j -i -H -A /dev/sda\n"
    disk = found.disks[0]
    assert (disk.source, disk.passed, disk.temperature) == ("smartctl", True, 36.0)
    assert (disk.power_on_hours, disk.power_cycles) == (12345, 17)
    assert (disk.reallocated_sectors, disk.pending_sectors) == (8, 2)
    assert found.disks[1].source == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo no json", "Expecting value"),
        ("exec sleep 60", "no end within 0.2 s"),
    ],
)
def test_a_disk_whose_smartctl_fails_keeps_the_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, reason: str
) -> None:
    tool = program(tmp_path, text)
    monkeypatch.setattr(health, "Reader", LiveReader)
    monkeypatch.setattr(smartctl, "which", lambda _: tool)
    monkeypatch.setattr(smartctl, "_SECONDS", 0.2)
    found = health.probe(sata_tree(tmp_path / "root"))
    assert found.disks[0].state == "running"
    assert [reason in complaint.reason for complaint in found.errors] == [True]


def test_without_smartctl_nothing_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(health, "Reader", LiveReader)
    monkeypatch.setattr(smartctl, "which", lambda _: "")
    assert health.probe(sata_tree(tmp_path)).errors == []


@pytest.mark.parametrize("told", [None, [], {}, {"smart_status": {}}, {"smart_status": []}])
def test_an_answer_without_a_verdict_changes_nothing(told: object) -> None:
    disk = Health("sda")
    smartctl.fill(told, disk)
    assert disk == Health("sda")


def test_outputs_come_in_the_order_of_the_commands() -> None:
    commands = [["/bin/sh", "-c", f"echo {number}; exit {number % 2}"] for number in range(20)]
    assert running.outputs(commands, 60) == [f"{number}\n".encode() for number in range(20)]


def test_a_program_that_is_not_there_is_an_error_in_its_place() -> None:
    found = running.outputs([["/no/such/program"], ["/bin/echo", "x"]], 60)
    assert isinstance(found[0], FileNotFoundError)
    assert found[1] == b"x\n"
    started = time.monotonic()
    assert isinstance(running.outputs([["/no/such/program"]], 60)[0], FileNotFoundError)
    assert time.monotonic() - started < 30


def test_a_program_that_does_not_end_is_killed_at_the_limit() -> None:
    started = time.monotonic()
    (found,) = running.outputs([["/bin/sleep", "60"]], 0.1)
    assert isinstance(found, running.TooSlow)
    assert time.monotonic() - started < 30


def test_a_program_that_prints_without_end_is_cut_off() -> None:
    (found,) = running.outputs([["/bin/cat", "/dev/zero"]], 60)
    assert isinstance(found, bytes)
    assert running.OUTPUT_LIMIT <= len(found) <= running.OUTPUT_LIMIT + 65536


def test_programs_are_found_where_an_administrator_s_are() -> None:
    assert running.which("sh") in ("/usr/bin/sh", "/bin/sh")
    assert running.which("no-such-program") == ""
