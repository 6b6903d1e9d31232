"""Pages without a browser: behind a password, escaped, of one's own session, small on the wire."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import Desk
from tests.api.test_scan import SECRET, Row, row
from tests.server.shelf import stocked

from muster.lifecycle import people
from muster.store.engine import Store
from muster.web import assets, session

PASSWORD = "correct horse"
__all__ = ["row"]


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One application a store: to build its routes takes 0.1 s and more."""
    return {"library": stocked(tmp_path_factory.mktemp("images"))}


@pytest.fixture
def desk(store: Store, clock: Any, desks: dict[str, Any]) -> Iterator[Desk]:
    people.first_admin(store, clock(), password=PASSWORD)
    key = str(store.url)
    if key in desks:
        desks[key].open(clock)
    else:
        desks[key] = Desk(store, desks["library"], clock, prefix="key-")
    made: Desk = desks[key]
    made.client.follow_redirects = False
    made.client.cookies.clear()
    with made.client:
        yield made


def sign_in(desk: Desk, password: str = PASSWORD) -> Any:
    form = {"user": "admin", "password": password}
    return desk.client.post("/sign-in", data=form)


def form(desk: Desk, path: str, body: dict[str, Any], role: str = "", **headers: str) -> Any:
    """POST as one of our pages would; with the session of `role` instead of the cookie's."""
    if role:
        desk.client.cookies.set("muster", desk.keys[role])
    csrf = session.csrf_of(desk.client.cookies["muster"])
    return desk.client.post(path, data={"csrf": csrf} | body, headers=headers)


