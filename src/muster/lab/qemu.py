# SPDX-License-Identifier: Apache-2.0
"""The QEMU command line and files of one machine.

QEMU runs with the machine's folder as its working directory, so every path is a short
relative name: no comma to escape, and no unix socket path over the 107 bytes that the
kernel takes. Flags were measured on an emulated CPU (no KVM), see each.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from muster.lab import board
from muster.lab.errors import CannotStart
from muster.lab.machines import Arch, Boot, Firmware, Machine, Nic, NicModel

BINARY = "qemu-system-x86_64"
ARM_BINARY = "qemu-system-aarch64"
OVMF = Path("/usr/share/OVMF")
OVMF_CODE = OVMF / "OVMF_CODE_4M.fd"
OVMF_VARS = OVMF / "OVMF_VARS_4M.fd"
# The same firmware that keeps its variables behind System Management Mode, and variables with
# Microsoft's keys enrolled and Secure Boot on (package ovmf).
SECURE_CODE = OVMF / "OVMF_CODE_4M.secboot.fd"
SECURE_VARS = OVMF / "OVMF_VARS_4M.ms.fd"
AAVMF = Path("/usr/share/AAVMF")
SERIAL_LOG = "serial.log"
QEMU_LOG = "qemu.log"


@dataclass(frozen=True)
class Accel:
    """How guests run: `name` is kvm or tcg, `reason` says why in a sentence.

    `parallel`: emulated CPUs run side by side, each in its thread; otherwise they take turns.
    """

    name: str
    reason: str
    parallel: bool = True


def disk_file(index: int) -> str:
    return f"disk{index}.img"


def prepare_folder(machine: Machine, folder: Path) -> None:
    """Give the machine its empty disks and its own firmware variables, once."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, disk in enumerate(machine.disks):
        with (folder / disk_file(index)).open("ab") as file:
            os.truncate(file.fileno(), disk.size_mib * 1024 * 1024)
    board.write_dimms(machine, folder)
    if machine.firmware is not Firmware.BIOS:
        if machine.arch is Arch.ARM64:
            _need_arm()
        shutil.copyfile(_flash(machine)[1], folder / "vars.fd")


def _need_arm() -> None:
    if shutil.which(ARM_BINARY) is None or not AAVMF.exists():
        raise CannotStart(
            "arm64 machines need QEMU and firmware for them:"
            " apt-get install qemu-system-arm qemu-efi-aarch64"
        )


def _flash(machine: Machine) -> tuple[Path, Path]:
    """UEFI's code and its variables as they come from the factory."""
    if machine.arch is Arch.ARM64:
        return AAVMF / "AAVMF_CODE.fd", AAVMF / "AAVMF_VARS.fd"
    if machine.firmware.secure:
        return SECURE_CODE, SECURE_VARS
    return OVMF_CODE, OVMF_VARS


def argv(
    machine: Machine,
    *,
    lab: str,
    taps: list[str],
    accel: Accel,
    qmp_fd: int,
    tpm_fd: int | None = None,
    kcs_port: int | None = None,
    first: Boot | None = None,
) -> list[str]:
    """The whole command. `taps` pairs with machine.nics; `*_fd` are ends of socket pairs.

    `first` is what this start boots from before anything else.
    """
    binary = ARM_BINARY if machine.arch is Arch.ARM64 else BINARY
    command = [binary, "-name", f"{lab}/{machine.name}", "-no-user-config", "-nodefaults"]
    command += _board(machine, accel)
    command += _smbios(machine)
    command += board.dimms(machine)
    command += _console(qmp_fd)
    command += board.management(machine, tpm_fd, kcs_port)
    command += board.controllers(machine)
    order = board.boot_order(machine, first)
    for index, (nic, tap) in enumerate(zip(machine.nics, taps, strict=True)):
        command += _nic(
            nic, tap, index=index, place=order[f"nic{index}"], firmware=machine.firmware
        )
    for index in range(len(machine.disks)):
        command += _disk(machine, index, place=order[f"disk{index}"])
    return command + board.medium(machine)


