"""What opens nothing is refused, written down, and cannot fill the table."""

import pytest
from tests.api.desk import MAC, UUID, Desk, resources, story
from tests.conftest import Clock

from muster.api.budget import WINDOW_S, Budget
from muster.api.health import REFUSED
from muster.server.app import AUDITS

SEED = ("meta-data", "user-data", "vendor-data", "network-config")


def test_an_unknown_nonce_gets_no_seed_and_is_written_down(desk: Desk) -> None:
    for name in SEED:
        answer = desk.client.get(f"/metadata/guessed/{name}")
        assert answer.status_code == 401
        assert "cloud-config" not in answer.text
        assert "instance-id" not in answer.text
    assert desk.audits() == ["unknown nonce for the seed"] * len(SEED)
    event = desk.get("/events", params={"kind": "audit.refused"})[0]
    assert event["actor"] == "testclient"


def test_an_expired_nonce_opens_nothing(desk: Desk, clock: Clock) -> None:
    nonce = desk.boot()
    clock.advance(desk.policy.nonce_s + 1)
    report = {"phase": "root", "status": "done"}
    answers = [
        desk.client.get(f"/metadata/{nonce}/user-data"),
        desk.client.post(f"/boot/report/{nonce}", json=report),
        desk.hello(nonce),
    ]
    assert [answer.status_code for answer in answers] == [403] * 3
    assert all("expired" in answer.json()["detail"] for answer in answers)
    assert len(desk.audits()) == 3
    assert desk.get("/machines")["items"] == []


def test_a_used_nonce_opens_nothing_to_another_key(desk: Desk) -> None:
    nonce = desk.boot()
    first = desk.hello(nonce).json()
    replay = desk.hello(nonce, key="another")
    assert replay.status_code == 403
    assert "token" not in replay.text
    assert desk.client.get(f"/metadata/{nonce}/user-data").status_code == 403
    assert ["used" in told for told in desk.audits()] == [True, True]
    # The true owner may ask again: its answer may have been lost on the wire.
    assert desk.hello(nonce).json()["scripts"] == first["scripts"]


def test_a_token_of_another_boot_gets_no_script_of_this_one(desk: Desk) -> None:
    mine = desk.enlist()
    other = desk.enlist(mac="52:54:00:12:34:02", uuid=UUID[:-1] + "2")
    desk.events(other["token"], story(other, document=resources()))
    for token, status in ((other["token"], 403), ("guessed", 401)):
        headers = {"Authorization": f"Bearer {token}"}
        path = f"/agent/scripts/{mine['scripts'][0]['sha256']}"
        answer = desk.client.get(path, headers=headers)
        assert answer.status_code == status
        assert b"#!" not in answer.content
    assert len(desk.audits()) == 2


def test_a_token_writes_no_result_of_another_machine_s_run(desk: Desk) -> None:
    mine = desk.enlist()
    other = desk.enlist(mac="52:54:00:12:34:02", uuid=UUID[:-1] + "2")
    result = mine["scripts"][0]["result"]
    events = [{"seq": 1, "kind": "finished", "result": result, "exit_status": 1}]
    answer = desk.events(other["token"], events)
    assert 400 <= answer.status_code < 500
    assert desk.get(f"/results/{result}")["state"] == "pending"


def test_the_token_dies_with_the_run(desk: Desk) -> None:
    welcome = desk.enlist()
    told = story(welcome, document=resources())
    assert desk.events(welcome["token"], told).status_code == 200
    late = {"seq": len(told) + 1, "kind": "heartbeat"}
    assert desk.events(welcome["token"], [late]).status_code == 403
    path = f"/agent/scripts/{welcome['scripts'][0]['sha256']}"
    headers = {"Authorization": f"Bearer {welcome['token']}"}
    assert desk.client.get(path, headers=headers).status_code == 403
    assert len(desk.audits()) == 2


def test_a_wrong_api_key_is_written_down_and_a_missing_one_is_not(desk: Desk) -> None:
    desk.keys["stranger"] = "muster_guessed"
    assert desk.ask("GET", "/machines", role="").status_code == 401
    assert desk.audits() == []
    assert desk.ask("GET", "/machines", role="stranger").status_code == 401
    assert desk.audits() == ["GET /api/v1/machines: unknown or revoked API key"]


def test_a_refused_role_is_written_down_with_who_and_what(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    desk.ask("DELETE", f"/machines/{name}", role="viewer")
    (told,) = desk.audits()
    assert told.startswith(f"DELETE /api/v1/machines/{name}: viewer is viewer")


def test_no_audit_event_holds_the_secret_that_was_tried(desk: Desk) -> None:
    nonce = desk.boot()
    desk.hello(nonce)
    desk.hello(nonce, key="stolen-key")
    desk.client.get("/metadata/guessed-nonce/user-data")
    desk.events("guessed-token", [])
    everything = desk.ask("GET", "/events", params={"limit": 1000}).text
    for secret in (nonce, "stolen-key", "guessed-nonce", "guessed-token"):
        assert secret not in everything


def test_a_stranger_cannot_fill_the_table_with_refusals(desk: Desk) -> None:
    counted = REFUSED._value.get()
    for _ in range(AUDITS * 3):
        assert desk.client.get("/metadata/guessed/user-data").status_code == 401
    assert len(desk.audits()) == AUDITS
    assert REFUSED._value.get() - counted == AUDITS * 3


@pytest.fixture
def budget(clock: Clock) -> Budget:
    return Budget(3, total=10, clock=lambda: clock().timestamp())


def test_each_address_has_its_own_budget(budget: Budget) -> None:
    assert [budget.spend("a") for _ in range(4)] == [True, True, True, False]
    assert budget.spend("b")
    assert budget.spent("a")
    assert not budget.spent("b")


def test_all_addresses_together_have_a_budget_too(budget: Budget) -> None:
    assert sum(budget.spend(f"address {i}") for i in range(100)) == 10


def test_a_budget_is_new_after_a_minute(budget: Budget, clock: Clock) -> None:
    while budget.spend("a"):
        pass
    clock.advance(WINDOW_S - 1)
    assert not budget.spend("a")
    clock.advance(1)
    assert budget.spend("a")


def test_the_machine_that_was_refused_is_still_nobody(desk: Desk) -> None:
    desk.hello("guessed", mac=MAC)
    assert desk.get("/machines")["items"] == []
    assert desk.get("/boots") == []