@pytest.mark.parametrize(
    "path", ["/", "/machines", "/machines/any", "/runs/1", "/results/1/block", "/settings"]
)
def test_a_stranger_is_sent_to_the_sign_in_page(desk: Desk, path: str) -> None:
    answer = desk.client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (302, "/sign-in")
    part = desk.client.get(path, headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/sign-in")


def test_a_wrong_password_is_told_and_too_many_are_refused(desk: Desk) -> None:
    answers = [sign_in(desk, "wrong") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert "wrong user name or password" in answers[0].text
    assert "set-cookie" not in answers[0].headers
    # The API counts together with the page.
    body = {"user": "admin", "password": PASSWORD}
    assert desk.client.post("/api/v1/login", json=body).status_code == 429


def test_an_account_locks_after_many_wrong_passwords_and_its_sessions_stay(
    desk: Desk, clock: Any
) -> None:
    sign_in(desk)
    for _ in range(10):
        clock.advance(1)
        desk.app.state.failures._spent.clear()
        assert sign_in(desk, "wrong").status_code == 401
    desk.app.state.failures._spent.clear()
    locked = sign_in(desk)
    assert locked.status_code == 401
    assert "admin is locked until" in locked.text
    assert desk.client.get("/").status_code == 200
    clock.advance(301)
    desk.app.state.failures._spent.clear()
    assert sign_in(desk).status_code == 303


def test_signing_in_and_out(desk: Desk) -> None:
    answer = sign_in(desk)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "Plug in the first machine" in desk.client.get("/").text
    key = desk.client.cookies["muster"]
    desk.client.post("/sign-out")
    desk.client.cookies.set("muster", key)
    assert desk.client.get("/").status_code == 302


def test_a_session_ends_after_its_time_also_for_the_api(desk: Desk, clock: Any) -> None:
    sign_in(desk)
    key = desk.client.cookies["muster"]
    desk.keys["session"] = key
    assert desk.ask("GET", "/whoami", role="session").status_code == 200
    clock.advance(session.LASTS.total_seconds() + 1)
    assert desk.client.get("/").status_code == 302
    assert desk.ask("GET", "/whoami", role="session").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused(desk: Desk, headers: dict[str, str]) -> None:
    machine = desk.enlist()["machine"]
    body = {"verb": "delete", "machine": machine}
    assert form(desk, "/machines/act", body, "admin", **headers).status_code == 403
    assert desk.client.post("/sign-in", data={"user": "a"}, headers=headers).status_code == 403
    assert desk.get(f"/machines/{machine}")["name"] == machine


def test_a_form_without_its_session_s_word_is_refused(desk: Desk) -> None:
    machine = desk.enlist()["machine"]
    for csrf in ("", "0" * 32, session.csrf_of("another key")):
        body = {"verb": "delete", "machine": machine, "csrf": csrf}
        assert form(desk, "/machines/act", body, "admin").status_code == 403
    assert desk.get(f"/machines/{machine}")["name"] == machine


POSTS = (
    ("/machines/confirm", {"verb": "commission"}),
    ("/machines/act", {"verb": "delete"}),
    ("/machines/{machine}/power", {"driver": "manual"}),
    ("/scripts", {"source": "#!/bin/sh\n"}),
    ("/scripts/50-maas-01-commissioning/use", {"enabled": "no"}),
    ("/clashes/1", {"decision": "new"}),
    ("/rules", {"name": "r", "condition": "tpm", "tags": "t"}),
    ("/rules/r/dry-run", {"after": ""}),
    ("/rules/r", {"do": "enable"}),
    ("/profiles/-/new", {"name": "p"}),
    ("/profiles/-/learn", {"name": "p", "names": "m"}),
    ("/profiles/p", {"do": "delete"}),
    ("/scripts/-/try", {"name": "50-maas-01-commissioning"}),
    ("/scripts/-/try/x", {}),
    ("/tags", {"name": "t", "definition": "tpm"}),
    ("/topology/manifest/rows", {"do": "apply", "key": "m", "sure": "yes"}),
    ("/machines/{machine}/notes", {"text": "t"}),
    ("/power/scan", {"ranges": "127.0.0.1"}),
    ("/power/hosts", {"name": "h", "address": "127.0.0.1:1", "token": "t"}),
    ("/power/hosts/h", {"do": "remove"}),
    ("/settings", {"do": "add", "name": "eve", "role": "admin", "password": "x" * 20}),
)


@pytest.mark.parametrize(("path", "body"), POSTS, ids=[path for path, _ in POSTS])
def test_a_viewer_can_not_act(desk: Desk, path: str, body: dict[str, str]) -> None:
    machine = desk.enlist()["machine"]
    before = len(desk.get("/events"))
    answer = form(desk, path.format(machine=machine), body | {"machine": machine}, "viewer")
    assert answer.status_code in (400, 403), answer.text
    assert "needs the role" in answer.text
    assert len(desk.get("/events")) == before


def test_a_viewer_can_not_import_a_manifest(desk: Desk) -> None:
    desk.client.cookies.set("muster", desk.keys["viewer"])
    csrf = session.csrf_of(desk.client.cookies["muster"])
    sent = {"csrf": csrf, "do": "import", "text": "name\nweb-1\n"}
    files = {"file": ("", b"")}
    answer = desk.client.post("/topology/manifest", data=sent, files=files)
    assert (answer.status_code, "needs the role" in answer.text) == (403, True)
    assert desk.get("/manifest")["items"] == []
    forged = desk.client.post("/topology/manifest", data=sent | {"csrf": "x"}, files=files)
    assert forged.status_code == 403


def test_bmcs_are_found_from_a_page_and_their_password_is_shown_nowhere(
    desk: Desk, row: Row
) -> None:
    body = {"ranges": "127.9.0.1-4", "user": "admin", "password": SECRET,
            **{name: str(port) for name, port in row.ports.items()}}  # fmt: skip
    told = form(desk, "/power/scan", body, "operator")
    assert told.status_code == 200, told.text
    assert "2 BMCs answered" in told.text
    assert "f54p1g3: created" in told.text
    assert SECRET not in told.text
    wrong = form(desk, "/power/scan", {"ranges": "10.0.0.0/8"}, "operator")
    assert (wrong.status_code, "at most 256" in wrong.text) == (400, True)


def test_a_host_that_does_not_answer_is_told_and_not_kept(desk: Desk) -> None:
    body = {"name": "lxd1", "address": "127.0.0.1:1", "token": "secret-token"}
    told = form(desk, "/power/hosts", body, "operator")
    assert (told.status_code, "127.0.0.1" in told.text) == (400, True)
    assert "secret-token" not in told.text
    assert desk.get("/hosts") == []


def test_a_viewer_sees_no_button_to_act_with(desk: Desk) -> None:
    machine = desk.enlist()["machine"]
    for path in (f"/machines/{machine}", "/machines"):
        desk.client.cookies.set("muster", desk.keys["operator"])
        assert "ommission</button>" in desk.client.get(path).text
        desk.client.cookies.set("muster", desk.keys["viewer"])
        assert "ommission</button>" not in desk.client.get(path).text


def test_bulk_actions_name_every_machine_and_tell_what_became_of_each(desk: Desk) -> None:
    ids = [
        desk.enlist(mac=f"52:54:00:00:00:0{n}", uuid=f"5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0a0{n}")[
            "machine"
        ]
        for n in (1, 2)
    ]
    names = [desk.get(f"/machines/{one}")["name"] for one in ids]
    asked = form(desk, "/machines/confirm", {"verb": "commission", "machine": ids}, "operator")
    assert all(name in asked.text for name in names)
    told = form(
        desk, "/machines/act", {"verb": "commission", "machine": [*ids, "gone"]}, "operator"
    )
    assert "2 of 3 done" in told.text
    assert "no machine has the id or name" in told.text
    assert {desk.get(f"/machines/{one}")["state"] for one in ids} == {"Commissioning"}


def test_a_filter_that_cannot_be_read_is_explained(desk: Desk) -> None:
    sign_in(desk)
    page = desk.client.get("/machines", params={"filter": "memroy >= 5GiB"})
    assert page.status_code == 200
    assert "This filter cannot be read" in page.text
    assert "memory" in page.text


def test_what_a_machine_says_is_shown_escaped(desk: Desk) -> None:
    evil = "<script>alert(1)</script>"
    nonce = desk.boot()
    evidence = {"uuid": "", "vendor": evil, "serial": "S", "nics": [{"mac": "52:54:00:12:34:01"}]}
    machine = desk.client.post(
        "/agent/hello", json={"evidence": evidence, "nonce": nonce, "key": "k"}
    ).json()["machine"]
    sign_in(desk)
    for path in ("/machines", f"/machines/{machine}"):
        page = desk.client.get(path)
        assert page.status_code == 200
        assert evil not in page.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy


def test_a_machine_that_is_not_there_is_not_found(desk: Desk) -> None:
    sign_in(desk)
    answer = desk.client.get("/machines/nobody")
    assert answer.status_code == 404
    assert "no machine has the id or name" in answer.text


def test_assets_are_kept_for_ever_under_their_hash_and_come_compressed(desk: Desk) -> None:
    page = desk.client.get("/sign-in").text
    found = re.findall(r'(?:href|src)="(/assets/[^"]+)"', page)
    assert {Path(one).name for one in found} >= {"muster.css", "muster.js", "theme.js"}
    for one in found:
        answer = desk.client.get(one)
        assert answer.status_code == 200, f"{one}: run 'make setup'"
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
    assert desk.client.get("/assets/0123456789abcdef/muster.css").status_code == 404
    assert desk.client.get("/assets/missing/..%2F..%2Fapp.py").status_code == 404


def test_no_asset_of_ours_names_another_origin() -> None:
    for name, asset in assets.every().items():
        if not name.endswith((".min.css", ".min.js")):
            assert b"http" not in asset.body.replace(b"https://", b"http"), name


def test_the_first_page_with_all_it_needs_is_small_on_the_wire(desk: Desk) -> None:
    sign_in(desk)
    page = desk.client.get("/machines")
    sizes = [len(gzip.compress(page.content, 5))]
    found = re.findall(r'(?:href|src)="(/assets/[^"]+)"', page.text)
    sizes += [len(assets.every()[Path(one).name].packed) for one in found]
    assert sum(sizes) < 150_000
