# SPDX-License-Identifier: Apache-2.0
"""USB devices and their interfaces; hubs are left out, as LXD does."""

import re

from muster.collect.buses import Names, driver_of
from muster.collect.reading import Reader, Root
from muster.wire.devices import Usb, UsbDevice, UsbInterface

_USB = "/sys/bus/usb/devices"
_HUB = 0x09
_INTERFACE = re.compile(r".+:[0-9]+\.[0-9]+")

# <https://www.usb.org/defined-class-codes>, in the words of usb.ids (LXD's source).
_CLASSES = {
    0x00: "(Defined at Interface level)",
    0x01: "Audio",
    0x02: "Communications",
    0x03: "Human Interface Device",
    0x05: "Physical Interface Device",
    0x06: "Imaging",
    0x07: "Printer",
    0x08: "Mass Storage",
    0x09: "Hub",
    0x0A: "CDC Data",
    0x0B: "Chip/SmartCard",
    0x0D: "Content Security",
    0x0E: "Video",
    0x0F: "Personal Healthcare",
    0x10: "Audio/Video",
    0x11: "Billboard",
    0x12: "Type-C Bridge",
    0x58: "Xbox",
    0xDC: "Diagnostic",
    0xE0: "Wireless",
    0xEF: "Miscellaneous Device",
    0xFE: "Application Specific Interface",
    0xFF: "Vendor Specific Class",
}
_SUBCLASSES = {
    (0x01, 0x01): "Control Device",
    (0x01, 0x02): "Streaming",
    (0x01, 0x03): "MIDI Streaming",
    (0x02, 0x01): "Direct Line",
    (0x02, 0x02): "Abstract (modem)",
    (0x02, 0x06): "Ethernet Networking",
    (0x02, 0x0C): "Ethernet Emulation",
    (0x02, 0x0D): "Network Control",
    (0x03, 0x01): "Boot Interface Subclass",
    (0x06, 0x01): "Still Image Capture",
    (0x07, 0x01): "Printer",
    (0x08, 0x01): "RBC (typically Flash)",
    (0x08, 0x02): "SFF-8020i, MMC-2 (ATAPI)",
    (0x08, 0x04): "Floppy (UFI)",
    (0x08, 0x05): "SFF-8070i",
    (0x08, 0x06): "SCSI",
    (0x0E, 0x01): "Video Control",
    (0x0E, 0x02): "Video Streaming",
    (0xE0, 0x01): "Radio Frequency",
    (0xFE, 0x01): "Device Firmware Update",
    (0xFF, 0xFF): "Vendor Specific Subclass",
}


def probe(root: Root) -> Usb:
    """The usb section; a device is told from an interface by its number on the bus."""
    reader = Reader(root)
    names = Names(reader)
    devices = [
        _read_device(reader, names, f"{_USB}/{name}")
        for name in reader.names(_USB)
        if reader.exists(f"{_USB}/{name}/busnum")
        and reader.number(f"{_USB}/{name}/bDeviceClass", 16) != _HUB
    ]
    return Usb(devices=devices, total=len(devices), errors=reader.complaints)


def _read_device(reader: Reader, names: Names, folder: str) -> UsbDevice:
    vendor_id = reader.text(f"{folder}/idVendor")
    product_id = reader.text(f"{folder}/idProduct")
    vendor, product = names.usb(vendor_id, product_id)
    return UsbDevice(
        bus_address=reader.count(f"{folder}/busnum"),
        device_address=reader.count(f"{folder}/devnum"),
        interfaces=[
            _read_interface(reader, f"{folder}/{name}")
            for name in reader.names(folder)
            if _INTERFACE.fullmatch(name) and reader.exists(f"{folder}/{name}/bInterfaceNumber")
        ],
        vendor=vendor or reader.text(f"{folder}/manufacturer"),
        vendor_id=vendor_id,
        product=reader.text(f"{folder}/product") or product,
        product_id=product_id,
        speed=reader.decimal(f"{folder}/speed"),
        serial=reader.text(f"{folder}/serial"),
    )


def _read_interface(reader: Reader, folder: str) -> UsbInterface:
    kind = reader.count(f"{folder}/bInterfaceClass", 16)
    subkind = reader.count(f"{folder}/bInterfaceSubClass", 16)
    driver, version = driver_of(reader, folder)
    return UsbInterface(
        class_name=_CLASSES.get(kind, ""),
        class_id=kind,
        driver=driver,
        driver_version=version,
        number=reader.count(f"{folder}/bInterfaceNumber", 16),
        subclass=_SUBCLASSES.get((kind, subkind), ""),
        subclass_id=subkind,
    )
