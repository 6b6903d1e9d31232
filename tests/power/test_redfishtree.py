import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.power.redfish_bmc import SYSTEM, RedfishBmc, serving

from muster.power import https, redfish, redfishtree
from muster.wire.resources import read_document, summary

GIB = 1 << 30
MACHINE = {
    "Manufacturer": "Dell Inc.",
    "Model": "PowerEdge R750",
    "SKU": "F54P1G3",
    "UUID": "4C4C4544-0035-3410-8050-C6C04F314733",
    "BiosVersion": "1.8.2",
    "Processors": {"@odata.id": f"{SYSTEM}/Processors"},
    "Memory": {"@odata.id": f"{SYSTEM}/Memory"},
    "Storage": {"@odata.id": f"{SYSTEM}/Storage"},
    "EthernetInterfaces": {"@odata.id": f"{SYSTEM}/EthernetInterfaces"},
}
PARTS: dict[str, list[dict[str, Any]]] = {
    "Processors": [
        {"Id": "1", "ProcessorType": "CPU", "Model": "Xeon", "TotalCores": 4, "TotalThreads": 8,
         "InstructionSet": "x86-64"},
        {"Id": "2", "ProcessorType": "GPU", "Model": "A100", "TotalCores": 6912},
        {"Id": "3", "ProcessorType": "CPU", "Status": {"State": "Absent"}},
    ],
    "Memory": [
        {"Id": "a", "DeviceLocator": "A1", "CapacityMiB": 32768, "SerialNumber": "D1"},
        {"Id": "b", "DeviceLocator": "A2", "CapacityMiB": None, "Status": {"State": "Absent"}},
    ],
    "EthernetInterfaces": [
        {"Id": "NIC.1", "MACAddress": "AA:BB:CC:00:00:02", "LinkStatus": "LinkUp",
         "SpeedMbps": 25000},
        {"Id": "ToManager", "MACAddress": "0A:8F:C3:A5:8A:71"},
        {"Id": "NIC.2", "MACAddress": None},
    ],
    "Storage": [{"Id": "s", "Drives": [{"@odata.id": f"{SYSTEM}/Drives/d"}, {"@odata.id": 7}]}],
}  # fmt: skip
DRIVE = {"Id": "d", "Model": "PM9A3", "SerialNumber": "S1", "CapacityBytes": 960 * 10**9,
         "Protocol": "NVMe", "MediaType": "SSD"}  # fmt: skip


def grown(bmc: RedfishBmc, parts: dict[str, list[dict[str, Any]]]) -> None:
    bmc.resources[SYSTEM] |= MACHINE
    bmc.resources[f"{SYSTEM}/Drives/d"] = DRIVE
    for name, members in parts.items():
        links = []
        for number, member in enumerate(members):
            path = f"{SYSTEM}/{name}/{number}"
            bmc.resources[path] = member
            links.append({"@odata.id": path})
        bmc.resources[f"{SYSTEM}/{name}"] = {"Members": links}


def read(bmc: RedfishBmc) -> dict[str, Any]:
    async def use() -> dict[str, Any]:
        async with serving(bmc.handle, None) as url:
            given = {"power_address": url, "power_user": "admin", "power_pass": "hush",
                     "tls": "insecure"}  # fmt: skip
            async with https.connect(https.peer_of(given)) as link:
                ((_, system),) = await redfish.systems_of(link)
                return await redfishtree.document(link, system)

    return asyncio.run(use())


def test_what_a_bmc_knows_is_a_resources_document() -> None:
    bmc = RedfishBmc()
    grown(bmc, PARTS)
    document = read(bmc)
    assert document["environment"] == {"server": "redfish", "source": "out-of-band"}
    assert document["missing"] == []
    known = read_document(json.dumps(document).encode())
    told = summary(known)
    assert (told.sockets, told.cores, told.cpu_count, told.cpu_model) == (1, 4, 8, "Xeon")
    assert told.memory_bytes == 32 * GIB
    assert [(d.name, d.model, d.serial, d.size_bytes, d.rotational) for d in told.disks] == [
        ("d", "PM9A3", "S1", 960 * 10**9, False)
    ]
    assert [(n.mac, n.speed, n.link) for n in told.nics] == [("aa:bb:cc:00:00:02", 25000, True)]
    assert (told.vendor, told.serial) == ("Dell Inc.", "F54P1G3")
    assert known.resources.cpu.architecture == "x86_64"


def test_what_the_bmc_cannot_read_is_left_out_and_told() -> None:
    bmc = RedfishBmc()
    grown(bmc, PARTS)
    del bmc.resources[f"{SYSTEM}/Memory/0"]
    bmc.resources[SYSTEM]["MemorySummary"] = {"TotalSystemMemoryGiB": 32.0}
    document = read(bmc)
    assert document["resources"]["memory"]["total"] == 32 * GIB
    (told,) = document["missing"]
    assert told.startswith(f"GET {SYSTEM}/Memory/0: 127.0.0.1 has no such thing")
    assert len(document["resources"]["storage"]["disks"]) == 1


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


class Junk:
    """A link whose every answer is one object."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    async def get(self, _: str) -> https.Answer:
        return https.Answer({}, self.body)


KEYS = sorted({key for members in PARTS.values() for one in members for key in one} | set(DRIVE))


@given(st.dictionaries(st.sampled_from([*KEYS, "Members", "Drives", "Devices"]), JUNK))
def test_whatever_a_bmc_says_is_a_document_that_can_be_read(body: dict[str, Any]) -> None:
    members = {"Members": [{"@odata.id": "/x"}], "Drives": [{"@odata.id": "/y"}]}
    system = {**MACHINE, **body}
    link: Any = Junk({**members, **body})
    document = asyncio.run(redfishtree.document(link, system))
    told = summary(read_document(json.dumps(document).encode()))
    assert told.cpu_count >= told.cores
