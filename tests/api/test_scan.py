"""BMCs on loopback are found, read and taken in; the machines that boot later are the same."""

import asyncio
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import Desk, story
from tests.power.certificates import Authority
from tests.power.ipmi_bmc import IpmiBmc, fru, listen
from tests.power.redfish_bmc import SESSIONS, SYSTEM, RedfishBmc, serving
from tests.power.test_redfishtree import MACHINE, PARTS, grown

UUID = str(MACHINE["UUID"]).lower()
MAC = "aa:bb:cc:00:00:02"
SECRET = "tell-NOBODY-77"


class Row:
    """Two BMCs: Redfish and IPMI, at addresses of their own."""

    def __init__(self, folder: Path) -> None:
        self.redfish, self.ipmi = RedfishBmc(password=SECRET), IpmiBmc(password=SECRET)
        self.ipmi.user = "admin"
        grown(self.redfish, PARTS)
        tls, self.fingerprint = Authority(folder).context(self_signed=True)
        self._loop = asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self.ports: dict[str, int] = {}

        async def play() -> None:
            transport = await listen(self.ipmi, "127.9.0.2")
            async with serving(self.redfish.handle, tls, host="127.9.0.1") as url:
                self.ports = {
                    "redfish_port": int(url.rpartition(":")[2]),
                    "ipmi_port": transport.get_extra_info("sockname")[1],
                }
                self._ready.set()
                await self._stop.wait()
            transport.close()

        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(play(),))
        self._thread.start()
        assert self._ready.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def scan(self, desk: Desk, **more: Any) -> Any:
        body = {"ranges": ["127.9.0.1-4"], **self.ports, **more}
        answer = desk.ask("POST", "/bmcs/scan", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def row(tmp_path: Path) -> Iterator[Row]:
    made = Row(tmp_path)
    yield made
    made.close()


def test_without_a_user_it_tells_what_is_there_and_takes_nothing_in(desk: Desk, row: Row) -> None:
    one, two = row.scan(desk)
    assert (one["address"], one["redfish"]["vendor"], one["ipmi"]) == ("127.9.0.1", "ACME", None)
    assert one["redfish"]["fingerprint"] == row.fingerprint
    assert (two["address"], two["redfish"]) == ("127.9.0.2", None)
    assert two["ipmi"] == {"version": "2.0", "weak": []}
    assert desk.get("/machines")["items"] == []
    assert {path for _, path in row.redfish.heard} == {"/redfish/v1/"}
    told = [event["message"] for event in desk.get("/events", params={"kind": "bmc."})]
    assert told == ["127.9.0.1-4: 4 addresses asked, 2 BMCs"]


@pytest.mark.slow
def test_with_a_user_machines_are_taken_in_with_bmc_and_inventory(desk: Desk, row: Row) -> None:
    one, two = row.scan(desk, power_user="admin", power_pass=SECRET)
    assert [(taken["machine"], taken["outcome"]) for taken in one["machines"]] == [
        ("f54p1g3", "created")
    ]
    assert [(taken["machine"], taken["outcome"]) for taken in two["machines"]] == [
        ("bmc-127-9-0-2", "created")
    ], two["error"]
    machine = desk.get("/machines/f54p1g3")
    assert (machine["state"], machine["uuid"], machine["macs"]) == ("New", UUID, [MAC])
    assert (machine["summary"]["source"], machine["summary"]["cpu_count"]) == ("out-of-band", 8)
    assert machine["surveyed_at"] is None
    power = desk.get("/machines/f54p1g3/power")
    assert (power["driver"], power["parameters"]["node_id"]) == ("redfish", "1")
    assert power["parameters"]["tls_fingerprint"] == row.fingerprint
    ipmi = desk.get("/machines/bmc-127-9-0-2/power")
    assert (ipmi["driver"], ipmi["parameters"]["cipher_suite_id"]) == ("ipmi", "17")
    found = desk.get("/machines", params={"filter": "memory >= 32GiB"})["items"]
    assert [one["name"] for one in found] == ["f54p1g3"]
    again, _ = row.scan(desk, power_user="admin", power_pass=SECRET)
    assert [taken["outcome"] for taken in again["machines"]] == ["known"]
    assert len(desk.get("/machines")["items"]) == 2
    assert row.redfish.power == "Off"
    changing = {path for method, path in row.redfish.heard if method != "GET"}
    assert changing == {SESSIONS}
    assert SECRET not in str((one, two, again, machine, power, ipmi, desk.get("/events")))


def test_what_boots_later_is_the_machine_behind_the_bmc_and_their_views_are_compared(
    desk: Desk, row: Row
) -> None:
    row.scan(desk, ranges=["127.9.0.1"], power_user="admin", power_pass=SECRET)
    welcome = desk.enlist(uuid=UUID, mac=MAC)
    assert welcome["machine"] == "f54p1g3"
    document = (
        b'{"api_version": "1.0", "resources": {"memory": {"total": 17179869184}, "storage":'
        b' {"disks": [{"id": "sda", "serial": "S2"}]}}}'
    )
    desk.events(welcome["token"], story(welcome, document=document))
    (finding,) = [
        one
        for one in desk.get("/machines/f54p1g3/findings")
        if one["name"] == "out-of-band-differences"
    ]
    assert finding["body"] == [
        {"what": "memory", "inside": "16.0 GiB", "outside": "32.0 GiB"},
        {"what": "disk S1", "inside": "not there", "outside": "there"},
    ]
    (told,) = desk.get("/events", params={"kind": "machine.views"})
    assert told["message"] == (
        "f54p1g3 and its BMC disagree: memory: 16.0 GiB, its BMC says 32.0 GiB; disk S1: not there,"
        " its BMC says there"
    )


def test_a_machine_that_enlisted_before_gets_its_bmc(desk: Desk, row: Row) -> None:
    name = desk.enlist(uuid=UUID, mac=MAC)["machine"]
    (one,) = row.scan(desk, ranges=["127.9.0.1"], power_user="admin", power_pass=SECRET)
    assert [(taken["machine"], taken["outcome"]) for taken in one["machines"]] == [
        (name, "switched")
    ]
    assert desk.get(f"/machines/{name}/power")["driver"] == "redfish"


def test_a_bmc_without_uuid_and_macs_is_known_by_its_serial_number(desk: Desk, row: Row) -> None:
    row.redfish.resources[SYSTEM] |= {"UUID": None, "SKU": "S1"}
    row.redfish.resources[f"{SYSTEM}/EthernetInterfaces"] = {"Members": []}
    row.scan(desk, ranges=["127.9.0.1"], power_user="admin", power_pass=SECRET)
    # The desk's machines have the serial number S1.
    assert desk.enlist(uuid=UUID, mac=MAC)["machine"] == "s1"
    assert desk.get("/machines/s1")["macs"] == [MAC]


def test_a_machine_behind_an_ipmi_bmc_is_known_by_its_guid_and_serial_number(
    desk: Desk, row: Row
) -> None:
    row.ipmi.guid = uuid.UUID(UUID).bytes[::-1]
    row.ipmi.fru = fru(["CHP", "CH1"], ["ACME", "X11", "B1"], ["ACME", "R2", "", "", "SN4711"])
    (two,) = row.scan(desk, ranges=["127.9.0.2"], power_user="admin", power_pass=SECRET)
    assert [taken["machine"] for taken in two["machines"]] == ["sn4711"], two
    machine = desk.get("/machines/sn4711")
    assert (machine["uuid"], machine["vendor"], machine["product"]) == (UUID, "ACME", "R2")
    assert desk.get("/machines", params={"filter": "memory < 1GiB"})["items"] == []
    welcome = desk.enlist(uuid=UUID, mac=MAC)
    assert welcome["machine"] == "sn4711"
    document = b'{"api_version": "1.0", "resources": {"system": {"serial": "OTHER"}}}'
    desk.events(welcome["token"], story(welcome, document=document))
    bodies = {one["name"]: one["body"] for one in desk.get("/machines/sn4711/findings")}
    assert bodies["out-of-band-differences"] == [
        {"what": "serial number", "inside": "OTHER", "outside": "SN4711"}
    ]
    board = bodies["out-of-band"]["resources"]["system"]["motherboard"]
    assert board == {"vendor": "ACME", "product": "X11", "serial": "B1"}


def test_a_wrong_password_takes_nothing_in_and_says_so(desk: Desk, row: Row) -> None:
    (one,) = row.scan(desk, ranges=["127.9.0.1"], power_user="admin", power_pass="wrong")
    assert one["machines"] == []
    assert one["error"] == (
        "127.9.0.1: wrong password for user 'admin', or no such user; set power_pass"
    )
    assert desk.get("/machines")["items"] == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"ranges": ["10.0.0.0/16"]}, "range '10.0.0.0/16': has 65534 addresses"),
        ({"ranges": ["10.0.0.0/24", "10.0.1.0/24"]}, "ranges: 508 addresses; at most 256"),
        ({"ranges": ["here"]}, "range 'here'"),
        ({"ranges": ["10.0.0.1"], "ipmi_port": 0}, "ipmi_port: must be from 1 to 65535"),
    ],
)
def test_a_wrong_range_is_refused_by_name(desk: Desk, wrong: dict[str, Any], field: str) -> None:
    answer = desk.ask("POST", "/bmcs/scan", json=wrong)
    assert (answer.status_code, field in answer.json()["detail"]) == (400, True)


def test_a_viewer_scans_nothing(desk: Desk) -> None:
    body = {"ranges": ["127.9.0.1"]}
    assert desk.ask("POST", "/bmcs/scan", role="viewer", json=body).status_code == 403
