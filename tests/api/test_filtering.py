"""Lists of machines by a condition: over HTTP, with what enlisting machines sent."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import Desk, resources, story

from muster.lifecycle import listing
from muster.machine.columns import COLUMNS

GIB = 2**30


def survey(memory: int, nic: str) -> bytes:
    found = {
        "memory": {"total": memory},
        "network": {"cards": [{"vendor": nic, "ports": [{"id": "eth0"}]}]},
    }
    return json.dumps({"api_version": "1.0", "resources": found}).encode()


def enlist(desk: Desk, number: int, document: bytes = b"") -> str:
    """A machine called m<number>; surveyed when it has a document."""
    mac, uuid = f"52:54:00:12:35:{number:02x}", f"5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0b{number:02x}"
    welcome = desk.enlist(mac=mac, uuid=uuid)
    if document:
        answer = desk.events(welcome["token"], story(welcome, document=document))
        assert answer.status_code == 200, answer.text
    name = f"m{number:02}"
    desk.ask("PATCH", f"/machines/{welcome['machine']}", json={"name": name})
    return name


def listed(desk: Desk, condition: str, **more: Any) -> dict[str, Any]:
    return desk.get("/machines", params={"filter": condition, **more})


def test_machines_are_listed_by_their_hardware_with_the_reason(desk: Desk) -> None:
    enlist(desk, 1, survey(768 * GIB, "Mellanox Technologies"))
    enlist(desk, 2, survey(768 * GIB, "Intel Corporation"))
    enlist(desk, 3, survey(256 * GIB, "Mellanox Technologies"))
    enlist(desk, 4, resources())
    enlist(desk, 5)
    found = listed(desk, 'memory >= 512GiB and nic.vendor has "Mellanox"')
    assert [machine["name"] for machine in found["items"]] == ["m01"]
    (because,) = found["because"].values()
    assert because == 'memory is 768 GiB and nic eth0: vendor is "Mellanox Technologies"'
    unknown = listed(desk, "memory is unknown")
    assert [machine["name"] for machine in unknown["items"]] == ["m04", "m05"]
    assert [m["name"] for m in listed(desk, "not memory > 300GiB")["items"]] == ["m03"]
    assert [m["name"] for m in listed(desk, "mac = '52:54:00:12:35:05'")["items"]] == ["m05"]
    assert listed(desk, "state = New and created_at > 2026-01-01", limit=2)["next"] == "m02"


def test_a_page_ends_after_its_time_and_leads_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        enlist(desk, number)
    monkeypatch.setattr(listing, "SECONDS", -1.0)
    # No index knows the item of a list that does not state something.
    condition = "not all(mac is unknown)"
    page = listed(desk, condition)
    assert [machine["name"] for machine in page["items"]] == ["m01"]
    assert page["next"] == "m01"
    after = [listed(desk, condition, after=after)["items"] for after in ("m01", "m02")]
    assert [[m["name"] for m in items] for items in after] == [["m02"], ["m03"]]


def test_a_new_document_replaces_what_was_known_of_the_old_one(desk: Desk) -> None:
    name = enlist(desk, 1, survey(768 * GIB, "Intel"))
    desk.ask("POST", f"/machines/{name}/commission")
    again = {"mac": "52:54:00:12:35:01", "uuid": "5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0b01"}
    welcome = desk.hello(desk.boot(**again), **again).json()
    desk.events(welcome["token"], story(welcome, document=survey(GIB, "Intel")))
    assert listed(desk, "memory = 768GiB")["items"] == []
    assert [machine["name"] for machine in listed(desk, "memory = 1GiB")["items"]] == [name]


def found(desk: Desk, **query: Any) -> list[str]:
    return [machine["name"] for machine in desk.get("/machines", params=query)["items"]]


def test_machines_are_found_by_words_of_their_record_and_hardware(desk: Desk) -> None:
    enlist(desk, 1, survey(768 * GIB, "Mellanox Technologies"))
    enlist(desk, 2, survey(768 * GIB, "Intel Corporation"))
    assert found(desk, search="mellan") == ["m01"]
    assert found(desk, search="Corporation INTEL") == ["m02"]
    assert found(desk, search="52:54:00:12:35:02") == ["m02"]
    assert found(desk, search="52-54-00-12-35-02") == ["m02"]
    assert found(desk, search="3502") == ["m02"]
    assert found(desk, search="m0") == ["m01", "m02"]
    assert found(desk, search="m0", filter="nic.vendor has intel") == ["m02"]
    assert found(desk, search="m0 nobody") == []
    assert found(desk, search="5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0b01") == ["m01"]
    because = desk.get("/machines", params={"search": "mellan", "filter": "memory > 1GiB"})
    (why,) = because["because"].values()
    assert why == 'memory is 768 GiB; nic.vendor "mellanox technologies"'


def test_a_renamed_machine_is_found_by_its_new_name_only(desk: Desk) -> None:
    enlist(desk, 1)
    desk.ask("PATCH", "/machines/m01", json={"name": "rack7-web"})
    assert found(desk, search="m01") == []
    assert found(desk, search="web") == found(desk, search="rack7-w") == ["rack7-web"]
    assert found(desk, filter="name = rack7-web") == ["rack7-web"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", ["m01", "m02", "m03"]),
        ("-name", ["m03", "m02", "m01"]),
        ("created_at", ["m03", "m01", "m02"]),
        ("-created_at", ["m02", "m01", "m03"]),
        ("state", ["m02", "m01", "m03"]),
        ("-state", ["m03", "m01", "m02"]),
        ("-updated_at", ["m02", "m01", "m03"]),
    ],
)
@pytest.mark.parametrize("condition", ["", "permitted"])
def test_a_list_is_sorted_and_its_pages_follow_each_other(
    desk: Desk, clock: Any, condition: str, sort: str, expected: list[str]
) -> None:
    for number in (3, 1, 2):
        enlist(desk, number)
        clock.advance(60)
    desk.ask("POST", "/machines/m02/commission")
    whole, after = [], ""
    for _ in range(4):
        page = desk.get(
            "/machines", params={"sort": sort, "limit": 1, "after": after, "filter": condition}
        )
        whole += [machine["name"] for machine in page["items"]]
        after = page["next"]
    assert (whole, after) == (expected, "")


def test_a_cursor_of_another_order_is_refused(desk: Desk) -> None:
    answer = desk.ask("GET", "/machines", params={"sort": "created_at", "after": "m01"})
    assert answer.status_code == 400
    assert answer.json()["wrong"][0]["field"] == "after"


def test_machines_are_counted_by_state(desk: Desk) -> None:
    enlist(desk, 1)
    enlist(desk, 2)
    desk.ask("POST", "/machines/m02/commission")
    assert desk.get("/counts") == {"total": 2, "states": {"New": 1, "Commissioning": 1}}


def test_a_condition_that_cannot_be_read_is_refused_by_name(desk: Desk) -> None:
    answer = desk.ask("GET", "/machines", params={"filter": "memroy > 1GiB"})
    assert answer.status_code == 400
    (wrong,) = answer.json()["wrong"]
    assert wrong["field"] == "filter"
    assert "did you mean memory" in wrong["why"]
    long = desk.ask("GET", "/machines", params={"filter": "x" * 2001})
    assert long.status_code == 400
    assert long.json()["wrong"][0]["field"] == "filter"


def test_every_column_is_in_the_users_document() -> None:
    told = (Path(__file__).parents[2] / "docs" / "filter.md").read_text()
    rows = [f"| `{c.name}` | {c.kind} | {c.help} |" for c in COLUMNS.values()]
    assert [row for row in rows if row not in told] == []
