"""PCIe links, RAID, enclosures, accelerators, huge pages and UEFI on small made-up machines."""

from pathlib import Path

import pytest
import trees

from muster.collect import accelerators, enclosures, firmware, hugepages, pcie, raid
from muster.wire.extra import HugePagePool
from muster.wire.peripherals import Accelerator, EnclosureSlot, PcieLink, RaidController

BUS = "/sys/bus/pci/devices"
PORT = "/sys/devices/pci0000:00/0000:00:01.0"
CARD = f"{PORT}/0000:01:00.0"


def linked(folder: str, now: str, lanes: str, most: str = "16.0 GT/s PCIe", width: str = "16"):
    return {
        f"{folder}/current_link_speed": f"{now}\n",
        f"{folder}/current_link_width": f"{lanes}\n",
        f"{folder}/max_link_speed": f"{most}\n",
        f"{folder}/max_link_width": f"{width}\n",
    }


def card_at_port(root: Path, files: trees.Files) -> Path:
    files = files | {f"{PORT}/class": "0x060400\n", f"{CARD}/class": "0x030200\n"}
    links = {f"{BUS}/0000:00:01.0": PORT, f"{BUS}/0000:01:00.0": CARD}
    return trees.plant(root, files, links)


@pytest.mark.parametrize(
    ("now", "lanes", "port_most", "port_width", "expected"),
    [
        ("16.0 GT/s PCIe", "16", "32.0 GT/s PCIe", "16", ""),
        ("8.0 GT/s PCIe", "16", "16.0 GT/s PCIe", "16", "8 of 16 GT/s"),
        ("2.5 GT/s PCIe", "4", "16.0 GT/s PCIe", "8", "2.5 of 16 GT/s, x4 of x8"),
        ("8.0 GT/s", "8", "8.0 GT/s", "8", ""),
        ("Unknown", "0", "16.0 GT/s PCIe", "16", ""),
        ("16.0 GT/s PCIe", "63", "16.0 GT/s PCIe", "16", ""),
    ],
)
def test_a_link_is_degraded_against_what_both_ends_can(
    tmp_path: Path, now: str, lanes: str, port_most: str, port_width: str, expected: str
) -> None:
    files = linked(CARD, now, lanes) | linked(PORT, now, lanes, port_most, port_width)
    found = pcie.probe(card_at_port(tmp_path, files))
    port, card = found.functions
    assert (port.degraded, port.parent, port.port) == ("", None, "")
    assert (card.degraded, card.port) == (expected, "0000:00:01.0")
    assert found.degraded == (["0000:01:00.0"] if expected else [])
    assert card.maximum == PcieLink(16.0, 16)


def test_functions_have_class_slot_group_and_error_counts(tmp_path: Path) -> None:
    slot = bytes((9, 0x11, 1, 0, 1)) + bytes(8) + b"\0\0\1\0" + b"PCIe Slot 3\0\0"
    board = bytes((41, 0x0B, 2, 0, 1, 0x85, 1, 0, 0, 0, 8)) + b"Onboard\0\0"
    files: trees.Files = {
        f"{CARD}/revision": "0xa1\n",
        f"{CARD}/subsystem_vendor": "0x10de\n",
        f"{CARD}/subsystem_device": "0x1463\n",
        f"{CARD}/aer_dev_correctable": "RxErr 3\nTOTAL_ERR_COR 3\n",
        f"{CARD}/aer_dev_fatal": "TOTAL_ERR_FATAL x\n",
        "/sys/firmware/dmi/tables/DMI": slot + board,
    }
    root = card_at_port(tmp_path, files)
    trees.plant(root, {}, {f"{CARD}/iommu_group": "/sys/kernel/iommu_groups/0"})
    port, card = pcie.probe(root).functions
    assert (card.class_id, card.revision, card.slot) == ("030200", "a1", "PCIe Slot 3")
    assert (card.subsystem_vendor_id, card.subsystem_id) == ("10de", "1463")
    assert (card.iommu_group, port.iommu_group, port.slot) == (0, None, "Onboard")
    assert (card.errors_correctable, card.errors_fatal) == (3, 0)


def test_the_kernel_s_slot_names_come_before_the_board_s(tmp_path: Path) -> None:
    files: trees.Files = {"/sys/bus/pci/slots/7/address": "0000:01:00\n"}
    assert pcie.probe(card_at_port(tmp_path, files)).functions[1].slot == "7"


def test_a_raid_controller_names_hosts_disks_and_firmware(tmp_path: Path) -> None:
    home = "/sys/devices/pci0000:00/0000:18:00.0"
    plain = "/sys/devices/pci0000:00/0000:19:00.0"
    host = f"{home}/host0"
    files, links = trees.disk("sda", "pci0000:00/0000:18:00.0/host0/target0:2:0/0:2:0:0", "8:0")
    more = trees.disk("sdb", "pci0000:00/0000:19:00.0/host1/target1:0:0/1:0:0:0", "8:16")
    files |= more[0] | {
        f"{home}/class": "0x010400\n",
        f"{home}/vendor": "0x1000\n",
        f"{home}/device": "0x0014\n",
        f"{plain}/class": "0x010700\n",
        f"{host}/scsi_host/host0/version_fw": "5.190\n",
    }
    links |= more[1] | {
        f"{BUS}/0000:18:00.0": home,
        f"{BUS}/0000:19:00.0": plain,
        "/sys/class/scsi_host/host0": f"{host}/scsi_host/host0",
        f"{home}/driver": "/sys/bus/pci/drivers/megaraid_sas",
    }
    assert raid.probe(trees.plant(tmp_path, files, links)).controllers == [
        RaidController(
            "0000:18:00.0",
            vendor_id="1000",
            product_id="0014",
            driver="megaraid_sas",
            firmware_version="5.190",
            hosts=["host0"],
            disks=["sda"],
        )
    ]


