# SPDX-License-Identifier: Apache-2.0
"""Graphics cards: those that DRM drives, then what else on the PCI bus has class 0x03.

NVIDIA's closed driver keeps its facts in /proc; LXD asks nvidia-container-cli, which also knows
the CUDA version but is never where a machine is only surveyed.
"""

import re

from muster.collect.buses import (
    PCI,
    Names,
    describe,
    driver_of,
    pci_folder,
    usb_address,
    usb_folder,
)
from muster.collect.reading import Reader, Root
from muster.wire.devices import Drm, Gpu, GpuCard, GpuSriov, Mdev, Nvidia
from muster.wire.section import plain

_DRM = "/sys/class/drm"
_DISPLAY_CLASS = "0x03"
_NVIDIA = "/proc/driver/nvidia"
_CARD = re.compile(r"card([0-9]{1,9})")
_NVRM = re.compile(r"NVRM version: .*?\s([0-9]+(?:\.[0-9]+)+)\s")
_NVIDIA_MAJOR = 195  # The kernel's Documentation/admin-guide/devices.txt.


def probe(root: Root) -> Gpu:
    """The gpu section; virtual functions are inside their card."""
    reader = Reader(root)
    names = Names(reader)
    nvidia = _read_nvidia(reader)
    cards = {home: _read_card(names, reader, home, nvidia) for home in _homes(reader)}
    return Gpu(cards=_nest_functions(reader, cards), total=len(cards), errors=reader.complaints)


def _homes(reader: Reader) -> list[str]:
    """The real paths of the devices: of a PCI function, else of what the DRM card hangs on.

    A card on virtio or a USB display have the DRM folder deeper than the address.
    """
    homes: dict[str, None] = {}
    for name in reader.names(_DRM):
        if _CARD.fullmatch(name) and reader.exists(f"{_DRM}/{name}/dev"):
            real = reader.real(f"{_DRM}/{name}/device")
            homes[usb_folder(reader, real) or pci_folder(real) or real] = None
    for address in reader.names(PCI):
        if reader.text(f"{PCI}/{address}/class").startswith(_DISPLAY_CLASS):
            homes[reader.real(f"{PCI}/{address}")] = None
    homes.pop("", None)
    return list(homes)


def _read_card(names: Names, reader: Reader, home: str, nvidia: dict[str, Nvidia]) -> GpuCard:
    card = GpuCard(
        sriov=_read_sriov(reader, home),
        mdev=_read_mdev(reader, f"{home}/mdev_supported_types"),
        usb_address=usb_address(reader, home),
    )
    if card.usb_address:
        card.vendor_id = reader.text(f"{home}/idVendor")
        card.product_id = reader.text(f"{home}/idProduct")
        card.vendor, card.product = names.usb(card.vendor_id, card.product_id)
        card.driver, card.driver_version = driver_of(reader, home)
    elif pci_folder(home):
        describe(names, reader, card, home)
    else:
        card.driver, card.driver_version = driver_of(reader, home)
    card.drm = _read_drm(reader, home)
    if card.driver == "nvidia":
        card.nvidia = nvidia.get(card.pci_address)
    return card


def _read_drm(reader: Reader, home: str) -> Drm | None:
    """The nodes below the device itself, or below its child on the virtio bus."""
    folders = [f"{home}/drm"]
    folders += [f"{home}/{name}/drm" for name in reader.names(home) if name.startswith("virtio")]
    for folder in filter(reader.exists, folders):
        return _read_nodes(reader, folder)
    return None


def _read_nodes(reader: Reader, folder: str) -> Drm:
    drm = Drm()
    for name in reader.names(folder):
        device = reader.text(f"{folder}/{name}/dev")
        if match := _CARD.fullmatch(name):
            drm.id, drm.card_name, drm.card_device = int(match[1]), name, device
        elif name.startswith("controlD"):
            drm.control_name, drm.control_device = name, device
        elif name.startswith("renderD"):
            drm.render_name, drm.render_device = name, device
    return drm


def _read_sriov(reader: Reader, home: str) -> GpuSriov | None:
    maximum = reader.number(f"{home}/sriov_totalvfs")
    if maximum is None:
        return None
    return GpuSriov(reader.count(f"{home}/sriov_numvfs"), max(0, maximum))


def _read_mdev(reader: Reader, folder: str) -> dict[str, Mdev]:
    return {
        name: Mdev(
            api=reader.text(f"{folder}/{name}/device_api"),
            available=reader.count(f"{folder}/{name}/available_instances"),
            name=reader.text(f"{folder}/{name}/name"),
            description=reader.text(f"{folder}/{name}/description"),
            devices=reader.names(f"{folder}/{name}/devices"),
        )
        for name in reader.names(folder)
    }


def _read_nvidia(reader: Reader) -> dict[str, Nvidia]:
    """By PCI address. Old drivers write it with a domain of eight digits."""
    match = _NVRM.search(reader.text(f"{_NVIDIA}/version") + "\n")
    found: dict[str, Nvidia] = {}
    for name in reader.names(f"{_NVIDIA}/gpus"):
        about = reader.colon_table(f"{_NVIDIA}/gpus/{name}/information")
        minor = about.get("Device Minor", "")
        model = about.get("Model", "")
        address = name[4:] if name.startswith("0000") and name.find(":") == 8 else name
        found[address] = Nvidia(
            nvrm_version=match[1] if match else "",
            brand=model.partition(" ")[0],
            model=model,
            uuid=about.get("GPU UUID", ""),
            card_name=f"nvidia{minor}",
            card_device=f"{_NVIDIA_MAJOR}:{minor}",
            vbios_version=about.get("Video BIOS", ""),
        )
    return found


def _nest_functions(reader: Reader, cards: dict[str, GpuCard]) -> list[GpuCard]:
    """Virtual functions move into the card whose `physfn` they name."""
    top: list[GpuCard] = []
    by_address = {card.pci_address: card for card in cards.values() if card.pci_address}
    for home, card in cards.items():
        parent = by_address.get(reader.link(f"{home}/physfn"))
        if parent is None or parent.sriov is None or parent is card:
            top.append(card)
        else:
            function = plain(card)
            assert isinstance(function, dict)
            parent.sriov.vfs.append(function)
    return top
