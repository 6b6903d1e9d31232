"""Tags, notes and pools over HTTP."""

from tests.api.desk import Desk
from tests.api.test_filtering import GIB, enlist, listed, survey

from muster.lifecycle import tags


def test_a_tag_is_defined_tried_listed_and_filtered_by(desk: Desk, now) -> None:
    enlist(desk, 1, survey(768 * GIB, "Mellanox"))
    enlist(desk, 2, survey(64 * GIB, "Intel"))
    saying = {"kind": "expression", "definition": "memory >= 512GiB", "comment": "big ones"}
    made = desk.ask("PUT", "/tags/big", json=saying).json()
    assert (made["machines"], made["settled"], made["updated_by"]) == (0, False, "admin")
    while tags.catch_up(desk.store, now):
        pass
    assert desk.get("/tags/big")["machines"] == 1
    found = listed(desk, "tag = big")
    assert [machine["tags"] for machine in found["items"]] == [["big"]]
    assert list(found["because"].values()) == ['tag big: tag is "big"']
    assert [m["name"] for m in listed(desk, "not tag = big")["items"]] == ["m02"]
    (row,) = desk.get("/machines/m01/tags")
    assert (row["source"], row["because"]) == ("definition", "memory is 768 GiB")
    assert desk.ask("DELETE", "/tags/big").status_code == 204
    assert desk.ask("GET", "/tags/big").status_code == 404


def test_a_tag_is_given_to_many_machines_each_with_its_outcome(desk: Desk) -> None:
    enlist(desk, 1)
    enlist(desk, 2)
    asked = {"add": ["m01", "m02", "m03"]}
    done = desk.ask("POST", "/tags/spare/machines", json=asked).json()
    assert [one["done"] for one in done] == [True, True, False]
    assert done[2]["why"] == "no machine has the id or name 'm03'"
    assert [tag["machines"] for tag in desk.get("/tags")] == [2]
    assert desk.get("/machines/m01")["tags"] == ["spare"]
    desk.ask("POST", "/tags/spare/machines", json={"remove": ["m01"]})
    assert desk.get("/machines/m01")["tags"] == []


def test_bad_tags_name_the_field(desk: Desk) -> None:
    answer = desk.ask("PUT", "/tags/x", json={"kind": "expression", "definition": "memory >= 5"})
    assert answer.status_code == 400
    assert answer.json()["wrong"][0]["field"] == "definition"
    assert "needs a unit" in answer.json()["detail"]
    assert desk.ask("PUT", "/tags/a%20b", json={}).status_code == 400
    assert desk.ask("POST", "/tags/x/machines", json={"add": ["a\nb"]}).status_code == 400
    assert desk.ask("PUT", "/tags/x", json={}, role="viewer").status_code == 403


def test_notes_say_who_wrote_them_and_stay_plain_text(desk: Desk) -> None:
    enlist(desk, 1)
    text = "fan 3 rattles\n=CMD() <b>"
    note = desk.ask("POST", "/machines/m01/notes", json={"text": text}, role="operator").json()
    assert (note["author"], note["text"]) == ("operator", text)
    assert [one["id"] for one in desk.get("/machines/m01/notes")] == [note["id"]]
    assert desk.ask("POST", "/machines/m01/notes", json={"text": " "}).status_code == 400
    assert desk.ask("DELETE", f"/notes/{note['id']}").status_code == 204
    assert desk.ask("DELETE", f"/notes/{note['id']}").status_code == 404
    kinds = [event["kind"] for event in desk.get("/events", params={"kind": "note."})]
    assert kinds == ["note.added", "note.deleted"]


def test_a_pool_is_set_without_another_name(desk: Desk) -> None:
    enlist(desk, 1)
    found = desk.ask("PATCH", "/machines/m01", json={"pool": "lab"}).json()
    assert (found["name"], found["pool"]) == ("m01", "lab")
    assert [m["name"] for m in listed(desk, "pool = lab")["items"]] == ["m01"]
    assert desk.ask("PATCH", "/machines/m01", json={"pool": "a b"}).status_code == 400
    assert desk.ask("PATCH", "/machines/m01", json={"pool": ""}).json()["pool"] == ""
