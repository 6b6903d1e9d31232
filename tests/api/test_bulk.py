"""One action on many machines: every one has its own outcome."""

from typing import Any, get_args

import pytest
from tests.api.desk import Desk

from muster.api import bulk as routes
from muster.lifecycle.bulk import MOST, Action

MACS = [f"52:54:00:12:35:{n:02x}" for n in range(4)]


@pytest.fixture
def names(desk: Desk) -> list[str]:
    for n, mac in enumerate(MACS):
        body = {"driver": "manual", "name": f"m{n}", "macs": [mac]}
        assert desk.ask("POST", "/machines", json=body).status_code == 201
    return [f"m{n}" for n in range(len(MACS))]


def act(desk: Desk, action: str, *machines: str, **more: Any) -> list[tuple[str, str]]:
    answer = desk.ask("POST", f"/bulk/{action}", json={"machines": machines, **more})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    outcomes = [one["outcome"] for one in told["outcomes"]]
    assert told["counts"] == {word: outcomes.count(word) for word in set(outcomes)}
    return [(one["outcome"], one["why"]) for one in told["outcomes"]]


def test_every_machine_has_its_outcome_and_one_that_refuses_keeps_no_other(
    desk: Desk, names: list[str]
) -> None:
    desk.ask("PATCH", "/machines/m1", json={"pool": "lab"})
    answer = desk.ask("POST", "/bulk/pool", json={"machines": ["m0", "m1", "nobody", "m0"],
                                                  "pool": "lab"})  # fmt: skip
    told = [(one["reference"], one["outcome"]) for one in answer.json()["outcomes"]]
    assert told == [("m0", "done"), ("m1", "unchanged"), ("nobody", "missing"), ("m0", "unchanged")]
    assert act(desk, "mark-fixed", "m0", "m1")[0][0] == "refused"
    assert desk.get("/machines/m0")["pool"] == "lab"


def test_commissioning_many_tells_for_each_what_to_wait_for(desk: Desk, names: list[str]) -> None:
    answer = desk.ask("POST", "/bulk/commission", json={"machines": names, "tests": ["none"]})
    found = answer.json()["outcomes"]
    assert [one["outcome"] for one in found] == ["done"] * 4
    for one in found:
        operation = desk.get(f"/operations/{one['operation']}")
        assert (operation["machine"], operation["state"]) == (one["name"], "waiting")
    assert act(desk, "commission", "m0")[0][1].startswith("a machine that is")
    assert act(desk, "abort", *names) == [("done", "")] * 4


def needs(action: str) -> dict[str, str]:
    words = [word[:-1] for word in routes._TAKES.get(action, ()) if word.endswith("!")]
    return dict.fromkeys(words, "spare")


@pytest.mark.parametrize("action", get_args(Action))
def test_every_action_answers_for_a_machine_and_for_one_that_there_is_not(
    desk: Desk, names: list[str], action: str
) -> None:
    (first, _), missing = act(desk, action, "m0", "nobody", **needs(action))
    assert missing[0] == "missing"
    refused = {"abort", "mark-fixed", "override", "test"}
    unchanged = {"accept", "untag", "pool"}
    known = "refused" if action in refused else "unchanged" if action in unchanged else "done"
    assert first == known


@pytest.mark.parametrize("action", ["tag", "pool", "mark-broken", "deny"])
def test_what_is_so_already_is_unchanged(desk: Desk, names: list[str], action: str) -> None:
    more = {"pool": "lab"} if action == "pool" else needs(action)
    assert act(desk, action, "m0", **more) == [("done", "")]
    events = desk.get("/events")
    (again,) = act(desk, action, "m0", **more)
    assert again[0] == "unchanged"
    assert "already" in again[1]
    assert desk.get("/events") == events


def test_a_destructive_script_needs_each_machines_own_name(desk: Desk, names: list[str]) -> None:
    with desk.store.write() as tx:
        tx.exec_driver_sql("UPDATE machines SET state = 'Ready'")
    chosen = {"tests": ["fio-destructive"], "destroy": ["m1"]}
    refused, done = act(desk, "test", "m0", "m1", **chosen)
    assert "would destroy" in refused[1]
    assert done[0] == "done"


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        ("accept", {"machines": ["m0"], "pool": "lab"}, "pool"),
        ("off", {"machines": ["m0"], "boot": "disk"}, "boot"),
        ("tag", {"machines": ["m0"]}, "tag"),
        ("note", {"machines": ["m0"], "text": " "}, "text"),
        ("accept", {"machines": []}, "machines"),
        ("accept", {"machines": ["m"] * (MOST + 1)}, "machines"),
        ("accept", {}, "machines"),
        ("explode", {"machines": ["m0"]}, "action"),
    ],
)
def test_what_an_action_does_not_take_or_lacks_is_named(
    desk: Desk, names: list[str], action: str, body: Any, field: str
) -> None:
    refused = desk.ask("POST", f"/bulk/{action}", json=body)
    assert refused.status_code == 400, refused.text
    assert field in refused.json()["detail"]


def test_a_viewer_may_not(desk: Desk, names: list[str]) -> None:
    body = {"machines": ["m0"]}
    assert desk.ask("POST", "/bulk/accept", json=body, role="viewer").status_code == 403


def test_the_same_request_twice_is_done_once(desk: Desk, names: list[str]) -> None:
    """Also when the first machine's transaction is rolled back."""
    body = {"machines": ["nobody", "m0"], "text": "seen"}
    for _ in range(2):
        done = desk.ask("POST", "/bulk/note", json=body, headers={"Idempotency-Key": "k"})
        assert done.json()["counts"] == {"missing": 1, "done": 1}
    assert len(desk.get("/machines/m0/notes")) == 1
