"""ETag, If-Match and If-None-Match: nobody overwrites what he has not seen."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.api.desk import MAC, Desk

from muster.api import tags as tag_routes
from muster.api.versions import TABLES
from muster.lifecycle import pools
from muster.store.schema import metadata


@pytest.fixture
def machine(desk: Desk) -> str:
    made = desk.ask("POST", "/machines", json={"driver": "manual", "name": "web-1", "macs": [MAC]})
    assert made.status_code == 201, made.text
    return "/machines/web-1"


def version(desk: Desk, path: str) -> str:
    answer = desk.ask("GET", path)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["etag"])


def write(desk: Desk, method: str, path: str, etag: str, **more: Any) -> Any:
    return desk.ask(method, path, headers={"If-Match": etag}, **more)


def test_a_write_on_what_was_seen_is_done_and_tells_the_next_version(
    desk: Desk, machine: str
) -> None:
    seen = version(desk, machine)
    done = write(desk, "PATCH", machine, seen, json={"pool": "lab"})
    assert done.status_code == 200, done.text
    assert done.headers["etag"] == version(desk, machine) != seen


def test_a_write_on_what_has_changed_since_is_412_and_says_what_and_the_remedy(
    desk: Desk, machine: str
) -> None:
    seen = version(desk, machine)
    desk.ask("PATCH", machine, json={"pool": "lab"})
    refused = write(desk, "PATCH", machine, seen, json={"pool": "other"})
    assert refused.status_code == 412
    told = refused.json()
    assert (told["was"], told["now"]) == (seen, version(desk, machine))
    assert seen in told["detail"]
    assert "GET it again" in told["detail"]
    assert told["wrong"][0]["field"] == "If-Match"
    assert desk.get(machine)["pool"] == "lab"


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("POST", "/accept", None),
        ("POST", "/commission", {}),
        ("POST", "/power/on", None),
        ("PUT", "/power", {"driver": "manual"}),
        ("POST", "/notes", {"text": "here"}),
        ("DELETE", "", None),
    ],
)
def test_everything_below_a_machine_asks_for_the_machines_version(
    desk: Desk, machine: str, method: str, below: str, body: Any
) -> None:
    seen = version(desk, machine)
    desk.ask("PATCH", machine, json={"pool": "lab"})
    assert write(desk, method, machine + below, seen, json=body).status_code == 412
    assert write(desk, method, machine + below, '"x", *'.split(", ")[1], json=body).is_success
    assert not desk.get("/events", params={"kind": "audit.refused"})


def things(desk: Desk) -> list[tuple[str, str, Any]]:
    """A path, and how it is changed: method and body."""
    desk.ask("PUT", "/tags/spare", json={"comment": "one"})
    rule = {"condition": "memory > 1GiB", "tags": ["big"]}
    desk.ask("PUT", "/rules/big", json=rule)
    profile = {"expected": {"DIMM": {"count": [8, 8]}}}
    assert desk.ask("PUT", "/profiles/web", json=profile).is_success
    desk.ask("POST", "/users", json={"name": "eve", "role": "viewer", "password": "x" * 16})
    return [
        ("/tags/spare", "PUT", {"comment": "two"}),
        ("/rules/big", "PUT", rule | {"priority": 7}),
        ("/profiles/web", "PUT", profile | {"comment": "now"}),
        ("/users/eve", "PATCH", {"role": "operator"}),
        ("/scripts/smartctl-validate", "PATCH", {"enabled": False}),
    ]


def test_every_thing_that_is_written_has_a_version_that_changes_with_it(desk: Desk) -> None:
    for path, method, body in things(desk):
        seen = version(desk, path)
        assert version(desk, path) == seen, path
        assert write(desk, method, path, seen, json=body).is_success, path
        assert version(desk, path) != seen, path
        assert write(desk, method, path, seen, json=body).status_code == 412, path
        assert write(desk, "DELETE", path, version(desk, path)).is_success, path


def test_every_path_that_is_written_names_a_thing_that_get_shows(desk: Desk) -> None:
    # A key is shown once and never changed; the others make things or are about no single one.
    without = {"/keys/{key}", "/bulk/{action}"}
    paths = desk.client.get("/api/openapi.json").json()["paths"]
    shown = {path for path, found in paths.items() if "get" in found and path.endswith("}")}
    for path, found in paths.items():
        if not path.startswith("/api/v1/") or "{" not in path or path[7:] in without:
            continue
        if {"put", "patch", "delete", "post"} & found.keys():
            assert any(path == one or path.startswith(one + "/") for one in shown), path
            noun = path.split("/")[3]
            assert TABLES.get(noun, noun) in metadata.tables, "its row is locked by this name"


def test_what_is_known_is_not_sent_again(desk: Desk, machine: str) -> None:
    seen = version(desk, machine)
    same = desk.ask("GET", machine, headers={"If-None-Match": f'"other", W/{seen}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", seen)
    other = desk.ask("GET", machine, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200
    assert other.json()["name"] == "web-1"


def test_if_none_match_any_makes_and_never_overwrites(desk: Desk) -> None:
    new = {"If-None-Match": "*"}
    assert desk.ask("PUT", "/tags/new", json={"comment": "a"}, headers=new).is_success
    refused = desk.ask("PUT", "/tags/new", json={"comment": "b"}, headers=new)
    assert refused.status_code == 412
    assert "is there already" in refused.json()["detail"]
    assert desk.get("/tags/new")["comment"] == "a"


def test_what_is_gone_is_not_made_anew_by_who_knew_it(desk: Desk) -> None:
    desk.ask("PUT", "/tags/old", json={"comment": "a"})
    seen = version(desk, "/tags/old")
    desk.ask("DELETE", "/tags/old")
    gone = write(desk, "PUT", "/tags/old", seen, json={"comment": "b"})
    assert (gone.status_code, gone.json()["now"]) == (412, "none")
    assert write(desk, "DELETE", "/tags/old", seen).status_code == 404


@pytest.mark.parametrize("wrong", ["abc", '"a" "b"', 'x"a"'])
def test_a_header_that_cannot_be_read_is_400(desk: Desk, machine: str, wrong: str) -> None:
    refused = write(desk, "PATCH", machine, wrong, json={})
    assert refused.status_code == 400
    assert refused.json()["wrong"][0]["field"] == "If-Match"


def test_a_weak_tag_permits_no_write(desk: Desk, machine: str) -> None:
    weak = f"W/{version(desk, machine)}"
    assert write(desk, "PATCH", machine, weak, json={"pool": "x"}).status_code == 412


def test_a_version_is_told_to_nobody_who_may_not_read(desk: Desk, machine: str) -> None:
    for role, status in (("viewer", 403), ("", 401)):
        refused = desk.ask("PATCH", machine, role=role, headers={"If-Match": '"x"'}, json={})
        assert refused.status_code == status
        assert '"now"' not in refused.text
        assert "etag" not in refused.headers


def test_of_many_that_change_what_they_all_saw_one_does(
    desk: Desk, machine: str, together: Callable[..., list[Any]]
) -> None:
    seen = version(desk, machine)

    def change(pool: str) -> Callable[[], int]:
        return lambda: int(write(desk, "PATCH", machine, seen, json={"pool": pool}).status_code)

    assert sorted(together(*(change(f"pool-{n}") for n in range(6)))) == [200] + [412] * 5


def test_what_changes_between_the_look_and_the_write_is_seen_by_the_write(
    desk: Desk, machine: str, now: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = version(desk, machine)
    inner = tag_routes.note_verbs.add

    def late(store: Any, reference: str, text: str, **more: Any) -> Any:
        # Another request is served now: after the first look, before this one's transaction.
        words = {"pool": "late", "name": None, "actor": "ann", "now": now}
        other = threading.Thread(target=pools.change, args=(store, "web-1"), kwargs=words)
        other.start()
        other.join(10)
        return inner(store, reference, text, **more)

    monkeypatch.setattr(tag_routes.note_verbs, "add", late)
    refused = write(desk, "POST", f"{machine}/notes", seen, json={"text": "a"})
    assert refused.status_code == 412
    assert desk.get(f"{machine}/notes") == []


@pytest.mark.parametrize("header", [{}, {"If-Match": '"x"'}], ids=["plain", "If-Match"])
def test_a_number_beyond_all_numbers_is_refused(desk: Desk, header: dict[str, str]) -> None:
    for path in ("/notes/", "/keys/", "/views/"):
        answer = desk.ask("DELETE", f"{path}{10**24}", headers=header)
        assert 400 <= answer.status_code < 500, answer.text
