"""The TPM: a real emulator (swtpm) behind the commands."""

import hashlib
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trees
from living import LiveReader

from muster.collect import tpm


@pytest.fixture(autouse=True)
def _no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveReader, "channel", -1)
    monkeypatch.setattr(LiveReader, "opened", [])


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
    assert found.ek_sha256 == hashlib.sha256(certificate).hexdigest()


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
