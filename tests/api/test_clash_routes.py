"""Clashes over HTTP: both sides, a decision, and its undoing."""

from tests.api.desk import Desk

U1, U2 = (f"5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0d0{n}" for n in (1, 2))
M1, M2 = (f"52:54:00:12:37:0{n}" for n in (1, 2))


def two(desk: Desk) -> tuple[str, str]:
    return desk.enlist(mac=M1, uuid=U1)["machine"], desk.enlist(mac=M2, uuid=U2)["machine"]


def test_a_clash_is_shown_with_both_sides_decided_and_undone(desk: Desk) -> None:
    one, other = two(desk)
    assert "refused: clash:" in desk.client.get("/boot/ipxe", params={"mac": M2, "uuid": U1}).text
    (clash,) = desk.get("/clashes")
    shown = desk.get(f"/clashes/{clash['id']}")
    assert shown["said"] == {"mac": [M2], "uuid": [U1]}
    assert [side["machine"]["name"] for side in shown["sides"]] == [one, other]
    assert [point["sentence"] for point in shown["sides"][0]["points"]] == [
        f"hardware UUID {U1} is on both",
        f"MAC differs: {M1}, {M2}",
    ]
    assert shown["sides"][0]["weight"] == 20
    path = f"/clashes/{clash['id']}"
    seen = desk.ask("POST", path + "/decide", json={"decision": "different"}, role="viewer")
    assert seen.status_code == 403
    wrong = desk.ask("POST", path + "/decide", json={"decision": "same", "keep": "nobody"})
    assert wrong.status_code == 404
    body = {"decision": "same", "keep": one}
    done = desk.ask("POST", path + "/decide", json=body, role="operator").json()
    assert (done["decision"], done["decided_by"]) == ("same", "operator")
    assert desk.get("/clashes") == []
    assert [row["id"] for row in desk.get("/clashes?decided=true")] == [clash["id"]]
    assert desk.get(f"/machines/{one}")["macs"] == [M1, M2]
    assert desk.ask("POST", path + "/decide", json=body).status_code == 409
    assert desk.ask("POST", path + "/undo").json()["decision"] == ""
    assert desk.get(f"/machines/{other}")["macs"] == [M2]
    assert desk.ask("POST", path + "/undo").status_code == 409


def test_a_merged_record_is_shown_as_gone(desk: Desk) -> None:
    one, other = two(desk)
    desk.client.get("/boot/ipxe", params={"mac": M2, "uuid": U1})
    (clash,) = desk.get("/clashes")
    for name in (one, other):
        desk.ask("POST", f"/machines/{name}/abort")
    body = {"decision": "merge", "keep": one}
    done = desk.ask("POST", f"/clashes/{clash['id']}/decide", json=body).json()
    assert [side["machine"] is None for side in done["sides"]] == [False, True]
    kinds = {event["kind"] for event in desk.get("/events", params={"kind": "clash."})}
    assert kinds == {"clash.decided"}
