"""Bad input to every endpoint: a 4xx that names the field, never a 500, and nothing is stored."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.bodies import BODIES, MAKES, UNKNOWN
from tests.api.desk import UUID, Desk
from tests.server.shelf import stocked

from muster.api import manifest, scripts
from muster.server.app import utc_now
from muster.store.engine import Store


class Door:
    """The operations of the OpenAPI document, and one machine to do them to."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.token = desk.enlist()["token"]
        machine = desk.get("/machines")["items"][0]
        self.words = {
            "reference": machine["id"],
            "boot": desk.get("/boots")[0]["id"],
            "run": "1",
            "result": "1",
            "goal": "off",
            "action": "accept",
            "operation": "run-1",
            "instance": "web",
            "name": "00-maas-01-lshw",
            "tag": "spare",
            "view": "wide",
            "note": "1",
            "clash": "1",
            "person": "nobody",
            "key": "1",
            "rule": "web",
            "profile": "r750",
            "nonce": desk.boot(mac="52:54:00:12:34:99"),
            **{"version": "latest", "item": "instance-id"},
            "sha256": "0" * 64,
        }
        self.paths = desk.client.get("/api/openapi.json").json()["paths"]

    def ask(self, method: str, path: str, **more: Any) -> Any:
        key = self.token if path.startswith("/agent/") else self.desk.keys["admin"]
        headers = {"Authorization": f"Bearer {key}"} | more.pop("headers", {})
        words = self.words | more.pop("words", {})
        return self.desk.client.request(method, path.format(**words), headers=headers, **more)

    def with_body(self) -> list[tuple[str, str]]:
        return [
            (method, path)
            for path, found in self.paths.items()
            for method, operation in found.items()
            if "requestBody" in operation
        ]


@pytest.fixture
def door(desk: Desk) -> Door:
    """Over each engine, for what reaches the database."""
    return Door(desk)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One for all tests whose requests get no further than the parser."""
    folder = tmp_path_factory.mktemp("gate")
    store = Store(f"sqlite:///{folder}/gate.db")
    store.migrate()
    desk = Desk(store, stocked(folder), utc_now)
    with desk.client:
        yield Door(desk)
    store.close()


def refused(answer: Any, *, status: int = 400) -> str:
    """Checks the shape of a refusal; returns its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["status_code"] == status
    assert all(set(item) == {"field", "why"} for item in body.get("wrong", []))
    return str(body["detail"])


def test_these_tests_know_every_endpoint_that_takes_a_body(gate: Door) -> None:
    assert {path for _, path in gate.with_body()} == set(BODIES)


@pytest.mark.parametrize(
    "body",
    [b'{"a": ', b"hello", b"\xff\xfe\x00", b"<a/>", b"a=b&c=d", b"[" * 5000, b'"\\ud800"', b"NaN"],
    ids=repr,
)
def test_what_is_not_json_is_refused_as_such(gate: Door, body: bytes) -> None:
    for method, path in gate.with_body():
        assert refused(gate.ask(method, path, content=body)).startswith("body: not JSON: ")


@pytest.mark.parametrize("body", [b"[]", b"5", b'"text"', b"true"])
def test_json_that_is_no_object_is_refused_as_such(gate: Door, body: bytes) -> None:
    for method, path in gate.with_body():
        assert refused(gate.ask(method, path, content=body)).startswith("body: Expected `object")


def test_an_empty_body_is_refused_where_one_is_needed(gate: Door) -> None:
    for method, path in gate.with_body():
        if not path.endswith(("/commission", "/test")):
            assert refused(gate.ask(method, path)) == "body: is missing"


def test_every_missing_field_is_named(gate: Door) -> None:
    needed = {
        "/api/v1/login": ("user", "password"),
        "/api/v1/machines": ("driver",),
        "/api/v1/machines/{reference}/power": ("driver",),
        "/api/v1/bmcs/scan": ("ranges",),
        "/api/v1/machines/{reference}/bmc/media": ("image",),
        "/api/v1/hosts": ("name",),
        "/api/v1/hosts/{reference}/instances": ("name",),
        "/boot/report/{nonce}": ("phase", "status"),
        "/agent/hello": ("evidence", "nonce", "key"),
        "/agent/events": ("events",),
        "/api/v1/machines/{reference}/override": ("reason",),
        "/api/v1/bulk/{action}": ("machines",),
        "/api/v1/results/{result}/suppress": ("reason",),
        "/api/v1/scripts": ("source",),
        "/api/v1/users": ("name", "role", "password"),
        "/api/v1/keys": ("name",),
        "/api/v1/scripts/lint": ("source",),
        "/api/v1/machines/{reference}/notes": ("text",),
        "/api/v1/machines/{reference}/split": ("macs",),
        "/api/v1/machines/{reference}/merge": ("other",),
        "/api/v1/clashes/{clash}/decide": ("decision",),
        "/api/v1/rules/{rule}": ("condition",),
        "/api/v1/views/{view}": ("query",),
        "/api/v1/profiles/{profile}/learn": ("machines",),
    }
    for method, path in gate.with_body():
        for name in needed.get(path, ()):
            body = {key: value for key, value in BODIES[path].items() if key != name}
            assert f"`{name}`" in refused(gate.ask(method, path, json=body))


