"""What takes long has an id to watch, from the request to its outcome."""

from typing import Any

import pytest
from tests.api.desk import MAC, Desk, resources, story

from muster.api import live
from muster.lifecycle.broadcast import News
from muster.store import goals, runs
from muster.store.notices import Notice

SWITCH = {"power_on_uri": "http://x/", "power_off_uri": "http://x/", "power_query_uri": "http://x/"}


@pytest.fixture
def machine(desk: Desk) -> str:
    body = {"driver": "webhook", "parameters": SWITCH, "name": "web-1", "macs": [MAC]}
    made = desk.ask("POST", "/machines", json=body)
    assert made.status_code == 201, made.text
    return "/machines/web-1"


def begun(desk: Desk, path: str, **more: Any) -> str:
    """Where a 202 says that it can be watched, below the API."""
    answer = desk.ask("POST", path, **more)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"]).removeprefix("/api/v1")


def test_commissioning_is_watched_from_waiting_to_done(desk: Desk, machine: str) -> None:
    place = begun(desk, f"{machine}/commission", json={"tests": ["none"]})
    first = desk.get(place)
    assert (first["kind"], first["state"], first["requested_by"][-5:]) == (
        "commission",
        "waiting",
        "admin",
    )
    assert first["progress"]["done"] == 0 < first["progress"]["total"]
    welcome = desk.enlist()
    desk.events(welcome["token"], story(welcome, document=resources()))
    last = desk.get(place)
    assert last["state"] == "done", last
    assert last["progress"]["done"] == last["progress"]["total"]
    assert last["ended_at"]
    for link in last["links"].values():
        desk.get(link.removeprefix("/api/v1"))


def test_an_abort_ends_it(desk: Desk, machine: str) -> None:
    place = begun(desk, f"{machine}/commission", json={})
    assert place.rpartition("/")[2] in [one["id"] for one in desk.get("/operations")]
    desk.ask("POST", f"{machine}/abort")
    found = desk.get(place)
    assert found["state"] == "aborted"
    assert "aborted by" in found["outcome"]


def test_a_power_goal_is_watched_and_another_one_replaces_it(
    desk: Desk, machine: str, now: Any
) -> None:
    first = begun(desk, f"{machine}/power/on")
    assert (desk.get(first)["kind"], desk.get(first)["state"]) == ("power on", "waiting")
    second = begun(desk, f"{machine}/power/off")
    assert desk.get(first)["state"] == "replaced"
    assert desk.get(first)["links"]["next"].endswith(second)
    with desk.store.write() as tx:
        goal = goals.find(tx, desk.get(machine)["id"])
        assert goal is not None
        goals.settle(tx, goal, status="failed", detail="the BMC is silent", due_at=None)
    failed = desk.get(second)
    assert (failed["state"], failed["outcome"]) == ("failed", "the BMC is silent")
    assert desk.get("/operations") == []


def test_what_a_person_switches_leaves_nothing_to_wait_for(desk: Desk) -> None:
    body = {"driver": "manual", "name": "web-1", "macs": [MAC]}
    desk.ask("POST", "/machines", json=body)
    answer = desk.ask("POST", "/machines/web-1/power/on")
    assert answer.status_code == 202
    assert "location" not in answer.headers


def test_a_machine_that_was_lost_leads_to_the_next_try(desk: Desk, machine: str, now: Any) -> None:
    place = begun(desk, f"{machine}/commission", json={})
    with desk.store.write() as tx:
        lost = runs.find(tx, int(place.rpartition("-")[2]))
        values = {name: getattr(lost, name) for name in ("machine_id", "mode", "requested_by")}
        runs.update(tx, lost.id, state="failed", reason="silent")
        again = runs.add(tx, **values, state="pending", created_at=now,
                         options=lost.options | {"retries": 1})  # fmt: skip
    assert desk.get(place)["links"]["next"].endswith(f"run-{again}")


def test_a_definition_is_watched_until_every_machine_was_tried(desk: Desk) -> None:
    desk.ask("PUT", "/tags/big", json={"kind": "expression", "definition": "memory > 1GiB"})
    assert desk.get("/operations/tag-big")["state"] == "running"


@pytest.mark.parametrize(
    "wrong", ["run-0", "run-x", f"run-{'9' * 30}", "power-x-1", "power-", "tag-none", "nothing"]
)
def test_an_operation_that_there_is_not_is_404(desk: Desk, wrong: str) -> None:
    assert desk.ask("GET", f"/operations/{wrong}").status_code == 404


def test_the_list_is_of_one_machine_when_asked(desk: Desk, machine: str) -> None:
    begun(desk, f"{machine}/power/on")
    found = desk.get("/operations", params={"machine": "web-1"})
    assert [one["machine"] for one in found] == ["web-1"]
    assert desk.ask("GET", "/operations", params={"machine": "nobody"}).status_code == 404


def test_a_stream_tells_operations_whatever_they_are(desk: Desk) -> None:
    news = News(changes=[Notice("run", "7"), Notice("operation", "power-x-1")])
    told = live.framed(news, frozenset({"operation"})).decode()
    assert 'data: [["operation", "power-x-1"], ["operation", "run-7"]]' in told
    assert live.framed(news, frozenset({"run"})).decode().count("run") == 1


def test_a_goal_that_moves_is_told(desk: Desk, machine: str) -> None:
    heard: list[Notice] = []
    end = desk.store.hear(heard.extend)
    try:
        begun(desk, f"{machine}/power/on")
        begun(desk, f"{machine}/power/off")
        assert [n.key[-2:] for n in heard if n.topic == "operation"] == ["-1"]
    finally:
        end()
