"""Graphics cards on small made-up machines."""

from pathlib import Path

import trees
from functions import function, planted

from muster.collect import gpu
from muster.wire.devices import Drm, GpuCard, Mdev, Nvidia


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
