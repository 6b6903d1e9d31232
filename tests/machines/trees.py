"""Small machines to read: trees of /sys, /proc, /run/udev and /dev made in a folder.

A tree is plain data, path to content, so that a test can show the two files that matter to it.
`load` gives a recorded machine of this folder.
"""

import json
from pathlib import Path

from muster.collect.archive import unpack

HERE = Path(__file__).parent

Files = dict[str, str | bytes]
Links = dict[str, str]


def plant(root: Path, files: Files, links: Links | None = None) -> Path:
    """Write the files and the symbolic links (path to target) below `root`."""
    for path, content in files.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    for path, target in (links or {}).items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        # A real machine has absolute targets relative; a tree must not point at this host.
        ups = "../" * (len(place.relative_to(root).parts) - 1)
        place.symlink_to(ups + target.lstrip("/") if target.startswith("/") else target)
    return root


def load(name: str, root: Path) -> Path:
    """Plant the recorded machine of the folder NAME: its tree.json, or what it sent us itself."""
    sent = HERE / name / "capture.tar.gz"
    if sent.exists():
        return unpack(sent.read_bytes(), root)
    tree = json.loads((HERE / name / "tree.json").read_text())
    return plant(root, tree["files"], tree["links"])


def answer_of_lxd(name: str) -> dict:
    """What LXD said on the same machine."""
    return json.loads((HERE / name / "lxd.json").read_text())["metadata"]


def server() -> tuple[Files, Links]:
    """An invented small server: 2 sockets with 2 threads a core, a SATA disk behind a RAID card,

    a NIC, a GPU, an accelerator, a USB stick, TPM, UEFI and the SMBIOS of qemu-smbios.
    """
    files: Files = {}
    links: Links = {}
    for part in (_cpus(), _memory(), _disks(), _nics(), _firmware(), _slots(), _peripherals()):
        files |= part[0]
        links |= part[1]
    return files, links


def _cpus() -> tuple[Files, Links]:
    """Threads 0 and 2 are a core of socket 0, 1 and 3 of socket 1; 10 is offline but known."""
    cpus = "/sys/devices/system/cpu"
    files: Files = {f"{cpus}/isolated": "3\n"}
    for cpu, socket in ((0, 0), (2, 0), (1, 1), (3, 1)):
        files |= {
            f"{cpus}/cpu{cpu}/topology/physical_package_id": f"{socket}\n",
            f"{cpus}/cpu{cpu}/topology/core_id": "0\n",
            f"{cpus}/cpu{cpu}/topology/die_id": "-1\n",
            f"{cpus}/cpu{cpu}/topology/cluster_id": "65535\n",
            f"{cpus}/cpu{cpu}/topology/core_cpus_list": f"{socket},{socket + 2}\n",
            f"{cpus}/cpu{cpu}/cpufreq/scaling_cur_freq": "1500000\n",
            f"{cpus}/cpu{cpu}/cpufreq/cpuinfo_min_freq": "800000\n",
            f"{cpus}/cpu{cpu}/cpufreq/scaling_max_freq": "3200000\n",
            f"{cpus}/cpu{cpu}/cache/index0/level": "1\n",
            f"{cpus}/cpu{cpu}/cache/index0/type": "Data\n",
            f"{cpus}/cpu{cpu}/cache/index0/size": "48K\n",
        }
    files[f"{cpus}/cpu3/online"] = "0\n"
    files["/sys/devices/system/node/node0/cpulist"] = "0,2\n"
    files["/sys/devices/system/node/node1/cpulist"] = "1,3\n"
    block = "processor\t: {}\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon {}\n"
    block += "flags\t\t: fpu vme\naddress sizes\t: 46 bits physical, 48 bits virtual\n\n"
    files["/proc/cpuinfo"] = "".join(block.format(n, "AB"[n % 2]) for n in range(3))
    return files, {}


