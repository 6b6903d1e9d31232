"""A machine with a bit of everything: its document says what was put in, item by item."""

from typing import Any

import pytest
from tests.e2e.served import Served

from muster.cli.client import machine_path
from muster.lab.machines import Bmc, DiskKind, DiskOrder, NicModel, NicOrder, Order

pytestmark = pytest.mark.e2e

SCSI_DISKS = 31
MIB = 1024 * 1024
MODELS = (NicModel.VIRTIO, NicModel.E1000E, NicModel.VMXNET3)
DRIVERS = ["virtio_net", "e1000e", "vmxnet3"]

RICH = Order(
    name="rich",
    cpus=4,
    memory_mib=3072,
    numa_nodes=2,
    dimms=4,
    tpm=True,
    bmc=Bmc.KCS,
    vendor="Acme",
    product="Rack 9000",
    nics=tuple(NicOrder(model=model) for model in MODELS),
    disks=(
        DiskOrder(kind=DiskKind.NVME, serial="NVME-1", size_mib=512),
        DiskOrder(kind=DiskKind.SATA, serial="SATA-1", size_mib=256),
        DiskOrder(kind=DiskKind.USB, serial="USB-1", size_mib=64),
        *(DiskOrder(kind=DiskKind.SCSI, size_mib=16 + n) for n in range(SCSI_DISKS)),
    ),
)


@pytest.fixture
def document(served: Served) -> dict[str, Any]:
    """What the machine said of itself when it enlisted."""
    served.lab.add(RICH)
    (record,) = served.enlist("rich")
    found: dict[str, Any] = served.api.get(machine_path(record["id"], "/resources"))
    return found


def test_a_rich_machine_s_document_states_what_was_put_in(
    served: Served, document: dict[str, Any]
) -> None:
    resources, extra = document["resources"], document["extra"]
    order = served.lab.machine("rich").document()
    failed = [name for name, probe in extra["probes"].items() if not probe["ok"]]
    assert failed == []

    check_board(resources, extra, order)
    check_disks(resources, extra)
    check_nics(resources, extra, order)

    assert extra["tpm"]["version"] == "2.0"
    assert extra["tpm"]["manufacturer"] == "IBM"
    assert "sha256" in extra["tpm"]["pcr_banks"]
    assert extra["bmc"]["device"] == "/dev/ipmi0"
    assert extra["bmc"]["ipmi_version"] == "2.0"
    assert extra["bmc"]["interfaces"][0]["type"] == "KCS"
    assert extra["bmc"]["interfaces"][0]["address"] == "0xca2"


def check_board(resources: dict[str, Any], extra: dict[str, Any], order: dict[str, Any]) -> None:
    assert resources["cpu"]["total"] == 4
    assert [socket["socket"] for socket in resources["cpu"]["sockets"]] == [0, 1]
    threads = [
        (thread["id"], thread["numa_node"])
        for socket in resources["cpu"]["sockets"]
        for core in socket["cores"]
        for thread in core["threads"]
    ]
    assert threads == [(0, 0), (1, 0), (2, 1), (3, 1)]
    assert [node["numa_node"] for node in resources["memory"]["nodes"]] == [0, 1]
    assert resources["memory"]["total"] == 3072 * MIB

    system = resources["system"]
    assert (system["vendor"], system["product"]) == ("Acme", "Rack 9000")
    assert (system["uuid"], system["serial"]) == (order["uuid"], order["serial"])
    assert system["type"] == "virtual-machine"
    assert extra["boot_firmware"]["mode"] == "bios"

    slots = extra["dimms"]["slots"]
    assert [slot["slot"] for slot in slots] == [f"DIMM_{n}" for n in range(4)]
    assert {slot["size"] for slot in slots} == {768 * MIB}
    assert {(slot["type"], slot["speed"], slot["ecc"]) for slot in slots} == {("DDR4", 3200, True)}
    assert [slot["serial"] for slot in slots] == [f"{order['serial']}-M{n}" for n in range(4)]


def check_disks(resources: dict[str, Any], extra: dict[str, Any]) -> None:
    disks = {disk["serial"]: disk for disk in resources["storage"]["disks"]}
    assert len(disks) == len(RICH.disks)
    kinds = {"NVME-1": "nvme", "SATA-1": "sata", "USB-1": "usb"}
    assert {serial: disks[serial]["type"] for serial in kinds} == kinds
    assert {serial: disks[serial]["size"] // MIB for serial in kinds} == {
        "NVME-1": 512,
        "SATA-1": 256,
        "USB-1": 64,
    }
    scsi = [disk for disk in disks.values() if disk["type"] == "scsi"]
    assert sorted(disk["size"] // MIB for disk in scsi) == list(range(16, 16 + SCSI_DISKS))
    names = {disk["id"] for disk in disks.values()}
    assert {"sda", "sdaa", "nvme0n1"} <= names
    assert all(disk["pci_address"] for disk in disks.values())
    assert disks["USB-1"]["usb_address"]
    assert all(disk["partitions"] == [] for disk in disks.values())

    health = {disk["disk"]: disk for disk in extra["disk_health"]["disks"]}
    assert health.keys() >= names
    assert (health["nvme0n1"]["source"], health["nvme0n1"]["passed"]) == ("nvme", True)
    assert health["nvme0n1"]["paths"][0]["transport"] == "pcie"
    sata = health[disks["SATA-1"]["id"]]
    assert (sata["source"], sata["passed"]) == ("smartctl", True)
    assert extra["disk_writes"] == dict.fromkeys(names, 0)
    serials = {device["serial"] for device in resources["usb"]["devices"]}
    assert "USB-1" in serials


def check_nics(resources: dict[str, Any], extra: dict[str, Any], order: dict[str, Any]) -> None:
    cards = resources["network"]["cards"]
    ports = {card["ports"][0]["address"]: card["driver"] for card in cards}
    assert ports == dict(zip(order["macs"], DRIVERS, strict=True))
    told = {nic["interface"]: nic["driver"] for nic in extra["nics"]["interfaces"]}
    assert sorted(told.values()) == sorted(DRIVERS)
    addresses = {device["pci_address"] for device in resources["pci"]["devices"]}
    assert {card["pci_address"] for card in cards} <= addresses
    assert {function["pci_address"] for function in extra["pcie"]["functions"]} == addresses
