"""What a live machine is asked beyond files: drivers, BMC, TPM, NVMe, smartctl."""

import ctypes
import errno
import json
import os
import shutil
import socket
import stat
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import trees

from muster.collect import bmc, health, ipmi, nicdriver, nics, optics, running, tpm
from muster.collect.reading import Reader
from muster.wire.peripherals import Health, NicDriver, NvmePath, Optics
from muster.wire.slots import BmcLan


class LiveReader(Reader):
    """Takes a planted tree for the running machine, with `channel` behind its devices."""

    channel: ClassVar[int] = -1
    opened: ClassVar[list[str]] = []

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.live = True

    def device(self, path: str, flags: int) -> int | None:
        if self.channel < 0:
            return super().device(path, flags)
        self.opened.append(path)
        return os.dup(self.channel)

    def _place(self, path: str) -> str:
        return self._root + path


@pytest.fixture(autouse=True)
def _no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveReader, "channel", -1)
    monkeypatch.setattr(LiveReader, "opened", [])


# --- optics


def sfp(cable: bool = False, diagnostics: int = 0x40) -> bytearray:
    memory = bytearray(512)
    memory[0], memory[2], memory[8] = 3, 0x21 if cable else 7, 4 if cable else 0
    memory[18] = 3
    memory[20:36] = b"FINISAR CORP.   "
    memory[37:40] = b"\x00\x90\x65"
    memory[40:56] = b"FTLX8574D3BCL   "
    memory[56:60] = b"A   "
    memory[60:62] = (850).to_bytes(2, "big")
    memory[68:84] = b"UX12345         "
    memory[84:92] = b"230114  "
    memory[92] = diagnostics
    memory[256 + 96 : 256 + 98] = b"\x20\x80"
    return memory


def paged(kind: int, vendor: int) -> bytearray:
    memory = bytearray(256)
    memory[0] = kind
    memory[vendor : vendor + 16] = b"Vendor          "
    return memory


def test_an_sfp_says_maker_part_wavelength_and_temperature() -> None:
    assert optics.read_optics(bytes(sfp())) == Optics(
        type="SFP",
        connector="LC",
        vendor="FINISAR CORP.",
        vendor_oui="00:90:65",
        part="FTLX8574D3BCL",
        revision="A",
        serial="UX12345",
        date="230114",
        wavelength=850.0,
        temperature=32.5,
    )


def test_a_copper_cable_has_a_length_and_no_wavelength() -> None:
    found = optics.read_optics(bytes(sfp(cable=True, diagnostics=0)))
    assert found is not None
    assert (found.connector, found.length, found.wavelength) == ("copper pigtail", 3.0, 0.0)
    assert found.temperature is None


def test_a_qsfp28_and_a_qsfp_dd_are_read_by_their_own_maps() -> None:
    memory = paged(0x11, 148)
    memory[22:24] = b"\xff\x00"
    memory[130], memory[147] = 0x0C, 0x00
    memory[186:188] = (26200).to_bytes(2, "big")
    found = optics.read_optics(bytes(memory))
    assert found is not None
    assert (found.type, found.connector, found.vendor) == ("QSFP28", "MPO 1x12", "Vendor")
    assert (found.wavelength, found.temperature) == (1310.0, -1.0)
    memory = paged(0x18, 129)
    memory[202], memory[203] = 0x40 | 5, 0x23
    found = optics.read_optics(bytes(memory))
    assert found is not None
    assert (found.type, found.length, found.temperature) == ("QSFP-DD", 5.0, None)
    assert found.connector == "no separable connector"


@pytest.mark.parametrize("memory", [b"", b"\x03", b"\x99" * 256, b"\x11" * 128, b"\x18" * 10])
def test_a_memory_that_is_no_module_s_is_none(memory: bytes) -> None:
    assert optics.read_optics(memory) is None


Answer = Callable[[bytes], bytes]


@pytest.fixture
def nic(monkeypatch: pytest.MonkeyPatch, server: Path) -> Callable[[dict[int, Answer]], NicDriver]:
    """The first interface of a server whose drivers answer by command."""

    def probe(answers: dict[int, Answer]) -> NicDriver:
        def ioctl(_channel: object, _request: int, question: bytes) -> int:
            _, address = struct.unpack("16sP16x", question)
            asked = ctypes.string_at(address, 64)
            answer = answers.get(struct.unpack_from("=I", asked)[0])
            if answer is None:
                raise OSError(errno.EOPNOTSUPP, "refused")
            told = answer(asked)
            ctypes.memmove(address, told, len(told))
            return 0

        monkeypatch.setattr(nics, "Reader", LiveReader)
        monkeypatch.setattr(nicdriver.fcntl, "ioctl", ioctl)
        return nics.probe(server).interfaces[0]

    return probe


