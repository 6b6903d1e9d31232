# SPDX-License-Identifier: Apache-2.0
"""Serial ports: those with a device behind them, on the board as well as on USB.

Incus lists only what has a link below /dev/serial, which ports on the board never have.
"""

from collections.abc import Iterator

from muster.collect.buses import Names, identify, pci_folder, usb_folder
from muster.collect.reading import Reader, Root
from muster.wire.devices import PciDevice, Serial, SerialPort

_TTY = "/sys/class/tty"
_LINKS = "/dev/serial"
_NO_PORT = 0  # <linux/serial_core.h> PORT_UNKNOWN: a place in the table of 8250 without a chip.


def probe(root: Root) -> Serial:
    """The serial section. The four ttyS that the kernel always makes count only with a chip."""
    reader = Reader(root)
    names = Names(reader)
    by_id, by_path = (_read_links(reader, f"{_LINKS}/{kind}") for kind in ("by-id", "by-path"))
    ports = list(_read_ports(reader, names))
    for port in ports:
        port.device_id = by_id.get(port.id, "")
        port.device_path = by_path.get(port.id, "")
    return Serial(devices=ports, total=len(ports), errors=reader.complaints)


def _read_ports(reader: Reader, names: Names) -> Iterator[SerialPort]:
    for name in reader.names(_TTY):
        folder = f"{_TTY}/{name}"
        if reader.exists(f"{folder}/device") and reader.number(f"{folder}/type") != _NO_PORT:
            yield _read_port(reader, names, name)


def _read_port(reader: Reader, names: Names, name: str) -> SerialPort:
    folder = f"{_TTY}/{name}"
    real = reader.real(f"{folder}/device")
    usb, pci = usb_folder(reader, real), pci_folder(real)
    above = usb or pci.rpartition("/")[0] or "/sys/devices"
    driver = _nearest_driver(reader, real, above)
    port = SerialPort(id=name, device=reader.text(f"{folder}/dev"), driver=driver)
    if usb:
        port.vendor_id = reader.text(f"{usb}/idVendor")
        port.product_id = reader.text(f"{usb}/idProduct")
        vendor, product = names.usb(port.vendor_id, port.product_id)
        port.vendor = vendor or reader.text(f"{usb}/manufacturer")
        port.product = reader.text(f"{usb}/product") or product
    elif pci and _is_own_function(reader, pci):
        function = PciDevice(pci_address=pci.rpartition("/")[2])
        identify(names, reader, function, pci)
        port.vendor_id, port.vendor = function.vendor_id, function.vendor
        port.product_id, port.product = function.product_id, function.product
    return port


def _nearest_driver(reader: Reader, real: str, above: str) -> str:
    """The driver of the port, or of what it is a part of, up to but without `above`.

    Linux 6.5 put a bus between chip and port whose drivers are called "ctrl" and "port".
    """
    while len(real) > len(above):
        driver = reader.link(f"{real}/driver")
        if driver and driver not in ("ctrl", "port"):
            return driver
        real = real.rpartition("/")[0]
    return ""


def _is_own_function(reader: Reader, pci: str) -> bool:
    """Class 0x07, a communication controller. Ports of the board hang below the LPC bridge."""
    return reader.text(f"{pci}/class").startswith("0x07")


def _read_links(reader: Reader, folder: str) -> dict[str, str]:
    return {reader.link(f"{folder}/{name}"): f"{folder}/{name}" for name in reader.names(folder)}