def test_an_enclosure_shows_which_disk_is_in_which_slot(tmp_path: Path) -> None:
    home = "/sys/class/enclosure/0:0:8:0"
    files: trees.Files = {
        f"{home}/id": "0x500304801f0a5b3f\n",
        f"{home}/components": "2\n",
        f"{home}/device/vendor": "LSI\n",
        f"{home}/device/model": "SAS3x28\n",
        f"{home}/Slot00/slot": "0\n",
        f"{home}/Slot00/type": "array device\n",
        f"{home}/Slot00/status": "OK\n",
        f"{home}/Slot00/fault": "1\n",
        f"{home}/Slot00/power_status": "on\n",
        f"{home}/Slot00/device/block/sdc/size": "1\n",
        f"{home}/Slot01/slot": "-1\n",
        f"{home}/Slot01/status": "not installed\n",
        f"{home}/power/x": "",
    }
    (found,) = enclosures.probe(trees.plant(tmp_path, files)).enclosures
    assert (found.device, found.id) == ("0:0:8:0", "0x500304801f0a5b3f")
    assert (found.vendor, found.model) == ("LSI", "SAS3x28")
    assert found.slots == [
        EnclosureSlot("Slot00", 0, "array device", "OK", "sdc", fault=True, powered=True),
        EnclosureSlot("Slot01", None, "", "not installed"),
    ]


def test_accelerators_are_listed_with_their_node(tmp_path: Path) -> None:
    home = "/sys/devices/pci0000:00/0000:4d:00.0"
    files: trees.Files = {
        f"{home}/class": "0x120000\n",
        f"{home}/vendor": "0x1da3\n",
        f"{home}/device": "0x1020\n",
        f"{home}/numa_node": "1\n",
        f"{home}/accel/accel0/dev": "261:0\n",
        "/sys/devices/pci0000:00/0000:4e:00.0/class": "0x020000\n",
    }
    links = {
        f"{BUS}/0000:4d:00.0": home,
        f"{BUS}/0000:4e:00.0": "/sys/devices/pci0000:00/0000:4e:00.0",
    }
    assert accelerators.probe(trees.plant(tmp_path, files, links)).devices == [
        Accelerator(
            "0000:4d:00.0", vendor_id="1da3", product_id="1020", numa_node=1, device="accel0"
        )
    ]


def test_huge_pages_of_every_size_and_node_are_counted(tmp_path: Path) -> None:
    machine = "/sys/kernel/mm/hugepages/hugepages-1048576kB"
    node = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB"
    files: trees.Files = {
        f"{machine}/nr_hugepages": "4\n",
        f"{machine}/free_hugepages": "3\n",
        f"{machine}/resv_hugepages": "1\n",
        f"{machine}/surplus_hugepages": "2\n",
        f"{node}/nr_hugepages": "8\n",
        "/sys/kernel/mm/hugepages/odd": "",
    }
    assert hugepages.probe(trees.plant(tmp_path, files)).pools == [
        HugePagePool(1 << 30, 4, 3, 1, 2, None),
        HugePagePool(2 << 20, 8, 0, 0, 0, 1),
    ]


def efi(name: str) -> str:
    return f"/sys/firmware/efi/efivars/{name}-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def test_uefi_tells_secure_boot_and_the_entry_that_was_booted(tmp_path: Path) -> None:
    def option(text: str) -> bytes:
        return b"\7\0\0\0" + b"\1\0\0\0\x0a\0" + text.encode("utf-16-le") + b"\0\0path"

    files: trees.Files = {
        efi("SecureBoot"): b"\6\0\0\0\1",
        efi("SetupMode"): b"\6\0\0\0\0",
        efi("BootCurrent"): b"\6\0\0\0\x03\0",
        efi("BootOrder"): b"\7\0\0\0\x03\0\x0a\0\x07",
        efi("Boot0003"): option("UEFI PXEv4"),
        efi("Boot000A"): option("Disk"),
    }
    found = firmware.probe(trees.plant(tmp_path, files))
    assert (found.mode, found.secure_boot, found.setup_mode) == ("uefi", True, False)
    assert found.boot_entry == "0003 UEFI PXEv4"
    assert found.boot_order == ["0003 UEFI PXEv4", "000A Disk"]
    assert (found.rom_size, found.release) == (0, "")


@pytest.mark.parametrize(
    ("size", "extended", "expected"),
    [(0x0F, 0, 1 << 20), (0xFF, 32, 32 << 20), (0xFF, 0x4001, 1 << 30)],
)
def test_a_firmware_memory_of_any_size_is_read(
    tmp_path: Path, size: int, extended: int, expected: int
) -> None:
    body = bytearray(0x1A)
    body[:4] = b"\0\x1a\0\0"
    body[9] = size
    body[0x14:0x18] = b"\5\x1b\3\2"
    body[0x18:] = extended.to_bytes(2, "little")
    table = {"/sys/firmware/dmi/tables/DMI": bytes(body) + b"\0\0"}
    found = firmware.probe(trees.plant(tmp_path, table))
    assert found.rom_size == expected
    assert (found.release, found.controller_release) == ("5.27", "3.2")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [(b"_SM3_\0\x18\3\7\1", "3.7"), (b"_SM_\0\x1f\2\x08", "2.8"), (b"_SM3_", ""), (b"junk", "")],
)
def test_the_entry_point_says_which_smbios_it_is(
    tmp_path: Path, entry: bytes, expected: str
) -> None:
    path = "/sys/firmware/dmi/tables/smbios_entry_point"
    assert firmware.probe(trees.plant(tmp_path, {path: entry})).smbios_version == expected