def information(_: bytes) -> bytes:
    return struct.pack("=I32s32s32s32s", 3, b"mlx5_core", b"5.0", b"16.35", b"0000:00:03.0")


def test_an_interface_names_driver_firmware_bus_and_module(
    nic: Callable[[dict[int, Answer]], NicDriver],
) -> None:
    def memory(asked: bytes) -> bytes:
        offset, length = struct.unpack_from("=8xII", asked)
        return asked[:16] + bytes(sfp()[offset : offset + length])

    found = nic({3: information, 0x42: lambda _: struct.pack("=III", 0x42, 2, 512), 0x43: memory})
    assert (found.interface, found.driver, found.version) == ("eth0", "mlx5_core", "5.0")
    assert (found.firmware_version, found.bus) == ("16.35", "0000:00:03.0")
    assert found.optics is not None
    assert (found.optics.serial, found.optics.temperature) == ("UX12345", 32.5)


def test_a_module_that_cannot_be_read_leaves_the_driver(
    nic: Callable[[dict[int, Answer]], NicDriver],
) -> None:
    found = nic({3: information, 0x42: lambda _: struct.pack("=III", 0x42, 2, 512)})
    assert (found.driver, found.optics) == ("mlx5_core", None)


def test_a_recorded_tree_has_no_interfaces_to_ask(server: Path) -> None:
    assert nics.probe(server) == nics.Nics()


# --- BMC


class FakeBmc:
    """A BMC behind <linux/ipmi.h>: a pipe that is readable when there is an answer."""

    answers: ClassVar[dict[tuple[int, ...], bytes]] = {}

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self.queue: list[tuple[int, bytes]] = []

    def ioctl(self, _channel: int, request: int, question: bytes | bytearray) -> int:
        if request == 0x8028690D:
            _, _, number, function, command, size, place = struct.unpack("@PIlBBHP", question)
            data = ctypes.string_at(place, size) if size else b""
            answer = self.answers.get((function, command, *data), b"\xc1")
            if answer != b"silence":
                self.queue += [(number - 1, b"\0late"), (number, answer)]
                os.write(self.write, b"..")
            return 0
        assert request == 0xC030690B
        assert isinstance(question, bytearray)
        os.read(self.read, 1)
        number, answer = self.queue.pop(0)
        _, _, _, _, _, _, size, place = struct.unpack("@iPIlBBHP", question)
        assert len(answer) <= size
        ctypes.memmove(place, answer, len(answer))
        struct.pack_into("@iPIlBBHP", question, 0, 1, 0, 0, number, 0, 0, len(answer), place)
        return 0


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeBmc]:
    fake = FakeBmc()
    monkeypatch.setattr(bmc, "Reader", LiveReader)
    monkeypatch.setattr(ipmi.fcntl, "ioctl", fake.ioctl)
    monkeypatch.setattr(LiveReader, "channel", fake.read)
    monkeypatch.setattr(ipmi, "ANSWER_SECONDS", 0.01)
    trees.plant(tmp_path, {"/dev/ipmi0": ""})
    yield fake
    os.close(fake.read)
    os.close(fake.write)


DEVICE_ID = bytes.fromhex("00" + "2001824502bfa20200000100000000")


def lan(number: int, *data: int) -> tuple[tuple[int, ...], bytes]:
    return (0x0C, 0x02, 1, number, 0, 0), bytes((0, 0x11, *data))


def test_the_bmc_tells_firmware_and_lan(board: FakeBmc, tmp_path: Path) -> None:
    board.answers = {
        (0x06, 0x01): DEVICE_ID,
        (0x06, 0x37): b"\0" + bytes(range(16)),
        (0x06, 0x42, 1): bytes((0, 1, 4, 1)),
        (0x06, 0x42, 2): bytes((0, 2, 5, 1)),
        **dict(
            [
                lan(3, 192, 0, 2, 9),
                lan(4, 2),
                lan(5, 0xB0, 0x7B, 0x25, 0, 0, 1),
                lan(6, 255, 255, 255, 0),
                lan(12, 0, 0, 0, 0),
                lan(20, 0x64, 0x80),
            ]
        ),
    }
    found = bmc.probe(tmp_path)
    assert found.errors == []
    assert (found.present, found.device, found.ipmi_version) == (True, "/dev/ipmi0", "2.0")
    assert (found.firmware_version, found.manufacturer_id, found.product_id) == ("2.45", 674, 256)
    assert found.guid == "0f0e0d0c-0b0a-0908-0706-050403020100"
    assert found.lan == [
        BmcLan(1, "192.0.2.9", "255.255.255.0", "", "b0:7b:25:00:00:01", "dhcp", 100)
    ]