def _memory() -> tuple[Files, Links]:
    blocks = "/sys/devices/system/memory"
    files: Files = {
        f"{blocks}/block_size_bytes": "8000000\n",
        "/proc/meminfo": "MemTotal: 500000 kB\nMemAvailable: 100000 kB\nHugePages_Total: 4\n"
        "HugePages_Free: 1\nHugepagesize: 2048 kB\n",
    }
    links: Links = {}
    for number in range(4):
        files[f"{blocks}/memory{number}/online"] = "0\n" if number == 3 else "1\n"
        node = "/sys/devices/system/node/node" + str(number // 2)
        links[f"{node}/memory{number}"] = f"{blocks}/memory{number}"
    for node in (0, 1):
        files[f"/sys/devices/system/node/node{node}/meminfo"] = (
            f"\nNode {node} MemTotal: 250000 kB\nNode {node} MemUsed: 2000 kB\n"
            f"Node {node} HugePages_Total: 2\nNode {node} HugePages_Free: 2\n"
        )
    return files, links


def disk(name: str, home: str, number: str, bus: str = "scsi", **attributes: str | bytes):
    """A disk at the device folder `home` (below /sys/devices): its files and links.

    An attribute's "__" stands for "/" ("queue__rotational").
    """
    device = f"/sys/devices/{home}"
    folder = f"{device}/block/{name}"
    files: Files = {f"{folder}/dev": number, f"{folder}/size": "2048\n"}
    files |= {f"{folder}/{key.replace('__', '/')}": text for key, text in attributes.items()}
    links: Links = {
        f"/sys/class/block/{name}": folder,
        f"/sys/block/{name}": folder,
        f"{folder}/device": device,
        f"{device}/subsystem": f"/sys/bus/{bus}",
    }
    return files, links


def _disks() -> tuple[Files, Links]:
    pci = "pci0000:00/0000:00:1f.2"
    files, links = disk(
        "sda",
        f"{pci}/ata1/host0/target0:0:0/0:0:0:0",
        "8:0",
        queue__rotational="1\n",
        queue__physical_block_size="4096\n",
        stat="1 2 3 4 5 6 77 8 9\n",
    )
    home = f"/sys/devices/{pci}/ata1/host0/target0:0:0/0:0:0:0"
    part = f"{home}/block/sda/sda1"
    files |= {
        f"{home}/vendor": "ATA     \n",
        f"{home}/model": "BIGDISK\n",
        f"{home}/rev": "1.0\n",
        f"{home}/wwid": "t10.ATA     BIGDISK        S1\n",
        f"{home}/vpd_pgb1": b"\0\xb1\0\x3c\x1c\x20" + bytes(58),
        f"{home}/vpd_pg80": b"\0\x80\0\x06SERIAL",
        f"/sys/devices/{pci}/numa_node": "1\n",
        f"{part}/dev": "8:1\n",
        f"{part}/partition": "1\n",
        f"{part}/size": "2\n",
        "/run/udev/data/b8:1": "E:ID_FS_UUID=f00d\nI:1\n",
        "/proc/self/mountinfo": "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
    }
    links["/sys/class/block/sda1"] = part
    return files, links


def nic(name: str, home: str, index: int, **attributes: str):
    """An interface of the device folder `home`: its files and links."""
    device = f"/sys/devices/{home}"
    folder = f"{device}/net/{name}"
    files: Files = {
        f"{folder}/ifindex": f"{index}\n",
        f"{folder}/address": f"52:54:00:00:00:{index:02x}\n",
        f"{folder}/type": "1\n",
        f"{folder}/flags": "0x1003\n",
        f"{folder}/mtu": "1500\n",
    }
    files |= {f"{folder}/{key}": text for key, text in attributes.items()}
    return files, {f"/sys/class/net/{name}": folder, f"{folder}/device": device}


def _nics() -> tuple[Files, Links]:
    home = "pci0000:00/0000:00:03.0"
    files, links = nic("eth0", home, 2, carrier="1\n", speed="25000\n", duplex="full\n")
    more = nic("eth1", home, 3, dev_port="1\n")
    files |= more[0]
    links |= more[1]
    device = f"/sys/devices/{home}"
    files |= {
        f"{device}/class": "0x020000\n",
        f"{device}/vendor": "0x15b3\n",
        f"{device}/device": "0x1015\n",
        f"{device}/numa_node": "-1\n",
        "/sys/bus/pci/drivers/mlx5_core/module/version": "5.0\n",
        "/usr/share/misc/pci.ids": "# ids\n15b3  Mellanox Technologies\n"
        "\t1014  MT27700\n\t\t15b3 0001  sub\n\t1015  MT27710\n8086  Intel\n",
        "/sys/devices/virtual/net/lo/ifindex": "1\n",
        "/sys/devices/virtual/net/lo/address": "00:00:00:00:00:00\n",
        "/sys/devices/virtual/net/lo/flags": "0x9\n",
        "/sys/class/net/bonding_masters": "bond0\n",
        "/proc/net/if_inet6": "fe800000000000000000000000000001 02 40 20 80 eth0\n"
        "00000000000000000000000000000001 01 80 10 80 lo\n",
    }
    links |= {
        f"{device}/driver": "/sys/bus/pci/drivers/mlx5_core",
        "/sys/bus/pci/devices/0000:00:03.0": device,
        "/sys/class/net/lo": "/sys/devices/virtual/net/lo",
    }
    return files, links


def _firmware() -> tuple[Files, Links]:
    dmi = "/sys/class/dmi/id"
    files: Files = {
        f"{dmi}/product_uuid": "4C4C4544-0042-3510-8054-C2C04F4E3132\n",
        f"{dmi}/sys_vendor": "Acme\n",
        f"{dmi}/product_name": "Rack 9000\n",
        f"{dmi}/product_serial": "SN1\n",
        f"{dmi}/bios_vendor": "AcmeBIOS\n",
        f"{dmi}/chassis_type": "23\n",
        f"{dmi}/board_name": "MB1\n",
        "/proc/sys/kernel/ostype": "Linux\n",
        "/proc/sys/kernel/osrelease": "6.1.0\n",
        "/proc/sys/kernel/arch": "x86_64\n",
        "/proc/sys/kernel/hostname": "node1\n",
        "/etc/os-release": 'ID=debian\nVERSION_ID="13"\n\n# comment\n',
    }
    return files, {}


def _slots() -> tuple[Files, Links]:
    """What SMBIOS, TPM and UEFI tell."""
    variable = "/sys/firmware/efi/efivars/{}-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    edac = "/sys/devices/system/edac/mc/mc0/dimm0"
    files: Files = {
        "/sys/firmware/dmi/tables/DMI": (HERE / "qemu-smbios/DMI.bin").read_bytes(),
        variable.format("SecureBoot"): b"\6\0\0\0\1",
        variable.format("BootCurrent"): b"\6\0\0\0\1\0",
        variable.format("BootOrder"): b"\6\0\0\0\1\0",
        variable.format("Boot0001"): b"\7\0\0\0\1\0\0\0\4\0P\0X\0E\0\0\0",
        "/sys/class/tpm/tpm0/tpm_version_major": "2\n",
        "/sys/class/tpm/tpm0/pcr-sha256/0": "00\n",
        f"{edac}/dimm_label": "A1\n",
        f"{edac}/size": "2048\n",
        f"{edac}/dimm_ce_count": "1\n",
        "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "4\n",
        "/proc/loadavg": "0.10 0.20 0.30 1/99 7\n",
        "/sys/devices/pnp0/00:04/id": "PNP0501\n",
        "/sys/class/tty/ttyS0/dev": "4:64\n",
        "/sys/class/tty/ttyS0/type": "4\n",
    }
    return files, {"/sys/class/tty/ttyS0/device": "/sys/devices/pnp0/00:04"}


def _peripherals() -> tuple[Files, Links]:
    """A GPU and an accelerator behind a port, a USB stick, an enclosure."""
    port = "/sys/devices/pci0000:00/0000:00:08.0"
    graphics, accelerator = f"{port}/0000:08:00.0", f"{port}/0000:08:00.1"
    stick = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1"
    enclosure = "/sys/class/enclosure/0:0:8:0"
    files: Files = {}
    for folder, kind in ((port, "060400"), (graphics, "030000"), (accelerator, "120000")):
        files |= {
            f"{folder}/class": f"0x{kind}\n",
            f"{folder}/vendor": "0x8086\n",
            f"{folder}/device": "0x1234\n",
            f"{folder}/max_link_speed": "16.0 GT/s PCIe\n",
            f"{folder}/max_link_width": "16\n",
            f"{folder}/current_link_speed": "8.0 GT/s PCIe\n",
            f"{folder}/current_link_width": "16\n",
        }
    files |= {
        f"{graphics}/drm/card0/dev": "226:0\n",
        f"{graphics}/vpd": b"\x82\x03\0GPU\x90\x05\0SN\x02X1\x78",
        f"{stick}/busnum": "1\n",
        f"{stick}/devnum": "2\n",
        f"{stick}/bDeviceClass": "00\n",
        f"{stick}/idVendor": "0951\n",
        f"{stick}/serial": "S1\n",
        f"{stick}/speed": "480\n",
        f"{stick}/1-1:1.0/bInterfaceNumber": "00\n",
        f"{stick}/1-1:1.0/bInterfaceClass": "08\n",
        f"{enclosure}/id": "0x5003\n",
        f"{enclosure}/Slot0/status": "OK\n",
        f"{enclosure}/Slot0/slot": "0\n",
        "/sys/devices/pci0000:00/0000:00:1f.2/class": "0x010400\n",
    }
    links = {
        "/sys/bus/pci/devices/0000:00:08.0": port,
        "/sys/bus/pci/devices/0000:08:00.0": graphics,
        "/sys/bus/pci/devices/0000:08:00.1": accelerator,
        "/sys/bus/pci/devices/0000:00:1f.2": "/sys/devices/pci0000:00/0000:00:1f.2",
        "/sys/class/drm/card0": f"{graphics}/drm/card0",
        f"{graphics}/drm/card0/device": graphics,
        "/sys/bus/usb/devices/1-1": stick,
    }
    return files, links
