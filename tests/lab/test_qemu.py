import itertools
from pathlib import Path

import pytest

from muster.collect import dimms
from muster.lab import board, qemu
from muster.lab.machines import (
    Arch,
    Bmc,
    Boot,
    DiskKind,
    DiskOrder,
    Firmware,
    MediumBus,
    NicModel,
    NicOrder,
    Order,
    build,
)
from muster.lab.qemu import SECURE_VARS, Accel, prepare_folder

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
    assert nic.endswith("bootindex=101")
    assert disk.endswith("bootindex=102")
    assert "romfile" not in nic
    assert not any("pflash" in drive for drive in values(argv, "-drive"))


def test_a_medium_is_tried_before_nics_and_disks() -> None:
    order = Order(name="m1", medium="/tmp/a,b.iso")
    assert "if=none,id=medium,format=raw,readonly=on,file=/tmp/a,,b.iso,media=cdrom" in values(
        rendered(order), "-drive"
    )
    devices = values(rendered(order), "-device")
    assert "ide-cd,bus=ide.5,drive=medium,id=medium0,bootindex=0" in devices
    stick = Order(name="m1", medium="/tmp/a.iso", medium_bus=MediumBus.USB)
    devices = values(rendered(stick), "-device")
    assert devices[-2:] == [
        "qemu-xhci,id=stick",
        "usb-storage,bus=stick.0,removable=on,drive=medium,id=medium0,bootindex=0",
    ]
    assert not any("medium" in word for word in rendered(Order(name="m1")))


def test_a_uefi_machine_uses_its_own_nic_driver_and_no_ipv6() -> None:
    argv = rendered(Order(name="m1", firmware=Firmware.UEFI))
    assert any(device.endswith("bootindex=101,romfile=") for device in values(argv, "-device"))
    assert values(argv, "-fw_cfg") == [
        "name=opt/org.tianocore/IPv6Support,string=n",
        "name=opt/org.tianocore/IPv6PXESupport,string=n",
    ]
    assert any(drive.endswith("unit=1,file=vars.fd") for drive in values(argv, "-drive"))


def test_an_arm64_machine_is_a_board_of_its_own_with_the_same_disks_and_nics() -> None:
    order = Order(name="m1", arch=Arch.ARM64, firmware=Firmware.UEFI_HTTP)
    argv = rendered(order, Accel("kvm", "of this host's own architecture"))
    assert argv[0] == "qemu-system-aarch64"
    assert values(argv, "-machine") == ["virt,gic-version=3,graphics=off"]
    assert values(argv, "-accel") == ["tcg,thread=multi"]
    assert any("AAVMF_CODE.fd" in word for word in values(argv, "-drive"))
    plain = rendered(Order(name="m1", firmware=Firmware.UEFI_HTTP))
    for option in ("-device", "-netdev", "-smbios", "-fw_cfg"):
        assert values(argv, option) == values(plain, option)


def test_secure_boot_has_its_keys_and_guards_them(tmp_path: Path) -> None:
    argv = rendered(Order(name="m1", firmware=Firmware.SECURE_BOOT))
    assert "q35,graphics=off,smm=on" in argv
    assert "driver=cfi.pflash01,property=secure,value=on" in argv
    assert any("OVMF_CODE_4M.secboot.fd" in word for word in argv)
    machine = build("lab", Order(name="m1", firmware=Firmware.SECURE_BOOT))
    prepare_folder(machine, tmp_path)
    assert (tmp_path / "vars.fd").read_bytes() == SECURE_VARS.read_bytes()


@pytest.mark.parametrize("firmware", list(Firmware))
def test_a_machine_that_boots_by_http_never_tries_pxe(firmware: Firmware) -> None:
    argv = rendered(Order(name="m1", firmware=firmware))
    off = "name=opt/org.tianocore/IPv4PXESupport,string=n" in argv
    assert off == (firmware.by_http or firmware.by_ipv6)
    assert firmware.kind == ("bios" if firmware is Firmware.BIOS else "uefi")
    assert ("http" in firmware) == firmware.by_http
    assert ("secure" in firmware) == firmware.secure


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


@pytest.mark.parametrize(("parallel", "thread"), [(True, "multi"), (False, "single")])
def test_emulated_cpus_run_side_by_side_or_take_turns(parallel: bool, thread: str) -> None:
    argv = rendered(Order(name="m1"), Accel("tcg", "test", parallel))
    assert values(argv, "-accel") == [f"tcg,thread={thread}"]


