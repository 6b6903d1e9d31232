"""Graphics cards, USB, PCI, serial ports and load on small made-up machines."""

from pathlib import Path

import pytest
import trees

from muster.collect import gpu, load, pci, serial, usb
from muster.wire.devices import Drm, GpuCard, Mdev, Nvidia, SerialPort, UsbDevice, UsbInterface, Vpd

BUS = "/sys/bus/pci/devices"
IDS = {
    "/usr/share/misc/pci.ids": "10de  NVIDIA Corporation\n\t20b0  GA100 [A100 SXM4 40GB]\n"
    "8086  Intel Corporation\n\t5916  HD Graphics 620\n1af4  Red Hat\n\t1050  Virtio GPU\n"
}
# As in the real file, a vendor is found only behind a line end.
IDS = {path: "# ids\n" + text for path, text in IDS.items()}


def function(address: str, kind: str, vendor: str, device: str, **more: str | bytes):
    """A PCI function with identifiers; its files and links."""
    home = f"/sys/devices/pci0000:00/{address}"
    files: trees.Files = {
        f"{home}/class": f"0x{kind}\n",
        f"{home}/vendor": f"0x{vendor}\n",
        f"{home}/device": f"0x{device}\n",
    }
    files |= {f"{home}/{name.replace('__', '/')}": text for name, text in more.items()}
    return files, {f"{BUS}/{address}": home}


def planted(root: Path, *parts: tuple[trees.Files, trees.Links]) -> Path:
    files: trees.Files = dict(IDS)
    links: trees.Links = {}
    for part in parts:
        files |= part[0]
        links |= part[1]
    return trees.plant(root, files, links)


def test_a_card_that_drm_drives_names_its_nodes(tmp_path: Path) -> None:
    home = "/sys/devices/pci0000:00/0000:00:02.0"
    files, links = function(
        "0000:00:02.0",
        "030000",
        "8086",
        "5916",
        numa_node="1\n",
        drm__card1__dev="226:1\n",
        drm__renderD128__dev="226:128\n",
        drm__controlD64__dev="226:64\n",
        mdev_supported_types__i915__device_api="vfio-pci\n",
        mdev_supported_types__i915__available_instances="2\n",
        mdev_supported_types__i915__name="GVTg\n",
        mdev_supported_types__i915__description="fence: 4\n",
        mdev_supported_types__i915__devices__uuid1="",
    )
    links |= {
        "/sys/class/drm/card1": f"{home}/drm/card1",
        "/sys/class/drm/card1-DP-1": f"{home}/drm/card1",
        f"{home}/drm/card1/device": home,
        f"{home}/driver": "/sys/bus/pci/drivers/i915",
    }
    files["/proc/sys/kernel/osrelease"] = "6.12\n"
    found = gpu.probe(planted(tmp_path, (files, links)))
    assert found.errors == []
    assert found.cards == [
        GpuCard(
            driver="i915",
            driver_version="6.12",
            drm=Drm(1, "card1", "226:1", "controlD64", "226:64", "renderD128", "226:128"),
            mdev={"i915": Mdev("vfio-pci", 2, "GVTg", "fence: 4", ["uuid1"])},
            numa_node=1,
            pci_address="0000:00:02.0",
            vendor="Intel Corporation",
            vendor_id="8086",
            product="HD Graphics 620",
            product_id="5916",
        )
    ]
    assert found.total == 1


def test_nvidia_s_driver_tells_uuid_and_video_bios(tmp_path: Path) -> None:
    files, links = function("0000:3b:00.0", "030200", "10de", "20b0")
    links["/sys/devices/pci0000:00/0000:3b:00.0/driver"] = "/sys/bus/pci/drivers/nvidia"
    files |= {
        "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  "
        "535.104.05  Sat Aug 19\nGCC version: x\n",
        "/proc/driver/nvidia/gpus/00000000:3b:00.0/information": "Model: \t\t NVIDIA A100\n"
        "IRQ: 1\nGPU UUID: \t GPU-1\nVideo BIOS: \t 92.00\nDevice Minor: \t 0\n",
    }
    (card,) = gpu.probe(planted(tmp_path, (files, links))).cards
    assert card.nvidia == Nvidia(
        nvrm_version="535.104.05",
        brand="NVIDIA",
        model="NVIDIA A100",
        uuid="GPU-1",
        card_name="nvidia0",
        card_device="195:0",
        vbios_version="92.00",
    )


def test_virtual_functions_of_a_card_are_inside_it_and_counted(tmp_path: Path) -> None:
    card = function(
        "0000:03:00.0", "038000", "8086", "5916", sriov_totalvfs="7\n", sriov_numvfs="1\n"
    )
    virtual = function("0000:03:00.1", "038000", "8086", "5917")
    virtual[1]["/sys/devices/pci0000:00/0000:03:00.1/physfn"] = (
        "/sys/devices/pci0000:00/0000:03:00.0"
    )
    found = gpu.probe(planted(tmp_path, card, virtual))
    assert found.total == 2
    (whole,) = found.cards
    assert whole.sriov is not None
    assert (whole.sriov.current_vfs, whole.sriov.maximum_vfs) == (1, 7)
    assert [inside["pci_address"] for inside in whole.sriov.vfs] == ["0000:03:00.1"]


