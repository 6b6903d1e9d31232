import itertools
from pathlib import Path

import pytest

from muster.lab import qemu
from muster.lab.machines import DiskKind, DiskOrder, Firmware, NicModel, NicOrder, Order, build
from muster.lab.qemu import Accel

TCG = Accel("tcg", "test")


def rendered(order: Order, accel: Accel = TCG) -> list[str]:
    taps = [f"tap{index}" for index in range(len(order.nics))]
    return qemu.argv(build("lab", order), lab="lab", taps=taps, accel=accel, qmp_fd=9)


def values(argv: list[str], option: str) -> list[str]:
    return [value for key, value in itertools.pairwise(argv) if key == option]


def test_a_bios_machine_boots_from_its_nic_rom_and_then_from_disk() -> None:
    argv = rendered(Order(name="m1"))
    devices = values(argv, "-device")
    nic = next(device for device in devices if device.startswith("virtio-net-pci"))
    disk = next(device for device in devices if device.startswith("virtio-blk-pci"))
    assert nic.endswith("bootindex=1")
    assert disk.endswith("bootindex=2")
    assert "romfile" not in nic
    assert not any("pflash" in drive for drive in values(argv, "-drive"))


def test_a_uefi_machine_uses_its_own_nic_driver_and_no_ipv6() -> None:
    argv = rendered(Order(name="m1", firmware=Firmware.UEFI))
    assert any(device.endswith("bootindex=1,romfile=") for device in values(argv, "-device"))
    assert values(argv, "-fw_cfg") == [
        "name=opt/org.tianocore/IPv6Support,string=n",
        "name=opt/org.tianocore/IPv6PXESupport,string=n",
    ]
    assert any(drive.endswith("unit=1,file=vars.fd") for drive in values(argv, "-drive"))


def test_a_reboot_stays_a_reboot() -> None:
    assert "-no-reboot" not in rendered(Order(name="m1"))


def test_a_machine_without_uuid_has_none_on_the_command_line() -> None:
    (smbios,) = values(rendered(Order(name="m1", uuid=None)), "-smbios")
    assert "uuid=" not in smbios


def test_a_comma_in_a_vendor_name_stays_a_comma() -> None:
    (smbios,) = values(rendered(Order(name="m1", vendor="Dell, Inc.", serial="A=1")), "-smbios")
    assert "manufacturer=Dell,, Inc.," in smbios
    assert "serial=A=1," in smbios


def test_the_console_is_appended_to_one_file() -> None:
    argv = rendered(Order(name="m1"))
    assert "file,id=serial,path=serial.log,append=on" in values(argv, "-chardev")


@pytest.mark.parametrize(("accel", "cpu"), [("tcg", "Nehalem"), ("kvm", "host")])
def test_the_accelerator_decides_the_cpu(accel: str, cpu: str) -> None:
    argv = rendered(Order(name="m1"), Accel(accel, "test"))
    assert values(argv, "-cpu") == [cpu]
    assert values(argv, "-accel")[0].startswith(accel)


def test_every_nic_and_disk_kind_has_its_device_in_order() -> None:
    order = Order(
        name="m1",
        nics=(NicOrder(), NicOrder(model=NicModel.E1000E)),
        disks=tuple(DiskOrder(kind=kind, serial=f"S{kind}") for kind in DiskKind),
    )
    devices = values(rendered(order), "-device")
    assert [device.split(",")[0] for device in devices] == [
        *("virtio-rng-pci", "virtio-net-pci", "e1000e"),
        *("virtio-blk-pci", "nvme", "ide-hd"),
    ]
    assert [device.split("bootindex=")[1] for device in devices[1:]] == ["1", "2", "3", "4", "5"]
    assert "bus=ide.2" in devices[-1]


def test_a_machine_folder_gets_sparse_disks_and_keeps_what_is_on_them(tmp_path: Path) -> None:
    machine = build("lab", Order(name="m1", disks=(DiskOrder(size_mib=64),)))
    qemu.prepare_folder(machine, tmp_path)
    image = tmp_path / "disk0.img"
    with image.open("r+b") as disk:
        disk.write(b"kept")
    qemu.prepare_folder(machine, tmp_path)
    assert image.stat().st_size == 64 * 1024 * 1024
    assert image.stat().st_blocks * 512 < 1024 * 1024
    assert image.read_bytes()[:4] == b"kept"
