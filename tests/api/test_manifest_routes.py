"""The manifest over HTTP."""

from typing import Any

from rackserver import rackserver
from tests.api.desk import Desk
from tests.api.test_history import Server

TEXT = "name,mac,rack,u,cables\nweb-1,52:54:00:12:36:01,R12,17,eth0=sw1:1/5\nweb-2,,R12,18,\n"


def imported(desk: Desk, text: str = TEXT, **how: Any) -> Any:
    return desk.ask("POST", "/manifest/import", json={"text": text, **how})


def test_a_manifest_goes_in_is_checked_and_comes_out(desk: Desk) -> None:
    server = Server(desk, 1)
    server.sends(rackserver())
    assert imported(desk).json()["added"] == ["web-1", "web-2"]
    page = desk.get("/manifest", params={"limit": 1})
    assert (page["items"][0]["key"], page["next"]) == ("web-1", "web-1")
    assert page["items"][0]["cables"] == [{"nic": "eth0", "switch": "sw1", "port": "1/5"}]
    rest = desk.get("/manifest", params={"after": page["next"]})
    assert ([row["key"] for row in rest["items"]], rest["next"]) == (["web-2"], "")
    one, two = desk.get("/manifest/check")["items"]
    assert (one["status"], one["machine_name"], two["status"]) == (
        "mismatching",
        server.name,
        "missing",
    )
    assert one["because"] == "the same MAC"
    (there,) = desk.get("/machines", params={"filter": 'rack = "R12"', "sort": "rack"})["items"]
    assert (there["name"], there["rack"], there["rack_unit"]) == (server.name, "R12", 17)
    assert desk.get("/manifest/unexpected")["items"] == []
    assert desk.get("/manifest/racks") == [
        {"rack": "R12", "rows": 2, "missing": 1, "mismatching": 1}
    ]
    assert desk.get(f"/machines/{server.name}/expected")["row"]["key"] == "web-1"
    for form in ("csv", "json"):
        text = desk.ask("GET", "/manifest/export", params={"format": form}).text
        assert imported(desk, text, replace=True).json()["unchanged"] == 2
    (given,) = desk.ask("POST", "/manifest/apply", json={"keys": ["web-1"]}).json()
    assert (given["machine"], given["done"]) == ("web-1", True)
    assert desk.ask("DELETE", "/manifest/rows/web-2").status_code == 204
    assert desk.ask("GET", "/manifest/rows/web-2").status_code == 404


def test_a_bad_file_is_refused_with_every_line(desk: Desk) -> None:
    answer = imported(desk, "name,mac\nweb-1,x\nweb 2,\n")
    assert answer.status_code == 400
    assert [item["field"] for item in answer.json()["wrong"]] == ["line 2: macs", "line 3: name"]
    tried = imported(desk, "name,mac\nweb-1,x\n", dry_run=True)
    assert tried.status_code == 200
    assert tried.json()["problems"][0]["line"] == 2


def test_a_viewer_may_look_and_not_import(desk: Desk) -> None:
    answer = desk.ask("POST", "/manifest/import", json={"text": TEXT}, role="viewer")
    assert answer.status_code == 403
    assert desk.ask("GET", "/manifest/check", role="viewer").status_code == 200


def test_a_machine_that_is_in_no_row_says_so(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    answer = desk.ask("GET", f"/machines/{name}/expected")
    assert answer.status_code == 404
    assert answer.json()["detail"] == f"{name} is not in the manifest"
