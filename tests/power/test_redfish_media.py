"""Virtual drives and event logs of Redfish BMCs, and the log of an IPMI BMC."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.power.redfish_bmc import SESSIONS, SYSTEM, RedfishBmc, says, serving

from muster.power import ipmi, redfish
from muster.power.drivers import LogLine, LogSummary, PowerError, check

MANAGER = "/redfish/v1/Managers/1"
DRIVE = f"{MANAGER}/VirtualMedia/CD1"
ENTRIES = f"{MANAGER}/LogServices/Sel/Entries"


class Shelf(RedfishBmc):
    """With a manager that has two virtual drives and two logs; `drive` is what is in the CD's."""

    def __init__(self) -> None:
        super().__init__()
        self.drive = ""
        self.resources[SYSTEM]["Links"] = {"ManagedBy": [{"@odata.id": MANAGER}]}
        for name, members in (("VirtualMedia", ("Floppy1", "CD1")), ("LogServices", ("Lc", "Sel"))):
            links = [{"@odata.id": f"{MANAGER}/{name}/{one}"} for one in members]
            self.resources[f"{MANAGER}/{name}"] = {"Members": links}
        self.resources |= {
            MANAGER: {
                "VirtualMedia": {"@odata.id": f"{MANAGER}/VirtualMedia"},
                "LogServices": {"@odata.id": f"{MANAGER}/LogServices"},
            },
            f"{MANAGER}/VirtualMedia/Floppy1": {"MediaTypes": ["Floppy"]},
            f"{MANAGER}/LogServices/Lc": {"Id": "Lc", "Entries": {"@odata.id": "/nowhere"}},
            f"{MANAGER}/LogServices/Sel": {"Id": "Sel", "Entries": {"@odata.id": ENTRIES}},
            ENTRIES: {"Members": []},
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        target = f"{DRIVE}/Actions/VirtualMedia.InsertMedia"
        self.resources[DRIVE] = {
            "@odata.id": DRIVE,
            "MediaTypes": ["CD", "DVD"],
            "Inserted": bool(self.drive),
            # Its EjectMedia is where DSP0266 puts it, unsaid.
            "Actions": {"#VirtualMedia.InsertMedia": {"target": target}},
        }
        if request.method == "POST" and request.path.startswith(DRIVE):
            self.heard.append((request.method, request.path.rpartition(".")[2]))
            self.drive = (await request.json()).get("Image", "")
            return web.Response(status=204)
        return await super().handle(request)


def use(bmc: RedfishBmc, verb: Any, *words: Any) -> Any:
    async def run() -> Any:
        async with serving(bmc.handle, None) as url:
            given = {"power_address": url, "power_user": "admin", "power_pass": "hush"}
            return await verb(check("redfish", given | {"node_id": "1", "tls": "insecure"}), *words)

    return asyncio.run(run())


def test_an_image_is_put_in_replaced_and_taken_out_and_the_machine_boots_from_it() -> None:
    bmc = Shelf()
    use(bmc, redfish.insert, "http://10.0.0.1/a.iso")
    assert bmc.drive == "http://10.0.0.1/a.iso"
    use(bmc, redfish.insert, "http://10.0.0.1/b.iso")
    assert bmc.drive == "http://10.0.0.1/b.iso"
    use(bmc, redfish.set_boot, "cd")
    assert bmc.boot["BootSourceOverrideTarget"] == "Cd"
    use(bmc, redfish.eject)
    use(bmc, redfish.eject)
    assert bmc.drive == ""
    posted = [path for method, path in bmc.heard if method == "POST"]
    assert posted == ["InsertMedia", "EjectMedia", "InsertMedia", "EjectMedia"]


def test_a_bmc_without_virtual_drive_or_log_says_so() -> None:
    with pytest.raises(PowerError, match="has no virtual drive for CDs; it may need a licence"):
        use(RedfishBmc(), redfish.insert, "http://10.0.0.1/a.iso")
    with pytest.raises(PowerError, match="has no log of this system"):
        use(RedfishBmc(), redfish.log)


@pytest.mark.parametrize("whole", [True, False], ids=["whole entries", "links"])
def test_the_hardware_s_log_is_read_newest_first(whole: bool) -> None:
    bmc = Shelf()
    entries = [
        {"Created": f"2026-03-0{day}T00:00:00Z", "Severity": "Warning", "Message": f"day {day}\n"}
        for day in (1, 3, 2)
    ]
    links = [{"@odata.id": f"{ENTRIES}/{number}"} for number in range(3)]
    bmc.resources[ENTRIES] = {"Members": entries if whole else links}
    bmc.resources |= {link["@odata.id"]: entry for link, entry in zip(links, entries, strict=True)}
    assert use(bmc, redfish.log) == [
        LogLine(f"2026-03-0{day}T00:00:00Z", "Warning", f"day {day}") for day in (3, 2, 1)
    ]


def test_a_hardware_log_is_summed_up_by_its_count_its_room_and_its_newest_critical_line() -> None:
    bmc = Shelf()
    bmc.resources[f"{MANAGER}/LogServices/Sel"]["MaxNumberOfRecords"] = 500
    entries = [
        {"Created": f"2026-03-0{day}T00:00:00Z", "Severity": word, "Message": f"day {day}"}
        for day, word in ((1, "Critical"), (3, "OK"), (2, "Critical"))
    ]
    bmc.resources[ENTRIES] = {"Members": entries, "Members@odata.count": 100}
    newest = LogLine("2026-03-02T00:00:00Z", "Critical", "day 2")
    assert use(bmc, redfish.sum_log) == LogSummary(100, 20, newest)
    bmc.resources[ENTRIES] = {"Members": [], "Members@odata.count": "many"}
    assert use(bmc, redfish.sum_log) == LogSummary(0, 0, None)


def test_many_questions_are_asked_in_one_session_which_is_closed() -> None:
    bmc = Shelf()
    bmc.sessions = {}
    assert use(bmc, redfish.log) == []
    assert bmc.sessions == {}
    began, *asked, ended = bmc.heard
    assert (began, ended[0]) == (("POST", SESSIONS), "DELETE")
    assert len(asked) > 4
    bmc.fault = says(500)
    with pytest.raises(PowerError):
        use(bmc, redfish.log)
    assert bmc.sessions == {}, "closed also when it went wrong"


def test_a_password_that_opens_no_session_is_not_tried_again() -> None:
    bmc = Shelf()
    bmc.sessions, bmc.password = {}, "changed"
    with pytest.raises(PowerError, match="wrong password for user 'admin'"):
        use(bmc, redfish.log)
    assert bmc.heard == [("POST", SESSIONS)]


# In the form that ipmi-sel 1.6.10 prints, as test_ipmi sees of ipmi_sim.
SEL = """\
1,Mar-01-2026,12:00:00,Sensor #1,Temperature,Critical,Upper Critical - going high
2,PostInit,PostInit,Sensor #2,"Power Supply",Nominal,"Presence detected, again"
"""


def test_an_ipmi_log_is_read_newest_first() -> None:
    assert ipmi.read_log(SEL) == [
        LogLine("PostInit PostInit", "Nominal", "Power Supply: Presence detected, again"),
        LogLine("Mar-01-2026 12:00:00", "Critical", "Temperature: Upper Critical - going high"),
    ]


@given(st.text())
def test_any_output_is_an_ipmi_log(output: str) -> None:
    assert all(isinstance(line, LogLine) for line in ipmi.read_log(output))


@given(st.text(), st.text())
def test_any_output_is_an_ipmi_log_s_summary_or_refused(count: str, free: str) -> None:
    output = f"Number of log entries : {count}\nFree space remaining : {free} bytes\n"
    try:
        entries, full = ipmi.read_info(output)
    except PowerError:
        return
    assert entries >= 0
    assert full is None or 0 <= full <= 100


SAID = """\
{guid}
FRU Inventory Device: Default FRU Device (ID 00h)

  FRU Chassis Serial Number: CH1
  FRU Board Serial Number: B1
  FRU Product Manufacturer Name: ACME
  FRU Product Name: Rocket 2: the second
  FRU Product Serial Number: SN4711

FRU Inventory Device: PSU (ID 01h)
  FRU Product Serial Number: PSU1
"""
SMBIOS = "0d1f9d4e-5d0a-4f93-9a7e-5a4f9d1e0001"


@pytest.mark.parametrize("order", ["IPMI's", "RFC 4122's", "SMBIOS's"])
def test_a_system_guid_is_read_in_whatever_order_the_bmc_keeps_it(order: str) -> None:
    kept = {
        "IPMI's": UUID(SMBIOS).bytes[::-1],
        "RFC 4122's": UUID(SMBIOS).bytes,
        "SMBIOS's": UUID(SMBIOS).bytes_le,
    }[order]
    # FreeIPMI prints the last byte first.
    told = ipmi.read_identity(SAID.format(guid=UUID(bytes=kept[::-1])))
    assert (told.uuid, told.vendor, told.product) == (SMBIOS, "ACME", "Rocket 2: the second")
    assert (told.serial, told.chassis, told.board.serial) == ("SN4711", "CH1", "B1")


@given(st.text())
def test_any_output_is_an_ipmi_identity(output: str) -> None:
    assert ipmi.read_identity(output).uuid == ""
    fru = ipmi.read_identity("FRU Inventory Device: 0\n" + output)
    assert len(fru.serial) <= 64