def test_cards_on_virtio_usb_and_no_bus_are_found_once(tmp_path: Path) -> None:
    virtio = function("0000:00:01.0", "030000", "1af4", "1050", virtio0__drm__card0__dev="226:0\n")
    home = "/sys/devices/pci0000:00/0000:00:01.0/virtio0"
    dock = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2"
    platform = "/sys/devices/platform/gpu"
    files: trees.Files = {
        f"{dock}/busnum": "1\n",
        f"{dock}/devnum": "4\n",
        f"{dock}/idVendor": "17e9\n",
        f"{dock}/idProduct": "4307\n",
        f"{dock}/drm/card1/dev": "226:1\n",
        f"{platform}/drm/card2/dev": "226:2\n",
    }
    links = {
        "/sys/class/drm/card0": f"{home}/drm/card0",
        f"{home}/drm/card0/device": home,
        "/sys/class/drm/card1": f"{dock}/drm/card1",
        f"{dock}/drm/card1/device": dock,
        "/sys/class/drm/card2": f"{platform}/drm/card2",
        f"{platform}/drm/card2/device": platform,
        f"{platform}/driver": "/sys/bus/platform/drivers/vc4",
    }
    found = gpu.probe(planted(tmp_path, virtio, (files, links)))
    assert [
        (card.pci_address, card.usb_address, card.vendor_id, card.driver, card.drm and card.drm.id)
        for card in found.cards
    ] == [("0000:00:01.0", "", "1af4", "", 0), ("", "1:4", "17e9", "", 1), ("", "", "", "vc4", 2)]


def test_usb_devices_have_serials_interfaces_and_speeds(tmp_path: Path) -> None:
    root = "/sys/bus/usb/devices"
    stick = f"{root}/2-1"
    files: trees.Files = {
        f"{stick}/busnum": "2\n",
        f"{stick}/devnum": "3\n",
        f"{stick}/bDeviceClass": "00\n",
        f"{stick}/idVendor": "0951\n",
        f"{stick}/idProduct": "1666\n",
        f"{stick}/manufacturer": "Kingston\n",
        f"{stick}/serial": "60A44C\n",
        f"{stick}/speed": "1.5\n",
        f"{stick}/2-1:1.0/bInterfaceNumber": "0a\n",
        f"{stick}/2-1:1.0/bInterfaceClass": "08\n",
        f"{stick}/2-1:1.0/bInterfaceSubClass": "06\n",
        f"{stick}/power/level": "on\n",
        f"{root}/usb2/busnum": "2\n",
        f"{root}/usb2/bDeviceClass": "09\n",
        f"{root}/2-1:1.0/bInterfaceNumber": "00\n",
        "/usr/share/misc/usb.ids": "#\n0951  Kingston Technology\n\t1666  DataTraveler 100\n",
        "/sys/bus/usb/drivers/usb-storage/module/version": "1.2\n",
    }
    links = {f"{stick}/2-1:1.0/driver": "/sys/bus/usb/drivers/usb-storage"}
    found = usb.probe(trees.plant(tmp_path, files, links))
    assert found.devices == [
        UsbDevice(
            bus_address=2,
            device_address=3,
            interfaces=[UsbInterface("Mass Storage", 8, "usb-storage", "1.2", 10, "SCSI", 6)],
            vendor="Kingston Technology",
            vendor_id="0951",
            product="DataTraveler 100",
            product_id="1666",
            speed=1.5,
            serial="60A44C",
        )
    ]


def test_a_speed_that_is_none_is_a_complaint(tmp_path: Path) -> None:
    root = "/sys/bus/usb/devices/2-1"
    found = usb.probe(trees.plant(tmp_path, {f"{root}/busnum": "2\n", f"{root}/speed": "fast\n"}))
    assert found.devices[0].speed == 0.0
    assert [complaint.reason for complaint in found.errors] == ["is not a number: 'fast'"]


def vital(entries: bytes, name: bytes = b"HP Ethernet 331i", kind: int = 0x90) -> bytes:
    told = b"\x82" + len(name).to_bytes(2, "little") + name
    return told + bytes((kind,)) + len(entries).to_bytes(2, "little") + entries + b"\x78"