def _board(machine: Machine, accel: Accel) -> list[str]:
    if machine.arch is Arch.ARM64:
        return _arm_board(machine, accel)
    # Without KVM, Nehalem reached a kernel panic in 4.7-5.8 CPU-seconds and "max" in 6.2-6.7.
    kvm = accel.name == "kvm"
    smm = ",smm=on" if machine.firmware.secure else ""
    command = ["-machine", f"q35,graphics=off{smm}", "-display", "none", "-vga", "none"]
    emulated = f"tcg,thread={'multi' if accel.parallel else 'single'}"
    command += ["-accel", "kvm" if kvm else emulated]
    command += ["-cpu", "host" if kvm else "Nehalem"]
    command += board.processors(machine)
    # strict: firmware falls from the NICs to the disks and to nothing else.
    command += ["-boot", "strict=on", "-device", "virtio-rng-pci"]
    return command if machine.firmware is Firmware.BIOS else command + _uefi(machine)


def _arm_board(machine: Machine, accel: Accel) -> list[str]:
    # "max" has pointer authentication, which takes most of an emulated CPU's time.
    return [
        *("-machine", "virt,gic-version=3,graphics=off", "-display", "none", "-vga", "none"),
        *("-accel", f"tcg,thread={'multi' if accel.parallel else 'single'}"),
        *("-cpu", "cortex-a57", *board.processors(machine)),
        *("-boot", "strict=on", "-device", "virtio-rng-pci", *_uefi(machine)),
    ]


def _uefi(machine: Machine) -> list[str]:
    firmware, (code, _) = machine.firmware, _flash(machine)
    command = ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}"]
    command += ["-drive", "if=pflash,format=raw,unit=1,file=vars.fd"]
    if firmware.secure:
        # Only SMM may write the variables, or a guest could switch Secure Boot off.
        command += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    # OVMF tries PXE over IPv6 as well and waits for it to time out: the lab boots by IPv4. A
    # machine that boots by HTTP has PXE switched off, as in its setup menu.
    off = ["IPv6Support", "IPv6PXESupport", *(["IPv4PXESupport"] if firmware.by_http else [])]
    for switch in off:
        command += ["-fw_cfg", f"name=opt/org.tianocore/{switch},string=n"]
    return command


def _smbios(machine: Machine) -> list[str]:
    fields = {
        "manufacturer": machine.vendor,
        "product": machine.product,
        "serial": machine.serial,
        "uuid": machine.uuid,
    }
    given = (f"{key}={_escaped(value)}" for key, value in fields.items() if value is not None)
    return ["-smbios", ",".join(["type=1", *given])]


def _escaped(value: str) -> str:
    # QEMU splits options at commas; a doubled comma is a comma.
    return value.replace(",", ",,")


def _console(qmp_fd: int) -> list[str]:
    """The whole console to one file, QMP to the supervisor, a human monitor on a socket."""
    return [
        *("-chardev", f"file,id=serial,path={SERIAL_LOG},append=on", "-serial", "chardev:serial"),
        *("-chardev", f"socket,id=qmp,fd={qmp_fd}", "-mon", "chardev=qmp,mode=control"),
        *("-monitor", "unix:monitor.sock,server=on,wait=off"),
    ]


def _nic(nic: Nic, tap: str, *, index: int, place: int, firmware: Firmware) -> list[str]:
    device = f"{nic.model},id=nic{index},netdev=net{index},mac={nic.mac},bootindex={place}"
    if firmware is not Firmware.BIOS and nic.model is NicModel.VIRTIO:
        # An empty romfile lets OVMF's own driver do PXE, as the firmware of a real board would.
        # OVMF has a driver for virtio alone: the other models boot by the iPXE in their ROM.
        device += ",romfile="
    netdev = f"tap,id=net{index},ifname={tap},script=no,downscript=no"
    return ["-netdev", netdev, "-device", device]


def _disk(machine: Machine, index: int, *, place: int) -> list[str]:
    # cache=unsafe: a lab disk is thrown away with the lab, so a guest's flush need not wait.
    drive = f"if=none,id=drive{index},file={disk_file(index)},format=raw,cache=unsafe"
    kind = board.disk_device(machine.disks, index)
    serial = machine.disks[index].serial
    device = f"{kind},drive=drive{index},id=disk{index},serial={serial},bootindex={place}"
    return ["-drive", drive, "-device", device]