def test_a_bmc_without_lan_or_guid_is_still_known(board: FakeBmc, tmp_path: Path) -> None:
    board.answers = {(0x06, 0x01): DEVICE_ID, (0x06, 0x42, 1): bytes((0, 1, 4, 1))}
    found = bmc.probe(tmp_path)
    assert (found.firmware_version, found.guid) == ("2.45", "")
    assert found.lan == [BmcLan(channel=1)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"silence", "IPMI command 0x06 0x01: no answer in 0.01 s"),
        (b"\xc0", "IPMI command 0x06 0x01: answered 0xc0"),
        (b"", "IPMI command 0x06 0x01: answered nothing"),
        (b"\0\1\2", "Get Device ID: answered 2 bytes, not 11"),
    ],
)
def test_a_bmc_that_does_not_answer_costs_itself_alone(
    board: FakeBmc, tmp_path: Path, answer: bytes, reason: str
) -> None:
    board.answers = {(0x06, 0x01): answer}
    found = bmc.probe(tmp_path)
    assert found.present
    assert [complaint.reason for complaint in found.errors] == [reason]


def test_a_bmc_that_goes_silent_is_not_asked_eleven_times(board: FakeBmc, tmp_path: Path) -> None:
    board.answers = {(0x06, 0x01): DEVICE_ID, (0x06, 0x37): b"silence"}
    found = bmc.probe(tmp_path)
    assert found.firmware_version == "2.45"
    assert len(found.errors) == 1


def test_a_device_that_cannot_be_opened_is_a_complaint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bmc, "Reader", LiveReader)
    monkeypatch.setattr(ipmi, "DEVICES", ("/dev/no-such-bmc",))
    found = bmc.probe(trees.plant(tmp_path, {"/dev/no-such-bmc": ""}))
    assert [complaint.reason for complaint in found.errors] == ["No such file or directory"]


# --- TPM


def command(channel: int, code: int, body: bytes, tag: int = 0x8002) -> bytes:
    return tpm._command(channel, code, body, tag)


def session() -> bytes:
    return struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)


def store(channel: int, index: int, data: bytes) -> None:
    """NV_DefineSpace and NV_Write, as a maker does with the certificate."""
    # Hash SHA-256; owner and key itself may read and write; no dictionary attack protection.
    public = struct.pack(">IHIHH", index, 0x000B, 0x02060006, 0, len(data))
    owner = struct.pack(">I", 0x40000001)
    space = struct.pack(">HH", 0, len(public)) + public
    command(channel, 0x12A, owner + session() + space)
    for start in range(0, len(data), 512):
        part = data[start : start + 512]
        handles = struct.pack(">II", index, index)
        body = struct.pack(">H", len(part)) + part + struct.pack(">H", start)
        command(channel, 0x137, handles + session() + body)


@pytest.fixture
def chip(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """A TPM 2.0: swtpm, which speaks the commands themselves over a socket."""
    swtpm = shutil.which("swtpm")
    assert swtpm, "no swtpm: run tools/system-packages"
    state = tmp_path_factory.mktemp("tpm")
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [
            *(swtpm, "socket", "--tpm2", "--tpmstate", f"dir={state}"),
            *("--fd", str(theirs.fileno()), "--flags", "not-need-init,startup-clear"),
        ],
        pass_fds=[theirs.fileno()],
        stderr=subprocess.PIPE,
    )
    theirs.close()
    monkeypatch.setattr(tpm, "Reader", LiveReader)
    monkeypatch.setattr(LiveReader, "channel", ours.fileno())
    yield ours.fileno()
    ours.close()
    process.kill()
    process.communicate(timeout=30)


