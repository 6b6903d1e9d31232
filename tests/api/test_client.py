"""muster.client: every operation of the document, as the document has it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import MAC, Desk, resources, story
from tests.server.running import LiveServer, live_server
from tests.server.shelf import stocked

from muster.client import OPERATIONS, ApiError, Client
from muster.lifecycle import accounts
from muster.server.app import utc_now
from muster.store import people
from muster.store.engine import Store


def documented(desk: Desk) -> dict[str, tuple[str, str, bool, frozenset[str]]]:
    paths = desk.client.get("/api/openapi.json").json()["paths"]
    return {
        operation["operationId"]: (
            method.upper(),
            path.removeprefix("/api/v1"),
            "requestBody" in operation,
            frozenset(p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"),
        )
        for path, operations in paths.items()
        if path.startswith("/api/v1/")
        for method, operation in operations.items()
    }


def test_the_client_has_what_the_document_has_and_nothing_else(desk: Desk) -> None:
    known = {n: (o.method, o.path, o.body, o.query) for n, o in OPERATIONS.items()}
    wanted = documented(desk)
    # Who adds a route adds its line to muster/client.py: operationId: METHOD /path [+] [?names].
    assert known == wanted


def test_headers_of_the_document_are_those_that_the_client_can_send(desk: Desk) -> None:
    paths = desk.client.get("/api/openapi.json").json()["paths"]
    headers = {
        parameter["name"]
        for path, operations in paths.items()
        if path.startswith("/api/v1/")
        for operation in operations.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "header"
    }
    assert headers == {"Idempotency-Key", "If-Match", "If-None-Match"}


@pytest.fixture
def engine() -> str:
    """Nothing here is about the database."""
    return "sqlite"


@pytest.fixture
def server(store: Store, tmp_path: Path) -> Iterator[LiveServer]:
    with live_server(store, stocked(tmp_path)) as running:
        yield running


@pytest.fixture
def client(server: LiveServer, store: Store) -> Client:
    with store.write() as tx:
        people.add_user(tx, "robot", role="admin", password_hash="-", now=utc_now())
        user = people.user_named(tx, "robot")
    assert user is not None
    return Client(server.url, accounts.make_key(store, user, "test", utc_now()))


def test_a_program_adds_changes_and_lists_machines(client: Client) -> None:
    for n in range(3):
        body = {"driver": "manual", "name": f"web-{n}", "macs": [f"52:54:00:12:37:0{n}"]}
        first = client.answer("add_machine", body=body, idempotency_key=f"k{n}")
        again = client.answer("add_machine", body=body, idempotency_key=f"k{n}")
        assert (first.status, first.replayed, again.replayed) == (201, False, True)
        assert first.body == again.body
    names = [m["name"] for m in client.every("list_machines", fields="name", limit=2)]
    assert names == ["web-0", "web-1", "web-2"]
    seen = client.answer("show_machine", reference="web-0").etag
    client.change_machine(reference="web-0", body={"pool": "lab"}, if_match=seen)
    with pytest.raises(ApiError, match="changed by somebody else") as refused:
        client.change_machine(reference="web-0", body={"pool": "x"}, if_match=seen)
    assert refused.value.status == 412
    assert refused.value.wrong[0]["field"] == "If-Match"


def test_a_program_waits_for_what_it_began(client: Client, store: Store, tmp_path: Path) -> None:
    client.add_machine(body={"driver": "manual", "name": "web-1", "macs": [MAC]})
    begun = client.answer("start_commissioning", reference="web-1", body={"tests": ["none"]})
    assert begun.status == 202
    with pytest.raises(TimeoutError, match="is waiting"):
        client.wait(begun.operation, timeout_s=0, poll_s=0)
    desk = Desk(store, stocked(tmp_path / "other"), utc_now, prefix="other-")
    with desk.client:
        welcome = desk.enlist()
        desk.events(welcome["token"], story(welcome, document=resources()))
    assert client.wait(begun.operation, timeout_s=10)["state"] == "done"
    run = client.machine_runs(reference="web-1", limit=1)[0]
    output = client.result_output(result=run["results"][0]["id"], stream="combined")
    assert isinstance(output, bytes)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("show_machine", {}, "needs reference"),
        ("show_machine", {"reference": "x", "field": "name"}, "does not take field"),
        ("whoami", {"body": {}}, "takes no body"),
    ],
)
def test_what_an_operation_does_not_take_is_told_before_it_is_sent(
    name: str, given: Any, told: str
) -> None:
    with pytest.raises(TypeError, match=told):
        getattr(Client("http://127.0.0.1:1"), name)(**given)


def test_a_word_of_a_path_is_no_path(client: Client) -> None:
    with pytest.raises(ApiError) as refused:
        client.show_machine(reference="../users")
    assert refused.value.status == 404


def test_it_needs_nothing_but_python(tmp_path: Path) -> None:
    code = "import sys, muster.client; print([m for m in sys.modules if m.startswith('litestar')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no operation 'list_machine'"):
        _ = Client("http://127.0.0.1:1").list_machine
