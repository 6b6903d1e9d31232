"""Every built-in script on machines with three NICs, a serial port, NVMe and SATA disks.

LLDP neighbours are a real lldpd at the other end of each cable.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.served import Served, lldp_switch, wall_over_slowest

from muster.cli.client import machine_path
from muster.lab.machines import DiskKind, DiskOrder, Firmware, NicModel, NicOrder, Order

pytestmark = pytest.mark.e2e

NICS = (NicOrder(), NicOrder(model=NicModel.E1000E), NicOrder())
DISKS = (DiskOrder(kind=DiskKind.NVME), DiskOrder(kind=DiskKind.SATA))
BUILT_IN = 13


@pytest.fixture
def switch(served: Served) -> Iterator[None]:
    with lldp_switch(served):
        yield


def findings(served: Served, machine: str) -> dict[str, Any]:
    found = served.api.get(machine_path(machine, "/findings"))
    return {finding["name"]: finding["body"] for finding in found}


@pytest.mark.parametrize("firmware", [Firmware.BIOS, Firmware.UEFI])
def test_every_built_in_script_passes_and_feeds_the_machine(
    served: Served, switch: None, firmware: Firmware
) -> None:
    served.lab.add(Order(name="m1", firmware=firmware, nics=NICS, disks=DISKS, memory_mib=3072))
    served.enlist("m1")
    machine = served.wire_power("m1")
    body = {"tests": ["smartctl-validate", "server-connectivity"]}
    served.api.send("POST", machine_path(machine, "/commission"), body)
    served.wait("m1 ends", lambda: served.last_run(machine)["ended_at"])
    record = served.api.get(machine_path(machine))
    results = served.last_run(machine)["results"]
    told = [(r["name"], r["device"], r["state"], r["reason"], r["runtime_s"]) for r in results]
    assert record["state"] == "Ready", (record["state_reason"], told)
    looked = [r for r in results if r["script_type"] == "commissioning"]
    assert len(looked) == BUILT_IN
    assert {r["state"] for r in looked if "fruid" not in r["name"]} == {"passed"}, told

    found = findings(served, machine)
    macs = served.lab.machine("m1").document()["macs"]
    assert found["virtuality"]["virtual"]
    assert found["boot_interface"] == {"mac": macs[0]}
    assert "ttyS0" in [port["name"] for port in found["serial_ports"]]
    assert any(alias.startswith("pci:") for alias in found["modaliases"])
    assert {link["mac"] for link in found["interfaces"]} >= set(macs)
    assert {offer["subnet"] for nic in found["subnets"] for offer in nic["offers"]}
    heard = found["lldp"]
    assert len(heard) == len(macs)
    assert {neighbour["description"] for neighbour in heard} == {"lab switch"}
    assert found["lshw"]["class"] == "system"

    disks = [r for r in results if r["name"] == "smartctl-validate"]
    assert len(disks) == len(DISKS)
    assert {r["state"] for r in disks} <= {"passed", "skipped"}
    nvme = next(r for r in disks if r["device"].startswith("nvme"))
    assert nvme["state"] == "passed", told
    assert nvme["values"]["temperature"] > 0
    reached = [r for r in results if r["name"] == "server-connectivity"]
    assert {r["state"] for r in reached} == {"passed", "skipped"}

    # A figure, not a check: emulated CPUs that take turns make every script wait for the others.
    print(json.dumps({"wall_over_slowest": wall_over_slowest(looked), "told": told}))