def test_vital_product_data_is_read_by_its_keywords(tmp_path: Path) -> None:
    entries = b"PN\x04A-55" + b"SN\x03X\x001" + b"V0\x045W  " + b"RV\x02\x11\x00" + b"EC\x00"
    part = function("0000:02:00.0", "020000", "14e4", "1657", vpd=vital(entries))
    group = {"/sys/devices/pci0000:00/0000:02:00.0/iommu_group": "/sys/kernel/iommu_groups/20"}
    found = pci.probe(planted(tmp_path, part, ({}, group)))
    (device,) = found.devices
    assert device.vpd == Vpd("HP Ethernet 331i", {"PN": "A-55", "SN": "X1", "V0": "5W"})
    assert (device.iommu_group, found.total, found.errors) == (20, 1, [])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x82\xff\x7fshort", "the item 0x82 at byte 3 is cut off"),
        (vital(b"PN\xffx"), "the entry 'PN' is cut off"),
        (bytes(64), None),
        (b"\xff" * 64, None),
        (b"\x82", "cut off"),
        (b"\x09", "cut off"),
    ],
)
def test_broken_product_data_costs_itself_alone(
    tmp_path: Path, data: bytes, reason: str | None
) -> None:
    found = pci.probe(planted(tmp_path, function("0000:02:00.0", "020000", "8086", "1", vpd=data)))
    assert found.devices[0].vendor_id == "8086"
    assert len(found.errors) == (reason is not None)
    assert reason is None or reason in found.errors[0].reason


def test_serial_ports_on_board_usb_and_pci_are_told_apart(tmp_path: Path) -> None:
    pnp = "/sys/devices/pnp0/00:04"
    stick = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-3"
    port = f"{stick}/1-3:1.0/ttyUSB0"
    card = function("0000:05:00.0", "070002", "8086", "5916")
    files: trees.Files = {
        "/sys/class/tty/ttyS0/dev": "4:64\n",
        "/sys/class/tty/ttyS0/type": "4\n",
        "/sys/class/tty/ttyS1/type": "0\n",
        "/sys/class/tty/ttyS4/dev": "4:68\n",
        "/sys/class/tty/ttyUSB0/dev": "188:0\n",
        "/sys/class/tty/ttyUSB1/dev": "188:1\n",
        "/sys/class/tty/tty0/dev": "4:0\n",
        f"{stick}/busnum": "1\n",
        f"{stick}/idVendor": "0403\n",
        f"{stick}/idProduct": "6001\n",
        f"{stick}/manufacturer": "FTDI\n",
        f"{stick}/product": "FT232R\n",
        f"{stick}/1-3:1.1/x": "",
        f"{port}/x": "",
        f"{pnp}/x": "",
    }
    links = {
        "/sys/class/tty/ttyS0/device": pnp,
        "/sys/class/tty/ttyS1/device": "/sys/devices/platform/serial8250",
        "/sys/class/tty/ttyS4/device": "/sys/devices/pci0000:00/0000:05:00.0",
        "/sys/class/tty/ttyUSB0/device": port,
        "/sys/class/tty/ttyUSB1/device": f"{stick}/1-3:1.1",
        f"{pnp}/driver": "/sys/bus/pnp/drivers/serial",
        f"{port}/driver": "/sys/bus/usb-serial/drivers/ftdi_sio",
        "/dev/serial/by-id/usb-FTDI-port0": "../../ttyUSB0",
        "/dev/serial/by-path/pci-usb-0:3": "../../ttyUSB0",
    }
    trees.plant(tmp_path, {"/sys/devices/platform/serial8250/x": ""})
    found = serial.probe(planted(tmp_path, card, (files, links)))
    assert found.devices == [
        SerialPort(id="ttyS0", device="4:64", driver="serial"),
        SerialPort(
            id="ttyS4",
            device="4:68",
            vendor="Intel Corporation",
            vendor_id="8086",
            product="HD Graphics 620",
            product_id="5916",
        ),
        SerialPort(
            id="ttyUSB0",
            device="188:0",
            device_id="/dev/serial/by-id/usb-FTDI-port0",
            device_path="/dev/serial/by-path/pci-usb-0:3",
            driver="ftdi_sio",
            vendor="FTDI",
            vendor_id="0403",
            product="FT232R",
            product_id="6001",
        ),
        SerialPort(
            id="ttyUSB1",
            device="188:1",
            vendor="FTDI",
            vendor_id="0403",
            product="FT232R",
            product_id="6001",
        ),
    ]
    assert found.total == 4


def test_load_is_three_averages_and_a_count(tmp_path: Path) -> None:
    found = load.probe(trees.plant(tmp_path, {"/proc/loadavg": "0.69 1.10 1.29 2/1234 99\n"}))
    assert (found.Average1Min, found.Average5Min, found.Average10Min) == (0.69, 1.10, 1.29)
    assert found.Processes == 1234


def test_a_load_that_is_none_is_a_complaint(tmp_path: Path) -> None:
    found = load.probe(trees.plant(tmp_path, {"/proc/loadavg": "busy\n"}))
    assert [complaint.reason for complaint in found.errors] == ["is not a load average: 'busy'"]
    assert found.Processes == 0
