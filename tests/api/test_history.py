"""Versions, differences and the ledger over HTTP."""

import copy
import json
from typing import Any

from rackserver import rackserver
from tests.api.desk import Desk, resources, story


class Server:
    """A machine that can be surveyed again and again."""

    def __init__(self, desk: Desk, number: int) -> None:
        self.desk = desk
        self.evidence = {
            "mac": f"52:54:00:12:36:{number:02x}",
            "uuid": f"5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0c{number:02x}",
        }
        self.name = ""

    def surveyed(self, document: bytes) -> None:
        if self.name:
            self.desk.ask("POST", f"/machines/{self.name}/commission")
        welcome = self.desk.hello(self.desk.boot(**self.evidence), **self.evidence).json()
        answer = self.desk.events(welcome["token"], story(welcome, document=document))
        assert answer.status_code == 200, answer.text
        self.name = welcome["machine"]

    def sends(self, plain: dict[str, Any]) -> None:
        self.surveyed(json.dumps(plain).encode())

    def diff(self, **versions: int) -> list[str]:
        found = self.desk.get(f"/machines/{self.name}/diff", params=versions)
        return [change["sentence"] for change in found["changes"]]


def without_disk(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    plain = rackserver()
    return plain, plain["resources"]["storage"]["disks"].pop(number)


def test_a_disk_that_wanders_is_told_on_both_sides(desk: Desk, clock: Any) -> None:
    here, there = Server(desk, 1), Server(desk, 2)
    less, disk = without_disk(2)
    bare = {"api_version": "1.0", "resources": {"storage": {"disks": []}}}
    here.sends(rackserver())
    there.sends(bare)
    clock.advance(60)
    here.sends(less)
    clock.advance(60)
    more = copy.deepcopy(bare)
    more["resources"]["storage"]["disks"].append(disk)
    there.sends(more)

    (gone,) = here.diff()
    assert gone.startswith("disk at pci-0000:62:00.0-nvme-1 is gone: 3.84 TB")
    assert gone.endswith(f"serial {disk['serial']}, now in machine {there.name}")
    (new,) = there.diff()
    assert new.endswith(f"moved here from machine {here.name}")
    assert here.diff(old=1, new=1) == []
    (back,) = here.diff(old=2, new=1)
    assert " is new" in back

    stays = desk.get("/components", params={"serial": disk["serial"]})
    assert [(stay["machine_name"], stay["gone_at"] is None) for stay in stays] == [
        (here.name, False),
        (there.name, True),
    ]
    assert desk.get("/components", params={"serial": "nothing"}) == []
    found = desk.get(f"/machines/{here.name}/versions")
    assert [version["version"] for version in found] == [2, 1]
    first = desk.ask("GET", f"/machines/{here.name}/resources", params={"version": 1})
    assert first.json() == rackserver()


def test_a_machine_with_one_document_says_what_to_do(desk: Desk) -> None:
    server = Server(desk, 1)
    server.surveyed(resources())
    answer = desk.ask("GET", f"/machines/{server.name}/diff")
    assert answer.status_code == 404
    assert "commission it again to compare" in answer.json()["detail"]
    answer = desk.ask("GET", f"/machines/{server.name}/diff", params={"old": 7})
    assert "no version 7" in answer.json()["detail"]


def test_a_machine_never_surveyed_has_no_versions(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    assert desk.get(f"/machines/{name}/versions") == []
    answer = desk.ask("GET", f"/machines/{name}/resources")
    assert "has sent no resources document yet" in answer.json()["detail"]


def test_what_was_not_read_is_named_beside_the_changes(desk: Desk) -> None:
    server = Server(desk, 1)
    server.sends(rackserver())
    plain = rackserver()
    plain["extra"]["probes"]["storage"] = {"ok": False}
    plain["resources"]["storage"]["disks"] = []
    server.sends(plain)
    found = desk.get(f"/machines/{server.name}/diff")
    assert (found["changes"], found["unread"]) == ([], ["disk"])
