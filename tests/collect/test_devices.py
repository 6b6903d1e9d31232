"""USB, PCI, serial ports and load on small made-up machines."""

from pathlib import Path

import pytest
import trees
from functions import function, planted

from muster.collect import load, pci, serial, usb
from muster.wire.devices import SerialPort, UsbDevice, UsbInterface, Vpd


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


PNP = "/sys/devices/pnp0/00:04"
STICK = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-3"


def ports() -> tuple[trees.Files, trees.Links]:
    """A port of the board, a place without a chip, a card's port, and two of a USB stick."""
    port = f"{STICK}/1-3:1.0/ttyUSB0"
    files: trees.Files = {
        "/sys/class/tty/ttyS0/dev": "4:64\n",
        "/sys/class/tty/ttyS0/type": "4\n",
        "/sys/class/tty/ttyS1/type": "0\n",
        "/sys/class/tty/ttyS4/dev": "4:68\n",
        "/sys/class/tty/ttyUSB0/dev": "188:0\n",
        "/sys/class/tty/ttyUSB1/dev": "188:1\n",
        "/sys/class/tty/tty0/dev": "4:0\n",
        "/sys/devices/platform/serial8250/x": "",
        f"{STICK}/busnum": "1\n",
        f"{STICK}/idVendor": "0403\n",
        f"{STICK}/idProduct": "6001\n",
        f"{STICK}/manufacturer": "FTDI\n",
        f"{STICK}/product": "FT232R\n",
        f"{STICK}/1-3:1.1/x": "",
        f"{port}/x": "",
        f"{PNP}/00:04:0/00:04:0.0/x": "",
    }
    return files, {
        "/sys/class/tty/ttyS0/device": f"{PNP}/00:04:0/00:04:0.0",
        f"{PNP}/00:04:0/driver": "/sys/bus/serial-base/drivers/ctrl",
        f"{PNP}/00:04:0/00:04:0.0/driver": "/sys/bus/serial-base/drivers/port",
        f"{PNP}/driver": "/sys/bus/pnp/drivers/serial",
        "/sys/class/tty/ttyS1/device": "/sys/devices/platform/serial8250",
        "/sys/class/tty/ttyS4/device": "/sys/devices/pci0000:00/0000:05:00.0",
        "/sys/class/tty/ttyUSB0/device": port,
        "/sys/class/tty/ttyUSB1/device": f"{STICK}/1-3:1.1",
        f"{port}/driver": "/sys/bus/usb-serial/drivers/ftdi_sio",
        "/dev/serial/by-id/usb-FTDI-port0": "../../ttyUSB0",
        "/dev/serial/by-path/pci-usb-0:3": "../../ttyUSB0",
    }


def test_serial_ports_on_board_usb_and_pci_are_told_apart(tmp_path: Path) -> None:
    card = function("0000:05:00.0", "070002", "8086", "5916")
    found = serial.probe(planted(tmp_path, card, ports()))
    assert found.total == 4
    board, on_card, first, second = found.devices
    assert board == SerialPort(id="ttyS0", device="4:64", driver="serial")
    assert on_card == SerialPort(
        id="ttyS4",
        device="4:68",
        vendor="Intel Corporation",
        vendor_id="8086",
        product="HD Graphics 620",
        product_id="5916",
    )
    assert first == SerialPort(
        id="ttyUSB0",
        device="188:0",
        device_id="/dev/serial/by-id/usb-FTDI-port0",
        device_path="/dev/serial/by-path/pci-usb-0:3",
        driver="ftdi_sio",
        vendor="FTDI",
        vendor_id="0403",
        product="FT232R",
        product_id="6001",
    )
    assert (second.id, second.driver, second.vendor) == ("ttyUSB1", "", "FTDI")


def test_load_is_three_averages_and_a_count(tmp_path: Path) -> None:
    found = load.probe(trees.plant(tmp_path, {"/proc/loadavg": "0.69 1.10 1.29 2/1234 99\n"}))
    assert (found.Average1Min, found.Average5Min, found.Average10Min) == (0.69, 1.10, 1.29)
    assert found.Processes == 1234


def test_a_load_that_is_none_is_a_complaint(tmp_path: Path) -> None:
    found = load.probe(trees.plant(tmp_path, {"/proc/loadavg": "busy\n"}))
    assert [complaint.reason for complaint in found.errors] == ["is not a load average: 'busy'"]
    assert found.Processes == 0
