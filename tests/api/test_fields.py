"""fields=: what was asked for, and no more."""

from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.desk import Desk, resources, story

from muster.store import hardware, machines


@pytest.fixture
def machine(desk: Desk) -> str:
    """One that has sent a document."""
    welcome = desk.enlist()
    desk.events(welcome["token"], story(welcome, document=resources()))
    with desk.store.write() as tx:
        disks = [{"name": "sda", "size": 10}, {"name": "sdb"}]
        facts = {"memory": 1 << 30, "cpu.cores": 8, "disks": disks}
        hardware.keep(tx, machines.find(tx, welcome["machine"]).id, facts)
    return str(welcome["machine"])


def test_a_list_has_the_fields_that_were_asked_for(desk: Desk, machine: str) -> None:
    asked = "name,state,macs,hardware.memory,hardware.disk.size,hardware.gpu.vendor"
    (found,) = desk.get("/machines", params={"fields": asked})["items"]
    whole = desk.get(f"/machines/{machine}")
    assert found == {
        "name": machine,
        "state": "New",
        "macs": whole["macs"],
        "hardware.memory": 1 << 30,
        "hardware.disk.size": [10, None],
        "hardware.gpu.vendor": None,
    }
    assert list(found) == asked.split(",")
    assert desk.get(f"/machines/{machine}", params={"fields": asked}) == found


def test_every_field_of_a_machine_can_be_asked_for_and_is_as_in_the_whole(
    desk: Desk, machine: str
) -> None:
    whole = desk.get(f"/machines/{machine}")
    some = desk.get(f"/machines/{machine}", params={"fields": ",".join(whole)})
    assert some == whole


def test_a_filtered_page_still_says_why(desk: Desk, machine: str) -> None:
    page = desk.get("/machines", params={"fields": "id", "filter": "memory >= 1GiB"})
    assert page["because"][page["items"][0]["id"]].startswith("memory")


@pytest.mark.parametrize(
    ("path", "fields", "there_is"),
    [
        ("/machines", "name,nmae", "hardware.cpu.cores"),
        ("/machines", "power_parameters", "power_driver"),
        ("/machines", "hardware.nothing", "hardware.nic.firmware"),
        ("/machines", " , ", "name"),
        ("/events", "id,when", "message"),
    ],
)
def test_a_field_that_there_is_not_is_named_with_those_that_there_are(
    desk: Desk, path: str, fields: str, there_is: str
) -> None:
    refused = desk.ask("GET", path, params={"fields": fields})
    assert refused.status_code == 400, refused.text
    (wrong,) = refused.json()["wrong"]
    assert wrong["field"] == "fields"
    assert there_is in wrong["why"]
    assert (fields.rpartition(",")[2].strip() or "nothing") in wrong["why"]


def test_what_is_not_asked_for_is_not_read(desk: Desk, machine: str) -> None:
    read: list[str] = []
    engine = desk.store._reader

    def note(_c: Any, _cur: Any, statement: str, *_more: Any) -> None:
        read.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        desk.get("/machines", params={"fields": "name,state"})
        said = " ".join(read)
        assert "FROM machines" in said
        assert not [table for table in ("macs", "machine_tags", "hardware") if table in said]
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", ["/events", "/boots", "/scripts", "/images", "/users"])
def test_every_other_list_is_narrowed_too(desk: Desk, machine: str, path: str) -> None:
    whole = desk.get(path)
    assert whole
    names = list(whole[0])[1:3]
    found = desk.get(path, params={"fields": ",".join(names)})
    assert found == [{name: entry[name] for name in names} for entry in whole]


def test_lists_that_know_fields_say_so_in_the_document(desk: Desk) -> None:
    paths = desk.client.get("/api/openapi.json").json()["paths"]
    for path in ("/machines", "/machines/{reference}", "/events", "/rules", "/clashes"):
        parameters = paths[f"/api/v1{path}"]["get"]["parameters"]
        assert [p for p in parameters if p["name"] == "fields"], path


def test_part_of_a_thing_is_no_version_of_it(desk: Desk, machine: str) -> None:
    some = desk.ask("GET", f"/machines/{machine}", params={"fields": "name"})
    assert "etag" not in some.headers
