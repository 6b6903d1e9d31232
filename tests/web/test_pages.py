"""The first pages: behind a password, escaped, without a script."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import Desk
from tests.server.shelf import stocked

from muster.lifecycle import people
from muster.store.engine import Store

PASSWORD = "correct horse"


@pytest.fixture
def desk(store: Store, tmp_path: Path, clock: Any) -> Iterator[Desk]:
    people.first_admin(store, clock(), password=PASSWORD)
    made = Desk(store, stocked(tmp_path), clock, prefix="key-")
    made.client.follow_redirects = False
    with made.client:
        yield made


def sign_in(desk: Desk, password: str = PASSWORD) -> Any:
    form = {"user": "admin", "password": password}
    return desk.client.post("/sign-in", data=form)


@pytest.mark.parametrize("path", ["/", "/machines/any"])
def test_a_stranger_is_sent_to_the_sign_in_page(desk: Desk, path: str) -> None:
    answer = desk.client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (302, "/sign-in")


def test_a_wrong_password_is_told_and_too_many_are_refused(desk: Desk) -> None:
    answers = [sign_in(desk, "wrong") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert "wrong user name or password" in answers[0].text
    assert "set-cookie" not in answers[0].headers
    # The API counts together with the page.
    body = {"user": "admin", "password": PASSWORD}
    assert desk.client.post("/api/v1/login", json=body).status_code == 429


def test_signing_in_and_out(desk: Desk) -> None:
    answer = sign_in(desk)
    assert (answer.status_code, answer.headers["location"]) == (302, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "connect a machine" in desk.client.get("/").text
    key = desk.client.cookies["muster"]
    desk.client.post("/sign-out")
    desk.client.cookies.set("muster", key)
    assert desk.client.get("/").status_code == 302


def test_what_a_machine_says_is_shown_escaped(desk: Desk) -> None:
    evil = "<script>alert(1)</script>"
    nonce = desk.boot()
    evidence = {"uuid": "", "vendor": evil, "serial": "S", "nics": [{"mac": "52:54:00:12:34:01"}]}
    machine = desk.client.post(
        "/agent/hello", json={"evidence": evidence, "nonce": nonce, "key": "k"}
    ).json()["machine"]
    sign_in(desk)
    for path in ("/", f"/machines/{machine}"):
        page = desk.client.get(path)
        assert page.status_code == 200
        assert evil not in page.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]


def test_a_machine_that_is_not_there_is_not_found(desk: Desk) -> None:
    sign_in(desk)
    assert desk.client.get("/machines/nobody").status_code == 404


def test_the_style_sheet_is_ours(desk: Desk) -> None:
    answer = desk.client.get("/style.css")
    assert answer.headers["content-type"].startswith("text/css")
    assert "http" not in answer.text
