from datetime import datetime

import pytest
from tests.api.desk import Desk

from muster.api.people import TRIES
from muster.lifecycle import people

WRITES = [
    ("PATCH", "/machines/{}", {"name": "other"}),
    ("DELETE", "/machines/{}", None),
    ("POST", "/machines/{}/commission", {}),
    ("POST", "/machines/{}/abort", None),
    ("POST", "/machines/{}/accept", None),
    ("POST", "/machines/{}/deny", {"reason": "no"}),
    ("PUT", "/machines/{}/power", {"driver": "manual"}),
    ("POST", "/machines/{}/power/off", None),
]


@pytest.fixture
def password(desk: Desk, now: datetime) -> str:
    """The admin's of a first start."""
    with desk.store.write() as tx:
        tx.exec_driver_sql("DELETE FROM users")
    made = people.first_admin(desk.store, now)
    assert made is not None
    return made


def login(desk: Desk, **body: object):
    return desk.ask("POST", "/login", role="", json=body)


def test_the_right_password_gives_a_key_that_opens_the_door(desk: Desk, password: str) -> None:
    answer = login(desk, user="admin", password=password, key_name="laptop")
    assert answer.status_code == 200
    desk.keys["new"] = answer.json()["key"]
    assert desk.get("/whoami", role="new") == {"name": "admin", "role": "admin"}
    told = desk.get("/events", role="new", params={"kind": "audit.login"})
    assert [event["message"] for event in told] == ["admin signed in: key 'laptop'"]


def test_a_wrong_password_and_a_wrong_name_are_told_apart_by_nobody(
    desk: Desk, password: str
) -> None:
    wrong = login(desk, user="admin", password=password + "x")
    nobody = login(desk, user="nobody", password=password)
    assert (wrong.status_code, wrong.json()) == (nobody.status_code, nobody.json())
    assert wrong.status_code == 401
    assert "key" not in wrong.json()


def test_an_address_that_guesses_passwords_is_sent_away_for_a_while(
    desk: Desk, password: str
) -> None:
    for _ in range(TRIES):
        assert login(desk, user="admin", password="guess").status_code == 401
    answer = login(desk, user="admin", password=password)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert "minute" in answer.json()["detail"]


def test_signing_out_makes_the_key_useless(desk: Desk) -> None:
    assert desk.ask("POST", "/logout", role="viewer").status_code == 204
    answer = desk.ask("GET", "/whoami", role="viewer")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_no_key_and_no_password_is_in_the_database(desk: Desk, password: str) -> None:
    key = login(desk, user="admin", password=password).json()["key"]
    with desk.store.read() as tx:
        for table in ("users", "api_keys", "events"):
            rows = str(tx.exec_driver_sql(f"SELECT * FROM {table}").all())  # noqa: S608
            assert key not in rows
            assert password not in rows


def test_whoever_shows_no_key_is_told_how_to_get_one(desk: Desk) -> None:
    answer = desk.ask("GET", "/machines", role="")
    assert answer.status_code == 401
    assert "muster login" in answer.json()["detail"]


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "muster_x", "Bearer \xe9"])
def test_a_header_that_is_no_key_opens_nothing(desk: Desk, header: str) -> None:
    raw = header.encode("latin-1")
    answer = desk.client.get("/api/v1/machines", headers={"Authorization": raw})
    assert answer.status_code == 401


def test_a_viewer_sees_everything_and_changes_nothing(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    before = desk.get(f"/machines/{name}")
    for method, path, body in WRITES:
        answer = desk.ask(method, path.format(name), role="viewer", json=body)
        assert answer.status_code == 403, path
        assert "viewer" in answer.json()["detail"]
        assert "operator" in answer.json()["detail"]
    assert desk.get(f"/machines/{name}", role="viewer") == before


def test_an_operator_may_act(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    answer = desk.ask("PATCH", f"/machines/{name}", role="operator", json={"name": "web-1"})
    assert answer.status_code == 200
    assert answer.json()["name"] == "web-1"
