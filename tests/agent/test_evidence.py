from pathlib import Path

import pytest

from muster.agent import evidence
from muster.wire.codec import encode


def plant(root: Path, **files: bytes | str) -> Path:
    """Files below `root`; "__" in a name stands for "/"."""
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def plant_nic(root: Path, name: str, mac: str, *, driver: str = "e1000e") -> None:
    device = root / f"sys/devices/pci0000:00/{name}-device"
    nic = root / "sys/class/net" / name
    (root / f"sys/bus/pci/drivers/{driver}").mkdir(parents=True, exist_ok=True)
    device.mkdir(parents=True)
    nic.mkdir(parents=True)
    (device / "driver").symlink_to(root / f"sys/bus/pci/drivers/{driver}")
    (device / "subsystem").symlink_to(root / "sys/bus/pci")
    (nic / "device").symlink_to(device)
    (nic / "address").write_text(f"{mac}\n")


def test_smbios_strings_are_read_without_their_line_ends(tmp_path: Path) -> None:
    dmi = "sys__class__dmi__id__"
    strings = {"product_uuid": "5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0a01\n", "sys_vendor": "ACME \n"}
    plant(tmp_path, **{dmi + name: text for name, text in strings.items()})
    found = evidence.evidence(tmp_path)
    assert found.uuid == "5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0a01"
    assert found.vendor == "ACME"
    assert (found.serial, found.board_serial, found.nics) == ("", "", [])


def test_a_machine_without_smbios_has_evidence_all_the_same(tmp_path: Path) -> None:
    plant_nic(tmp_path, "eth0", "52:54:00:12:34:56")
    found = evidence.evidence(tmp_path)
    assert found.uuid == ""
    assert [nic.mac for nic in found.nics] == ["52:54:00:12:34:56"]


def test_a_mac_that_a_driver_made_up_identifies_nobody(tmp_path: Path) -> None:
    """It is another one at the next boot."""
    for name, kind in (("eth0", "0"), ("eth1", "1")):
        plant_nic(tmp_path, name, "52:54:00:12:34:56")
        (tmp_path / "sys/class/net" / name / "addr_assign_type").write_text(f"{kind}\n")
    assert [nic.name for nic in evidence.nics(tmp_path)] == ["eth0"]


@pytest.mark.parametrize(
    "raw",
    [b"\xff\xfeACME\x00\x1b[31m", b"A" * 10000, "A\u202eB".encode(), b"\xed\xa0\x80", b""],
    ids=["binary", "long", "direction", "surrogate", "empty"],
)
def test_hostile_strings_still_make_a_message(tmp_path: Path, raw: bytes) -> None:
    plant(tmp_path, sys__class__dmi__id__product_serial=raw)
    found = evidence.evidence(tmp_path)
    assert found.serial.isprintable()
    assert len(found.serial) <= 255
    assert encode(found).decode().isascii()


def test_nics_are_those_with_hardware_with_driver_and_bus(tmp_path: Path) -> None:
    plant_nic(tmp_path, "eth1", "52:54:00:00:00:02")
    plant_nic(tmp_path, "eth0", "52:54:00:00:00:01", driver="virtio_net")
    plant(tmp_path, sys__class__net__br0__address="52:54:00:00:00:03\n")
    found = evidence.nics(tmp_path)
    assert [(nic.name, nic.mac, nic.driver, nic.bus) for nic in found] == [
        ("eth0", "52:54:00:00:00:01", "virtio_net", "pci"),
        ("eth1", "52:54:00:00:00:02", "e1000e", "pci"),
    ]


def test_a_nic_with_a_name_that_is_no_text_still_makes_a_message(tmp_path: Path) -> None:
    plant_nic(tmp_path, "eth\udcff0", "52:54:00:00:00:01")
    (nic,) = evidence.nics(tmp_path)
    assert nic.name == "eth0"


@pytest.mark.parametrize(
    ("cmdline", "mac"),
    [
        ("root=x BOOTIF=01-52-54-00-AB-cd-01 quiet", "52:54:00:ab:cd:01"),
        ("BOOTIF=01-52-54-00-ab-cd-01", "52:54:00:ab:cd:01"),
        ("BOOTIF=${netX/mac:hexhyp}", ""),
        ("XBOOTIF=01-52-54-00-ab-cd-01", ""),
        ("", ""),
    ],
)
def test_the_boot_nic_is_what_the_loader_named(tmp_path: Path, cmdline: str, mac: str) -> None:
    plant(tmp_path, proc__cmdline=cmdline)
    assert evidence.boot_mac(tmp_path) == mac


def test_the_firmware_is_told_by_efi_s_folder(tmp_path: Path) -> None:
    assert evidence.firmware(tmp_path) == "bios"
    (tmp_path / "sys/firmware/efi").mkdir(parents=True)
    assert evidence.firmware(tmp_path) == "uefi"


def test_a_nic_without_a_permanent_address_says_so() -> None:
    assert evidence.permanent_mac("lo") == ""
    assert evidence.permanent_mac("no-such-nic") == ""