def wrongly_typed(value: Any, path: str) -> list[tuple[str, Any]]:
    """Every way to put one wrong type into a message: (the field's path, the message)."""
    wrong: Any = {} if isinstance(value, str | int | float | bool) else 5
    found = [(path, wrong)] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            inner = f"{path}.{key}".lstrip(".")
            found += [(name, {**value, key: bad}) for name, bad in wrongly_typed(item, inner)]
    if isinstance(value, list):
        inner = f"{path}[0]"
        found += [(name, [bad]) for name, bad in wrongly_typed(value[0], inner)]
    return found


def test_every_wrong_type_is_named_with_its_path(gate: Door) -> None:
    tried = 0
    for method, path in gate.with_body():
        for field, body in wrongly_typed(BODIES[path], ""):
            # A dict's own keys are no fields: "parameters[...]" is as near as msgspec tells.
            named = "parameters[...]" if field == "parameters.a" else field
            assert refused(gate.ask(method, path, json=body)).startswith(f"{named}: "), field
            tried += 1
    assert tried > 25


def test_a_body_beyond_the_limit_is_refused_with_the_limit(gate: Door) -> None:
    limits = {"/boot/report/{nonce}": 16384, "/agent/events": 4 * 1024 * 1024}
    limits |= dict.fromkeys(("/api/v1/scripts", "/api/v1/scripts/lint"), scripts.BODY_LIMIT)
    limits["/api/v1/manifest/import"] = manifest.BODY_LIMIT
    for method, path in gate.with_body():
        limit = limits.get(path, 1024 * 1024)
        told = refused(gate.ask(method, path, content=b"x" * (limit + 1)), status=413)
        assert told == f"body: too large: the limit here is {limit} bytes"


def test_a_body_in_chunks_is_measured_too(gate: Door) -> None:
    chunks = (b"x" * 8192 for _ in range(3))
    told = refused(gate.ask("POST", "/boot/report/{nonce}", content=chunks), status=413)
    assert "16384" in told


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/agent/hello", {"nonce": "n" * 129}, "nonce"),
        ("/agent/hello", {"nonce": ""}, "nonce"),
        ("/agent/hello", {"kernel": "k" * 257}, "kernel"),
        ("/agent/hello", {"evidence": {"serial": "s" * 257}}, "serial"),
        ("/agent/hello", {"evidence": {"nics": [{"mac": "m" * 65}]}}, "mac"),
        ("/agent/events", {"events": [{"seq": 1, "kind": "end", "reason": "r" * 1025}]}, "reason"),
        ("/agent/events", {"events": [{"seq": 1, "kind": "output", "data": "!"}]}, "data"),
        ("/agent/events", {"events": [{"seq": 1, "kind": "dance"}]}, "kind"),
        ("/agent/events", {"events": [{"seq": 1, "kind": "finished", "exit_status": 2**31}]},
         "exit_status"),
        ("/boot/report/{nonce}", {"detail": "d" * 2049}, "detail"),
        ("/boot/report/{nonce}", {"phase": "lunch"}, "phase"),
    ],
)  # fmt: skip
def test_a_field_beyond_its_limit_is_named(
    gate: Door, path: str, body: dict[str, Any], field: str
) -> None:
    if "events" in body:
        run = gate.desk.get(f"/machines/{gate.words['reference']}/runs")[0]
        body["events"][0]["result"] = run["results"][0]["id"]
    answer = gate.ask("POST", path, json=BODIES[path] | body)
    assert field in refused(answer)


def with_nul(value: Any, path: str) -> list[tuple[str, Any]]:
    """Every way to put U+0000 into one text of a message: (the field's path, the message)."""
    if isinstance(value, str):
        return [(path, "a\0b")]
    if isinstance(value, dict):
        return [
            (name, {**value, key: bad})
            for key, item in value.items()
            for name, bad in with_nul(item, f"{path}.{key}")
        ]
    if isinstance(value, list):
        return [(name, [bad]) for name, bad in with_nul(value[0], path)]
    return []


def test_a_nul_in_any_text_is_refused_by_name_and_never_stored(door: Door) -> None:
    tried = 0
    for method, path in door.with_body():
        for field, body in with_nul(BODIES[path], ""):
            detail = refused(door.ask(method, path, json=body))
            assert field.rsplit(".")[-1] in detail
            assert "NUL" in detail or "\\x00" in detail
            tried += 1
    assert tried > 12