def test_every_nic_and_disk_kind_has_its_device_in_order() -> None:
    order = Order(
        name="m1",
        nics=(NicOrder(), NicOrder(model=NicModel.E1000E)),
        disks=tuple(DiskOrder(kind=kind, serial=f"S{kind}") for kind in DiskKind),
    )
    devices = values(rendered(order), "-device")
    assert [device.split(",")[0] for device in devices] == [
        *("virtio-rng-pci", "virtio-scsi-pci", "qemu-xhci", "virtio-net-pci", "e1000e"),
        *("virtio-blk-pci", "nvme", "ide-hd", "scsi-hd", "usb-storage"),
    ]
    order_of_boot = [device.split("bootindex=")[1] for device in devices[3:]]
    assert order_of_boot == [str(100 + place) for place in range(1, 8)]


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


def test_each_numa_node_has_its_own_socket_and_memory() -> None:
    argv = rendered(Order(name="m1", cpus=4, memory_mib=3072, numa_nodes=2))
    assert values(argv, "-smp") == ["4,sockets=2"]
    assert values(argv, "-object") == [
        "memory-backend-ram,id=ram0,size=1536M",
        "memory-backend-ram,id=ram1,size=1536M",
    ]
    assert values(argv, "-numa") == [
        "node,nodeid=0,memdev=ram0,cpus=0-1",
        "node,nodeid=1,memdev=ram1,cpus=2-3",
    ]


def test_disks_are_numbered_on_their_own_bus() -> None:
    kinds = [DiskKind.SCSI, DiskKind.SATA, DiskKind.USB, DiskKind.SCSI, DiskKind.SATA]
    argv = rendered(Order(name="m1", disks=tuple(DiskOrder(kind=kind) for kind in kinds)))
    devices = [device.split(",drive")[0] for device in values(argv, "-device")]
    assert devices[-5:] == [
        "scsi-hd,bus=hba.0,scsi-id=0",
        "ide-hd,bus=ide.0",
        "usb-storage,bus=usb.0",
        "scsi-hd,bus=hba.0,scsi-id=1",
        "ide-hd,bus=ide.1",
    ]
    assert [devices.count(word) for word in ("virtio-scsi-pci,id=hba", "qemu-xhci,id=usb")] == [
        1,
        1,
    ]


def test_a_bmc_and_a_tpm_are_wired_only_when_ordered() -> None:
    machine = build("lab", Order(name="m1", bmc=Bmc.KCS, tpm=True))
    argv = qemu.argv(machine, lab="lab", taps=["tap0"], accel=TCG, qmp_fd=9, tpm_fd=8)
    assert "isa-ipmi-kcs,bmc=bmc" in values(argv, "-device")
    assert values(argv, "-tpmdev") == ["emulator,id=tpm0,chardev=tpm"]
    assert "socket,id=tpm,fd=8" in values(argv, "-chardev")
    plain = " ".join(rendered(Order(name="m1")))
    assert "ipmi" not in plain
    assert "tpm" not in plain


@pytest.mark.parametrize(("memory_mib", "size"), [(4096, 1024 << 20), (256 * 1024, 64 << 30)])
def test_memory_modules_are_what_a_collector_reads(
    tmp_path: Path, memory_mib: int, size: int
) -> None:
    machine = build("lab", Order(name="m1", serial="S", memory_mib=memory_mib, dimms=4))
    qemu.prepare_folder(machine, tmp_path / "m1")
    table = b"".join((tmp_path / f"m1/dimm{n}.bin").read_bytes() for n in range(4))
    root = tmp_path / "root/sys/firmware/dmi/tables"
    root.mkdir(parents=True)
    (root / "DMI").write_bytes(table)
    found = dimms.probe(tmp_path / "root")
    assert found.errors == []
    assert [slot.size for slot in found.slots] == [size] * 4
    assert [slot.slot for slot in found.slots] == [f"DIMM_{n}" for n in range(4)]
    first = found.slots[0]
    assert (first.manufacturer, first.serial, first.part) == ("Muster", "S-M0", "LAB-DDR4")
    assert (first.type, first.rank, first.ecc, first.voltage) == ("DDR4", 2, True, 1200)
    argv = qemu.argv(machine, lab="lab", taps=["tap0"], accel=TCG, qmp_fd=9)
    assert [word for word in values(argv, "-smbios") if word.startswith("file=")] == [
        f"file=dimm{n}.bin" for n in range(4)
    ]


def test_a_start_from_elsewhere_never_gives_two_devices_one_place() -> None:
    for boot in (Boot.PXE, Boot.DISK):
        order = Order(name="m1", boot=boot, nics=(NicOrder(),) * 2, disks=(DiskOrder(),) * 2)
        machine = build("lab", order)
        usual = board.boot_order(machine)
        assert sorted(usual, key=usual.__getitem__)[0] == ("nic0" if boot is Boot.PXE else "disk0")
        for first in (Boot.PXE, Boot.DISK):
            once = board.boot_order(machine, first)
            names = sorted(once, key=once.__getitem__)
            assert names[:2] == (["nic0", "nic1"] if first is Boot.PXE else ["disk0", "disk1"])
            moved = {name: place for name, place in once.items() if place != usual[name]}
            assert not set(moved.values()) & set(usual.values())
