"""Idempotency-Key: who lost the answer sends the request again, and it is done once."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.api.desk import MAC, Desk

from muster.api import machines as machine_routes
from muster.api import power as power_routes
from muster.lifecycle import repeats

BODY = {"driver": "manual", "name": "web-1", "macs": [MAC]}


def post(desk: Desk, key: str, body: Any = BODY, path: str = "/machines", **more: Any) -> Any:
    return desk.ask("POST", path, json=body, headers={"Idempotency-Key": key}, **more)


def test_the_same_again_is_answered_as_before_and_done_once(desk: Desk) -> None:
    first, again = post(desk, "k-1"), post(desk, "k-1", dict(reversed(BODY.items())))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(desk.get("/machines")["items"]) == 1
    assert len(desk.get("/events", params={"kind": "machine.added"})) == 1


def test_another_body_or_path_with_a_used_key_is_422(desk: Desk) -> None:
    post(desk, "k-1")
    for other in (
        post(desk, "k-1", BODY | {"name": "web-2"}),
        post(desk, "k-1", {"text": "x"}, "/machines/web-1/notes"),
    ):
        assert other.status_code == 422
        assert other.json()["wrong"][0]["field"] == "Idempotency-Key"
        assert "new key" in other.json()["detail"]
    assert len(desk.get("/machines")["items"]) == 1


def test_a_key_is_its_users_own(desk: Desk) -> None:
    post(desk, "k-1", role="admin")
    other = post(desk, "k-1", BODY | {"name": "web-2", "macs": ["52:54:00:12:34:99"]},
                 role="operator")  # fmt: skip
    assert other.status_code == 201
    assert "idempotency-replayed" not in other.headers


def test_an_action_that_starts_a_run_starts_one(desk: Desk) -> None:
    post(desk, "k-1")
    runs = [post(desk, "k-2", {}, "/machines/web-1/commission").json()["id"] for _ in range(3)]
    assert len(set(runs)) == 1
    assert len(desk.get("/machines/web-1/runs")) == 1


def test_a_refusal_that_changed_nothing_is_tried_anew(desk: Desk) -> None:
    post(desk, "k-0")
    wanted = {**BODY, "macs": ["52:54:00:12:34:99"]}
    assert post(desk, "k-1", wanted).status_code == 409, "its name is taken"
    desk.ask("DELETE", "/machines/web-1")
    assert post(desk, "k-1", wanted).status_code == 201


def test_after_a_day_a_key_is_new(desk: Desk, clock: Any) -> None:
    post(desk, "k-1")
    clock.advance(repeats.KEPT.total_seconds() + 1)
    assert post(desk, "k-1").status_code == 409, "it is tried, and its MAC is there"


def test_of_two_at_once_one_makes_it_and_the_other_waits_or_hears_the_answer(
    desk: Desk, together: Callable[..., list[Any]]
) -> None:
    found = together(*[lambda: post(desk, "k-1")] * 8)
    assert {answer.status_code for answer in found} <= {201, 409}
    assert len({answer.content for answer in found if answer.status_code == 201}) == 1
    for answer in found:
        if answer.status_code == 409:
            assert "still worked on" in answer.json()["detail"]
    assert len(desk.get("/machines")["items"]) == 1


def test_a_server_that_died_before_it_wrote_leaves_the_request_to_be_done(
    desk: Desk, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any, **__: Any) -> None:
        # Nothing of what follows an answer is done by a process that was killed.
        monkeypatch.setattr(repeats.answers, "release", lambda *_: None)
        raise RuntimeError("killed")

    with monkeypatch.context() as only:
        only.setattr(power_routes.adding, "add", dies)
        only.setattr(repeats.answers, "update", lambda *_, **__: True)
        assert post(desk, "k-1").status_code == 500
    monkeypatch.undo()
    assert post(desk, "k-1").status_code == 409
    clock.advance(repeats.LEASE.total_seconds())
    assert post(desk, "k-1").status_code == 201


def test_a_server_that_died_after_it_wrote_does_not_do_it_twice(
    desk: Desk, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as only:
        only.setattr(repeats, "keep", lambda *_: None)
        assert post(desk, "k-1").status_code == 201
    clock.advance(repeats.LEASE.total_seconds())
    refused = post(desk, "k-1")
    assert refused.status_code == 409
    assert "was carried out" in refused.json()["detail"]
    assert len(desk.get("/machines")["items"]) == 1


def test_an_answer_after_a_change_is_kept_even_when_it_is_a_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(desk, "k-0")

    def fails(*_: Any) -> None:
        raise RuntimeError("after the commit")

    with monkeypatch.context() as only:
        only.setattr(machine_routes, "machine_shown", fails)
        assert post(desk, "k-1", {}, "/machines/web-1/abort").status_code == 409
        assert post(desk, "k-2", None, "/machines/web-1/accept").status_code == 500
    again = post(desk, "k-2", None, "/machines/web-1/accept")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (500, "true")


def test_it_goes_with_if_match_whose_version_has_changed_by_the_first(desk: Desk) -> None:
    post(desk, "k-0")
    seen = desk.ask("GET", "/machines/web-1").headers["etag"]
    headers = {"Idempotency-Key": "k-1", "If-Match": seen}
    for _ in range(2):
        done = desk.ask("PATCH", "/machines/web-1", json={"pool": "lab"}, headers=headers)
        assert done.status_code == 200
        assert done.headers.get_list("etag") == [desk.ask("GET", "/machines/web-1").headers["etag"]]


def test_a_key_that_is_shown_once_is_kept_nowhere(desk: Desk) -> None:
    refused = post(desk, "k-1", {"name": "backup"}, "/keys")
    assert refused.status_code == 400
    assert "secret" in refused.json()["detail"]
    with desk.store.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM answers").scalar() == 0


def test_neither_key_nor_request_can_be_read_from_what_is_kept(desk: Desk) -> None:
    post(
        desk, "the-key", {"name": "eve", "role": "viewer", "password": "correct horse 7"}, "/users"
    )
    with desk.store.read() as tx:
        row = str(tx.exec_driver_sql("SELECT * FROM answers").all())
    assert "correct horse" not in row
    assert "the-key" not in row


@pytest.mark.parametrize("wrong", ["", "two words", "x" * 256])
def test_a_key_that_is_none_is_400(desk: Desk, wrong: str) -> None:
    refused = post(desk, wrong)
    assert refused.status_code == 400
    assert refused.json()["wrong"][0]["field"] == "Idempotency-Key"
