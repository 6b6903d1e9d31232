"""What changed between two documents: each single change its sentence, and nothing else."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rackserver import rackserver

from muster.collect.document import document as surveyed
from muster.machine.differences import compare, unread
from muster.machine.parts import parts
from muster.wire.resources import Document, read_document

Plain = dict[str, Any]


def read(plain: Plain) -> Document:
    return read_document(json.dumps(plain).encode())


def told(old: Plain, new: Plain, **more: Any) -> list[str]:
    return [change.sentence for change in compare(read(old), read(new), **more)]


def at(plain: Plain, path: str) -> Any:
    """The object at "storage.disks.0", in resources or extra."""
    found: Any = plain["resources"] if path.split(".")[0] in plain["resources"] else plain["extra"]
    for step in path.split("."):
        found = found[int(step)] if step.isdigit() else found[step]
    return found


def changed(path: str, value: Any) -> Plain:
    """The server with one value changed."""
    plain = rackserver()
    where, _, name = path.rpartition(".")
    at(plain, where)[name] = value
    return plain


SAMSUNG = "32 GiB DDR4 Samsung M393A4K40DB3-CWE serial"
NVME = "3.84 TB SAMSUNG MZQL23T8HCLS serial"
CHANGED: dict[tuple[str, Any], str] = {
    ("system.uuid", "4C4C4544-0051-3310-8051-B4C04F4E3332"): (
        "system: UUID 4c4c4544-0051-3310-8051-b4c04f4e3331,"
        " now 4c4c4544-0051-3310-8051-b4c04f4e3332"
    ),
    ("system.serial", "9X"): "system: serial number 3Q3N1J3, now 9X",
    ("system.motherboard.serial", "B9"): "system: board serial number .3Q3N1J3.CN1., now B9",
    ("system.firmware.version", "1.9.0"): (
        "BIOS: version Dell Inc. 1.8.2 09/14/2022, now Dell Inc. 1.9.0 09/14/2022"
    ),
    ("boot_firmware.secure_boot", True): "boot: Secure Boot off, now on",
    ("boot_firmware.mode", "bios"): "boot: mode uefi, now bios",
    ("tpm.ek_sha256", "cd" * 32): f"TPM was replaced: TPM {'ab' * 32}, now TPM {'cd' * 32}",
    ("tpm.version", "1.2"): "TPM: version 2.0, now 1.2",
    ("tpm.present", False): "TPM is gone",
    ("bmc.firmware_version", "7.00"): "BMC: firmware 6.10, now 7.00",
    ("bmc.lan.0.address", "10.1.0.6"): "BMC: address of channel 1 10.1.0.5, now 10.1.0.6",
    ("memory.total", 7 * 2**35): "memory: size 256 GiB, now 224 GiB",
    ("processors.packages.1.microcode", "0xd1"): (
        "processor in socket 1: microcode 0xd0003a5, now 0xd1"
    ),
    ("cpu.sockets.0.name", "Xeon Gold 6354"): (
        "processor in socket 0: model Xeon Gold 6346, now Xeon Gold 6354"
    ),
    ("dimms.slots.9.serial", "F00D"): (
        f"DIMM in slot B2 was replaced: {SAMSUNG} 03AB277F, now {SAMSUNG} F00D"
    ),
    ("dimms.slots.9.slot", "B8"): f"DIMM {SAMSUNG} 03AB277F moved from slot B2 to slot B8",
    ("dimms.slots.9.size", 0): f"DIMM in slot B2 is gone: {SAMSUNG} 03AB277F",
    ("dimms.slots.9.configured_speed", 2666): (
        "DIMM in slot B2: configured speed 2933 MT/s, now 2666 MT/s"
    ),
    ("storage.disks.1.firmware_version", "GDC5702Q"): (
        "disk at pci-0000:61:00.0-nvme-1 (nvme1n1 serial S64HNE0R50001):"
        " firmware GDC5602Q, now GDC5702Q"
    ),
    ("storage.disks.1.serial", "S1"): (
        f"disk at pci-0000:61:00.0-nvme-1 was replaced: {NVME} S64HNE0R50001, now {NVME} S1"
    ),
    ("storage.disks.1.device_path", "pci-0000:65:00.0-nvme-1"): (
        f"disk {NVME} S64HNE0R50001 moved from pci-0000:61:00.0-nvme-1 to pci-0000:65:00.0-nvme-1"
    ),
    ("disk_health.disks.0.passed", False): (
        "disk at pci-0000:60:00.0-nvme-1 (nvme0n1 serial S64HNE0R50000): health passed, now failing"
    ),
    ("network.cards.0.ports.1.address", "b8:59:9f:00:00:77"): (
        "NIC at 0000:30:00.0 port 1 was replaced: ens0f1np1 Mellanox Technologies MT27800"
        " [ConnectX-5] b8:59:9f:00:00:01, now ens0f1np1 Mellanox Technologies MT27800"
        " [ConnectX-5] b8:59:9f:00:00:77"
    ),
    ("network.cards.0.ports.1.link_detected", False): (
        "NIC at 0000:30:00.0 port 1 (ens0f1np1): link 25000 Mbit/s, now none"
    ),
    ("network.cards.0.ports.1.link_speed", 10000): (
        "NIC at 0000:30:00.0 port 1 (ens0f1np1): link 25000 Mbit/s, now 10000 Mbit/s"
    ),
    ("nics.interfaces.2.optics.serial", "MT1"): (
        "optical module at NIC ens1f0np0 was replaced: SFP28 Mellanox MCP2M00-A001 serial"
        " MT2049VS02, now SFP28 Mellanox MCP2M00-A001 serial MT1"
    ),
    ("gpu.cards.1.nvidia.vbios_version", "92.1"): (
        "GPU at 0000:81:00.0: firmware 92.00.68.00.01, now 92.1"
    ),
    ("gpu.cards.1.nvidia.uuid", "GPU-9"): (
        "GPU at 0000:81:00.0 was replaced: NVIDIA Corporation A100 80GB PCIe GPU-3f2d8c1b-0001,"
        " now NVIDIA Corporation A100 80GB PCIe GPU-9"
    ),
    ("pcie.functions.7.link.width", 8): "PCIe link at 0000:81:00.0 (NVIDIA Corporation GA100):"
    " width x16, now x8",
    ("pcie.functions.4.link.speed", 2.5): (
        "PCIe link at 0000:30:00.0 (Mellanox Technologies MT27800): speed 8 GT/s, now 2.5 GT/s"
    ),
    ("pci.devices.0.product_id", "beef"): (
        "PCI device at 0000:00:17.0: model Intel Corporation C620 SATA Controller [8086:a1d2],"
        " now Intel Corporation C620 SATA Controller [8086:beef]"
    ),
    ("power_supplies.supplies.1.unplugged", True): (
        "power supply in slot PSU.2: status OK, now unplugged"
    ),
    ("power_supplies.supplies.1.present", False): (
        "power supply in slot PSU.2 is gone: 1400 W DELTA 0W6C8YA00 serial CNDED00222"
    ),
}


@pytest.mark.parametrize(("path", "value"), CHANGED, ids=str)
def test_each_single_change_has_exactly_its_sentence(path: str, value: Any) -> None:
    new = changed(path, value)
    assert told(rackserver(), new) == [CHANGED[path, value]]
    assert len(told(new, rackserver())) == 1


LISTS = (
    "cpu.sockets", "storage.disks", "gpu.cards", "usb.devices", "power_supplies.supplies",
    "network.cards.0.ports", "network.cards.1.ports", "dimms.slots",
)  # fmt: skip
EACH = [(path, n) for path in LISTS for n in range(len(at(rackserver(), path)))]


@pytest.mark.parametrize(("path", "index"), EACH, ids=str)
def test_each_part_in_turn_is_gone_with_one_sentence_and_new_with_another(
    path: str, index: int
) -> None:
    without = rackserver()
    part = at(without, path).pop(index)
    gone, new = told(rackserver(), without), told(without, rackserver())
    if part.get("size") == 0:
        # An empty slot that is not told of any more is no change.
        assert (gone, new) == ([], [])
        return
    assert [len(gone), len(new)] == [1, 1]
    assert " is gone" in gone[0]
    assert new[0] == gone[0].replace(" is gone", " is new")


def every_value(value: Any, path: str = "") -> Iterator[str]:
    """The path of every text and number."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from every_value(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, str | int | float):
        yield path