def test_a_nul_in_what_nobody_reads_is_ignored(door: Door) -> None:
    body = {"name": "web-1", "a\0": "b\0"}
    answer = door.ask("PATCH", "/api/v1/machines/{reference}", json=body)
    assert answer.status_code == 200


def test_a_backslash_before_u0000_is_text_like_any_other(door: Door) -> None:
    body = {"name": "\\u0000"}
    answer = door.ask("PATCH", "/api/v1/machines/{reference}", json=body)
    assert "DNS label" in refused(answer, status=409)


INTEGERS = ("runs", "results", "notes", "clashes", "keys", "{result}")


def test_a_nul_in_a_path_or_query_is_refused(door: Door) -> None:
    for path, operations in door.paths.items():
        for method in operations:
            if "{" in path:
                words = dict.fromkeys(door.words, "%00")
                status = 404 if ":int" in path or path.split("/")[3] in INTEGERS else 400
                refused(door.ask(method, path, words=words), status=status)
            answer = door.ask(method, path, params={"mac": "\0"}, json=BODIES.get(path))
            assert refused(answer).startswith("mac: "), path


def test_an_unknown_machine_boot_run_or_result_is_named(door: Door) -> None:
    for path, operations in door.paths.items():
        if not path.startswith("/api/v1/") or "{" not in path:
            continue
        for method in operations:
            if path in MAKES and method in ("put", "post"):
                continue
            body = {"driver": "manual"} if path.endswith("power") else BODIES.get(path)
            words = {UNKNOWN[path]: "404404"}
            answer = door.ask(method, path, words=words, json=body)
            assert "404404" in refused(answer, status=404)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/machines?limit=0", "limit"),
        ("/machines?limit=1001", "limit"),
        ("/machines?limit=many", "limit"),
        ("/machines?state=Asleep", "state"),
        ("/machines?after=" + "x" * 401, "after"),
        ("/machines?filter=memroy", "filter"),
        ("/components?serial=", "serial"),
        ("/machines/" + "x" * 64, "reference"),
        ("/boots?limit=501", "limit"),
        ("/boots?before=yesterday", "before"),
        ("/boots?before=0001-01-01T00:00:00%2B14:00", "before"),
        ("/boots?before=9999-12-31T23:59:59-14:00", "before"),
        ("/boots/" + "x" * 33, "boot"),
        ("/runs/0", "run"),
        ("/runs/" + "9" * 30, "run"),
        ("/results/1/output?stream=stdin", "stream"),
        ("/results/1/output?offset=-1", "offset"),
        ("/events?after=-1", "after"),
        ("/events?after=" + "9" * 30, "after"),
        ("/events?kind=" + "x" * 49, "kind"),
    ],
)
def test_a_wrong_parameter_is_named(gate: Door, path: str, field: str) -> None:
    assert refused(gate.desk.ask("GET", path)).startswith(f"{field}: ")


def test_a_time_without_a_zone_is_utc(desk: Desk) -> None:
    desk.enlist()
    at = desk.get("/boots")[0]["started_at"].rstrip("Z")
    assert desk.get("/boots", params={"before": at}) == []
    assert desk.get("/boots", params={"before": f"{at}+00:00"}) == []
    assert len(desk.get("/boots", params={"before": "9999-12-31T00:00:00"})) == 1


def test_a_wrong_method_is_refused_with_the_right_ones(gate: Door) -> None:
    for path, operations in gate.paths.items():
        for method in {"GET", "PUT", "PATCH", "DELETE", "POST"} - {m.upper() for m in operations}:
            answer = gate.ask(method, path)
            refused(answer, status=405)
            allowed = {word.strip().lower() for word in answer.headers["allow"].split(",")}
            assert allowed - {"options", "head"} == set(operations), path


def test_a_name_that_is_no_dns_label_or_is_taken_is_refused(desk: Desk) -> None:
    one = desk.enlist()["machine"]
    two = desk.enlist(mac="52:54:00:12:34:02", uuid=UUID[:-1] + "2")["machine"]
    for name in ("", "-a", "a_b", "A" * 64, "ä", "a.b", two):
        answer = desk.ask("PATCH", f"/machines/{one}", json={"name": name})
        assert "name" in refused(answer, status=409)
    assert desk.get(f"/machines/{one}")["name"] == one


def test_an_unknown_driver_and_parameter_are_named(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    answer = desk.ask("PUT", f"/machines/{name}/power", json={"driver": "magic"})
    assert "magic" in refused(answer)
    body = {"driver": "manual", "parameters": {"speed": "fast"}}
    assert "speed" in refused(desk.ask("PUT", f"/machines/{name}/power", json=body))


def test_a_verb_that_does_not_fit_the_state_says_the_state(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    desk.ask("POST", f"/machines/{name}/commission")
    told = refused(desk.ask("POST", f"/machines/{name}/commission"), status=409)
    assert "Commissioning" in told
    assert "Commissioning" in refused(
        desk.ask("POST", f"/machines/{name}/deny", json={}), status=409
    )
