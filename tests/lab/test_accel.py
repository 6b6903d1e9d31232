import asyncio
import os
import stat
from pathlib import Path

import pytest

from muster.lab import accel
from muster.lab.errors import CannotStart
from muster.lab.qemu import OVMF_CODE, Accel


def chosen(environ: dict[str, str], device: Path) -> Accel:
    return asyncio.run(accel.choose(environ, device))


def fake_qemu(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    binary = folder / "qemu"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    firmware = folder / "code.fd"
    firmware.touch()
    monkeypatch.setattr(accel, "BINARY", str(binary))
    monkeypatch.setattr(accel, "OVMF_CODE", firmware)


@pytest.mark.parametrize("name", ["kvm", "tcg"])
def test_a_wish_skips_the_probe(name: str, tmp_path: Path) -> None:
    assert chosen({accel.OVERRIDE: name}, tmp_path / "none").name == name


def test_cpus_run_side_by_side_on_any_qemu_when_asked_to(tmp_path: Path) -> None:
    made = chosen({accel.OVERRIDE: accel.PARALLEL}, tmp_path / "none")
    assert (made.name, made.parallel) == ("tcg", True)


def test_an_unknown_wish_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="say kvm, tcg or tcg-parallel"):
        chosen({accel.OVERRIDE: "hvf"}, tmp_path)


def test_without_a_device_guests_are_emulated(tmp_path: Path) -> None:
    assert chosen({}, tmp_path / "none").reason.split("; ")[0].endswith("guests are emulated")


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("echo 'BdsDxe: loading Boot0001'; exec sleep 60", "kvm"),
        ("echo 'KVM internal error. Suberror: 1'; exec sleep 60", "tcg"),
        ("echo 'could not access KVM kernel module' >&2; exit 1", "tcg"),
        ("exec sleep 60", "tcg"),
    ],
)
def test_kvm_is_believed_only_when_firmware_came_up(
    script: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_qemu(tmp_path, monkeypatch, script)
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 0.3)
    assert chosen({}, tmp_path).name == name


@pytest.mark.parametrize(
    ("script", "parallel", "told"),
    [
        ("echo 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)'", False, "QEMU 7 is older"),
        ("echo 'QEMU emulator version 8.2.2'", False, "QEMU 8 is older"),
        ("echo 'QEMU emulator version 10.0.2 (Debian 1:10.0.2)'", True, "guests are emulated"),
        ("echo hello", False, "QEMU 0 is older"),
    ],
)
def test_emulated_cpus_run_side_by_side_only_where_qemu_does_it_right(
    script: str, parallel: bool, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_qemu(tmp_path, monkeypatch, script)
    made = chosen({}, tmp_path / "none")
    assert (made.name, made.parallel) == ("tcg", parallel)
    assert told in made.reason


@pytest.mark.e2e
@pytest.mark.usefixtures("able_host")
def test_real_firmware_passes_the_probe_where_guests_run() -> None:
    if not OVMF_CODE.exists():
        pytest.skip("no ovmf package")
    load = os.getloadavg()[0]
    assert asyncio.run(accel.runs_guests("tcg", limit_s=30 + 5 * load))