@pytest.mark.slow
def test_no_change_of_one_value_makes_more_than_two_sentences_or_fails() -> None:
    """Two where a PCI address names the device in one section and its link in another."""
    whole = rackserver()
    for section in ("resources", "extra"):
        for path in every_value(whole[section]):
            where, _, name = path.rpartition(".")
            if not where or name == "schema" or name.isdigit():
                continue
            old = at(whole, where)[name]
            if isinstance(old, bool):
                new: Any = not old
            else:
                new = f"{old}9" if isinstance(old, str) else old + 1
            assert len(told(whole, changed(path, new))) <= 2, path


def reread(plain: Plain, rng: random.Random) -> Plain:
    """The same machine after another boot: other kernel names, order, load, link speed of GPUs."""
    again = copy.deepcopy(plain)
    disks = at(again, "storage.disks")
    for path in ("storage.disks", "network.cards", "gpu.cards", "usb.devices", "pci.devices",
                 "dimms.slots", "pcie.functions"):  # fmt: skip
        rng.shuffle(at(again, path))
    for device in at(again, "usb.devices"):
        device["device_address"] = rng.randrange(1, 99)
    names = {disk["id"]: f"nvme{n}n1" for n, disk in enumerate(disks) if disk["type"] == "nvme"}
    for disk in disks:
        disk["id"] = names.get(disk["id"], "sdb")
    for health in at(again, "disk_health.disks"):
        health["disk"] = names[health["disk"]]
        health["temperature"] = rng.random() * 60
    at(again, "load")["Average1Min"] = rng.random()
    memory = at(again, "memory")
    memory["used"] = rng.randrange(2**30)
    memory["total"] -= rng.randrange(2**28)
    for function in at(again, "pcie.functions"):
        if function["class_id"].startswith("03"):
            function["link"]["speed"] = rng.choice([2.5, 16.0])
    at(again, "cpu.sockets.0")["frequency"] = rng.randrange(800, 3600)
    return again