def tpm_tree(root: Path) -> Path:
    home = "/sys/class/tpm/tpm0"
    files: trees.Files = {
        f"{home}/tpm_version_major": "2\n",
        f"{home}/pcr-sha1/0": "",
        f"{home}/pcr-sha256/0": "",
        f"{home}/device/description": "TPM 2.0 Device\n",
        "/sys/class/tpm/tpmrm0/dev": "1:1\n",
    }
    return trees.plant(root, files)


def test_a_tpm_tells_maker_firmware_and_certificate(chip: int, tmp_path: Path) -> None:
    certificate = b"\x30\x82" + (1000).to_bytes(2, "big") + bytes(range(250)) * 4
    store(chip, 0x01C0000A, certificate + b"\xff" * 100)
    found = tpm.probe(tpm_tree(tmp_path))
    assert found.errors == []
    assert (found.present, found.device, found.version) == (True, "tpm0", "2.0")
    assert (found.manufacturer, found.description) == ("IBM", "TPM 2.0 Device")
    assert found.firmware_version.count(".") == 1
    assert found.pcr_banks == ["sha1", "sha256"]
    assert bytes.fromhex(found.ek_certificate) == certificate
    assert found.ek_sha256 == tpm.sha256(certificate).hexdigest()


def test_a_tpm_without_a_certificate_has_none(chip: int, tmp_path: Path) -> None:
    assert chip
    found = tpm.probe(tpm_tree(tmp_path))
    assert (found.manufacturer, found.ek_sha256, found.errors) == ("IBM", "", [])


def test_a_certificate_that_is_not_der_is_kept_whole(chip: int, tmp_path: Path) -> None:
    store(chip, 0x01C00002, b"odd")
    assert bytes.fromhex(tpm.probe(tpm_tree(tmp_path)).ek_certificate) == b"odd"


def test_a_tpm_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(tpm, "Reader", LiveReader)
    monkeypatch.setattr(tpm, "_ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(LiveReader, "channel", ours.fileno())
    found = tpm.probe(tpm_tree(tmp_path))
    theirs.close()
    assert [complaint.reason for complaint in found.errors] == [
        "no answer to command 0x17a in 0.01 s"
    ]


def test_a_tpm_that_may_not_be_opened_still_has_a_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tpm, "Reader", LiveReader)
    found = tpm.probe(tpm_tree(tmp_path))
    assert found.version == "2.0"
    assert [complaint.path for complaint in found.errors] == ["/dev/tpmrm0"]


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({"/sys/class/tpm/tpm0/device/caps": "Manufacturer: 0x53544d20\n"}, "1.2"),
        ({"/sys/class/tpm/tpm0/tpm_version_major": "1\n"}, "1.2"),
        ({"/sys/class/tpm/tpm0/dev": "1:1\n"}, ""),
    ],
)
def test_old_kernels_say_the_version_otherwise(
    tmp_path: Path, files: trees.Files, version: str
) -> None:
    assert tpm.probe(trees.plant(tmp_path, files)).version == version


# --- disks


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


def program(folder: Path, text: str) -> str:
    place = folder / "smartctl"
    place.write_text(f"#!/bin/sh\n{text}\n")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    return str(place)


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
    monkeypatch.setattr(health, "which", lambda _: tool)
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
    monkeypatch.setattr(health, "which", lambda _: tool)
    monkeypatch.setattr(health, "_SMARTCTL_SECONDS", 0.2)
    found = health.probe(sata_tree(tmp_path / "root"))
    assert found.disks[0].state == "running"
    assert [reason in complaint.reason for complaint in found.errors] == [True]


def test_without_smartctl_nothing_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(health, "Reader", LiveReader)
    monkeypatch.setattr(health, "which", lambda _: "")
    assert health.probe(sata_tree(tmp_path)).errors == []


@pytest.mark.parametrize("told", [None, [], {}, {"smart_status": {}}, {"smart_status": []}])
def test_an_answer_without_a_verdict_changes_nothing(told: object) -> None:
    disk = Health("sda")
    health.read_smartctl(told, disk)
    assert disk == Health("sda")


# --- programs


def test_outputs_come_in_the_order_of_the_commands() -> None:
    commands = [["/bin/sh", "-c", f"echo {number}; exit {number % 2}"] for number in range(20)]
    assert running.outputs(commands, 60) == [f"{number}\n".encode() for number in range(20)]


def test_a_program_that_is_not_there_is_an_error_in_its_place() -> None:
    found = running.outputs([["/no/such/program"], ["/bin/echo", "x"]], 60)
    assert isinstance(found[0], FileNotFoundError)
    assert found[1] == b"x\n"


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
