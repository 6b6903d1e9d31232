# SPDX-License-Identifier: Apache-2.0
"""What a richer board adds to QEMU's command: NUMA nodes, memory modules, TPM, BMC, disk buses."""

import struct
from pathlib import Path

from muster.lab.machines import Bmc, Boot, Disk, DiskKind, Machine, MediumBus

TPM_STATE = "tpm"
_LAST_OVERRIDE = 100
_FIRST_OF_ALL = 0


def dimm_file(index: int) -> str:
    return f"dimm{index}.bin"


def dimm(machine: Machine, index: int) -> bytes:
    """One memory module as SMBIOS type 17 (DSP0134 7.18), as long as version 2.8 has it."""
    size_mib = machine.memory_mib // machine.dimms
    body = struct.pack(
        "<BBHHHHHHBBBBBHHBBBBBIHHHH",
        *(17, 0x28, 0x1140 + index, 0x1000, 0xFFFE, 72, 64),
        *(min(size_mib, 0x7FFF), 9, 0, 1, 2, 0x1A, 1 << 7 | 1 << 13, 3200, 3, 4, 0, 5),
        *(2, size_mib if size_mib >= 0x7FFF else 0, 3200, 1200, 1200, 1200),
    )
    node = index * machine.numa_nodes // machine.dimms
    texts = (f"DIMM_{index}", f"NODE {node}", "Muster", f"{machine.serial}-M{index}", "LAB-DDR4")
    return body + b"".join(text.encode() + b"\0" for text in texts) + b"\0"


def write_dimms(machine: Machine, folder: Path) -> None:
    """QEMU reads one structure from one file, and leaves its own of that type out."""
    for index in range(machine.dimms):
        (folder / dimm_file(index)).write_bytes(dimm(machine, index))


def dimms(machine: Machine) -> list[str]:
    files = (["-smbios", f"file={dimm_file(index)}"] for index in range(machine.dimms))
    return [word for pair in files for word in pair]


def processors(machine: Machine) -> list[str]:
    """One socket a NUMA node, each with its share of the memory."""
    nodes = machine.numa_nodes
    if nodes == 1:
        return ["-smp", str(machine.cpus), "-m", str(machine.memory_mib)]
    cpus, memory = machine.cpus // nodes, machine.memory_mib // nodes
    command = ["-smp", f"{machine.cpus},sockets={nodes}", "-m", str(machine.memory_mib)]
    for node in range(nodes):
        command += ["-object", f"memory-backend-ram,id=ram{node},size={memory}M"]
        share = f"cpus={node * cpus}-{node * cpus + cpus - 1}"
        command += ["-numa", f"node,nodeid={node},memdev=ram{node},{share}"]
    return command


def management(machine: Machine, tpm_fd: int | None, kcs_port: int | None) -> list[str]:
    """A TPM behind `tpm_fd` (the control socket of swtpm); a BMC on loopback, or QEMU's own."""
    command: list[str] = []
    if tpm_fd is not None:
        command += ["-chardev", f"socket,id=tpm,fd={tpm_fd}"]
        command += ["-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0"]
    if kcs_port is not None:
        # QEMU goes on while the BMC restarts, as a board does.
        place = f"host=127.0.0.1,port={kcs_port},reconnect=1"
        command += ["-chardev", f"socket,id=kcs,{place}"]
        command += ["-device", "ipmi-bmc-extern,id=bmc,chardev=kcs"]
    elif machine.bmc is Bmc.KCS:
        command += ["-device", "ipmi-bmc-sim,id=bmc"]
    if kcs_port is not None or machine.bmc is Bmc.KCS:
        command += ["-device", "isa-ipmi-kcs,bmc=bmc"]
    return command


def swtpm(folder: Path, control_fd: int) -> list[str]:
    """The TPM's own process: it keeps its state in `folder` and ends when QEMU does."""
    state = folder / TPM_STATE
    state.mkdir(exist_ok=True)
    return [
        *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state.absolute()}"),
        *("--ctrl", f"type=unixio,clientfd={control_fd}", "--terminate"),
    ]


# Not "scsi": usb-storage calls the bus behind itself scsi.0, and has one place on it.
_CONTROLLERS = {
    DiskKind.SCSI: ["-device", "virtio-scsi-pci,id=hba"],
    DiskKind.USB: ["-device", "qemu-xhci,id=usb"],
}
_DEVICES = {
    DiskKind.VIRTIO: "virtio-blk-pci",
    DiskKind.NVME: "nvme",
    DiskKind.SATA: "ide-hd,bus=ide.{place}",
    DiskKind.SCSI: "scsi-hd,bus=hba.0,scsi-id={place}",
    DiskKind.USB: "usb-storage,bus=usb.0",
}


def controllers(machine: Machine) -> list[str]:
    """Those that the board lacks and a disk of the machine needs."""
    kinds = {disk.kind for disk in machine.disks}
    return [word for kind, words in _CONTROLLERS.items() if kind in kinds for word in words]


def medium(machine: Machine) -> list[str]:
    """The ISO, tried before NICs and disks; the last port of the board's AHCI is the CD's."""
    if not machine.medium:
        return []
    file = machine.medium.replace(",", ",,")
    drive = f"if=none,id=medium,format=raw,readonly=on,file={file}"
    place = f"drive=medium,id=medium0,bootindex={_FIRST_OF_ALL}"
    if machine.medium_bus is MediumBus.CD:
        return ["-drive", f"{drive},media=cdrom", "-device", f"ide-cd,bus=ide.5,{place}"]
    usb = ["-device", "qemu-xhci,id=stick"]
    return [*usb, "-drive", drive, "-device", f"usb-storage,bus=stick.0,removable=on,{place}"]


def disk_device(disks: tuple[Disk, ...], index: int) -> str:
    """The QEMU device of a disk, at its place among those of its kind."""
    kind = disks[index].kind
    place = sum(disk.kind is kind for disk in disks[:index])
    return _DEVICES[kind].format(place=place)


def boot_order(machine: Machine, first: Boot | None = None) -> dict[str, int]:
    """QEMU's bootindex of every NIC and disk; `first` goes before what the firmware tries first."""
    kinds = {Boot.PXE: ("nic", len(machine.nics)), Boot.DISK: ("disk", len(machine.disks))}
    other = Boot.DISK if machine.boot is Boot.PXE else Boot.PXE
    names = [
        f"{kinds[boot][0]}{index}"
        for boot in (machine.boot, other)
        for index in range(kinds[boot][1])
    ]
    # Two ranges: an index that another device still has would be refused.
    order = {name: _LAST_OVERRIDE + place for place, name in enumerate(names, 1)}
    if first is not None:
        kind, count = kinds[first]
        order |= {f"{kind}{index}": index + 1 for index in range(count)}
    return order