@pytest.mark.slow
def test_the_same_machine_read_again_a_thousand_times_has_no_change() -> None:
    rng = random.Random(1)
    old = read(rackserver())
    for _ in range(1000):
        assert compare(old, read(reread(rackserver(), rng))) == []


def test_the_recorded_machine_has_no_change_to_itself(recorded_root: Path) -> None:
    first, second = (read(json.loads(json.dumps(surveyed(recorded_root)))) for _ in range(2))
    assert compare(first, second) == []
    assert {part.kind for part in parts(first)} >= {"processor", "disk", "NIC", "PCI device"}


def test_two_dimms_that_change_places_are_two_moves() -> None:
    new = rackserver()
    slots = at(new, "dimms.slots")
    slots[0]["slot"], slots[9]["slot"] = "B2", "A1"
    assert told(rackserver(), new) == [
        f"DIMM {SAMSUNG} 03AA177F moved from slot A1 to slot B2",
        f"DIMM {SAMSUNG} 03AB277F moved from slot B2 to slot A1",
    ]


def test_a_dimm_that_takes_its_memory_along_is_one_sentence() -> None:
    new = changed("dimms.slots.9.size", 0)
    at(new, "memory")["total"] -= 2**35
    assert told(rackserver(), new) == [f"DIMM in slot B2 is gone: {SAMSUNG} 03AB277F"]


def test_a_disk_that_came_from_another_machine_says_which() -> None:
    without = rackserver()
    disk = at(without, "storage.disks").pop(2)
    elsewhere = {("disk", disk["serial"]): "bold-otter"}
    (here,) = told(without, rackserver(), elsewhere=elsewhere)
    assert here.endswith("serial S64HNE0R50002, moved here from machine bold-otter")
    (gone,) = told(rackserver(), without, elsewhere=elsewhere)
    assert gone.endswith("serial S64HNE0R50002, now in machine bold-otter")


def test_serial_numbers_that_are_filler_or_repeated_do_not_identify() -> None:
    old, new = rackserver(), rackserver()
    for plain in (old, new):
        for slot in at(plain, "dimms.slots"):
            slot["serial"] = "00000000" if slot["slot"] < "B" else "SAME"
    at(new, "dimms.slots").pop(3)
    assert told(old, new) == ["DIMM in slot A4 is gone: 32 GiB DDR4 Samsung M393A4K40DB3-CWE"]


def failed(probe: str) -> Plain:
    plain = rackserver()
    plain["extra"]["probes"][probe] = {"ok": False}
    return plain


def without_extra() -> Plain:
    plain = rackserver()
    plain["extra"] = None
    return plain


@pytest.mark.parametrize(
    ("make", "lost"),
    [
        (lambda: failed("storage") | {}, ["disk"]),
        (lambda: failed("pcie"), ["PCIe link"]),
        (lambda: changed("dimms.slots", []), ["DIMM"]),
        (without_extra, ["boot", "DIMM", "optical module", "accelerator", "RAID controller",
                         "PCIe link", "BMC", "TPM", "power supply"]),
    ],
    ids=["storage", "pcie", "no slots", "a document of LXD"],
)  # fmt: skip
def test_what_could_not_be_read_is_named_and_not_gone(
    make: Callable[[], Plain], lost: list[str]
) -> None:
    new = make()
    if "storage" in new["extra"]["probes"] if new["extra"] else False:
        at(new, "storage")["disks"] = []
    assert told(rackserver(), new) == []
    assert told(new, rackserver()) == []
    assert unread(read(rackserver()), read(new)) == lost


def test_control_characters_of_a_vendor_do_not_reach_a_sentence() -> None:
    evil = "\x1b[2J\u202eevil\n\x00" + "x" * 5000
    for path in ("dimms.slots.0.part", "storage.disks.0.model", "system.vendor"):
        for sentence in told(rackserver(), changed(path, evil)):
            assert sentence.isprintable()
            assert len(sentence) < 1200


@pytest.mark.slow
def test_ten_thousand_disks_are_compared_without_delay() -> None:
    old, new = rackserver(), rackserver()
    disk = at(old, "storage.disks")[0]
    for plain in (old, new):
        at(plain, "storage")["disks"] = [
            disk | {"id": f"d{n}", "serial": f"S{n}", "device_path": f"p{n}"} for n in range(10_000)
        ]
    at(new, "storage.disks").pop(5000)
    assert len(told(old, new)) == 1
