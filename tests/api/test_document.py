"""The OpenAPI document is true: schemathesis plays what it permits and what it forbids."""

import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import Desk
from tests.server.running import LiveServer, live_server
from tests.server.shelf import stocked

from muster.server.app import utc_now
from muster.store.engine import Store

PROGRAM = Path(sysconfig.get_path("scripts")) / "schemathesis"
OPTIONS = (
    "--seed=1 --max-examples=10 --checks=all --phases=examples,coverage,fuzzing --no-color"
    " --warnings=off"
)


@pytest.fixture
def engine() -> str:
    """Nothing here is about the database: one engine will do."""
    return "sqlite"


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(store, stocked(tmp_path), utc_now)
    with made.client:
        yield made


@pytest.fixture
def server(store: Store, tmp_path: Path, desk: Desk) -> Iterator[LiveServer]:
    with live_server(store, stocked(tmp_path)) as running:
        yield running


# No schema can say what a condition is: a good one is given.
PARAMETERS = ["[parameters]", '"query.filter" = "memory > 1GiB or state = New"']
# Nor which cursor belongs to which order; what a name, a condition or a rule's actions are; or
# what a text that says nothing is.
RECORD = (
    "/machines",
    "/machines/{reference}",
    "/machines/{reference}/notes",
    "/machines/{reference}/split",
    "/machines/{reference}/merge",
    "/tags/{tag}",
    "/tags/{tag}/machines",
    "/rules/{rule}",
    "/profiles/{profile}",
    "/profiles/{profile}/learn",
    "/views/{view}",
    "/manifest/apply",
    "/manifest/import",
    "/machines/{reference}/image",
    "/tags/{tag}/image",
    "/keys",
    "/users",
    "/users/{person}",
    "/bulk/{action}",
)
# Nor what a script or the name of one is: a text that is none is refused with 400.
SCRIPTS = ("/scripts", "/scripts/lint", "/scripts/{name}")
NAMED = ("/machines/{reference}/commission", "/machines/{reference}/test")
# Nor which hosts there are: what cannot be reached is refused with 400.
BMC = ("/machines/{reference}/bmc/log", "/machines/{reference}/bmc/media")
HOSTS = (
    *BMC,
    "/bmcs/scan",
    "/hosts",
    "/hosts/{reference}/machines",
    "/hosts/{reference}/instances",
)
ACCEPTED = '["2xx", "3xx", "400", "401", "403", "404", "409", "412", "422", "429"]'
# Nor which version a thing is in, or what a key was used for: 412 and 422 come before all else.
CHECKS = [
    "[checks]",
    "positive_data_acceptance.expected-statuses = "
    '["2xx", "3xx", "401", "403", "404", "409", "412", "422", "429", "5xx"]',
    "negative_data_rejection.expected-statuses = "
    '["400", "401", "403", "404", "405", "406", "409", "412", "413", "422", "428", "5xx"]',
]


def play(server: LiveServer, key: str, *more: str, folder: Path, lines: Sequence[str] = ()) -> None:
    """Fails with what schemathesis found: each with the request that shows it."""
    config = folder / "schemathesis.toml"
    refusing = []
    for path in (*RECORD, *SCRIPTS, *NAMED, *HOSTS):
        refusing += ["[[operations]]", f'include-path = "/api/v1{path}"']
        refusing += [f"checks.positive_data_acceptance.expected-statuses = {ACCEPTED}"]
    config.write_text("\n".join([*CHECKS, *PARAMETERS, *lines, *refusing]) + "\n")
    chosen = [f"--config-file={config}"]
    header = f"--header=Authorization: Bearer {key}"
    words = [str(PROGRAM), *chosen, "run", f"{server.url}/api/openapi.json", header]
    done = subprocess.run([*words, *OPTIONS.split(), *more], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_strangers_to_the_data_are_answered_as_the_document_says(
    server: LiveServer, desk: Desk, tmp_path: Path
) -> None:
    # Its own key would end with the first of them; it has a test of its own.
    play(server, desk.keys["admin"], "--exclude-path=/api/v1/logout", folder=tmp_path)


@pytest.mark.slow
def test_requests_about_what_exists_are_answered_as_the_document_says(
    server: LiveServer, desk: Desk, tmp_path: Path
) -> None:
    welcome = desk.enlist()
    machine = desk.get("/machines")["items"][0]["id"]
    item = welcome["scripts"][0]
    known = {
        "path.reference": machine,
        "path.boot": desk.get("/boots")[0]["id"],
        "path.run": desk.get(f"/machines/{machine}/runs")[0]["id"],
        "path.result": item["result"],
        "path.nonce": desk.boot(mac="52:54:00:12:34:99"),
        "path.sha256": item["sha256"],
    }
    lines = [f'"{name}" = {value!r}' for name, value in known.items()]
    for path in ("/agent/events", "/agent/scripts/{sha256}"):
        token = f'{{ Authorization = "Bearer {welcome["token"]}" }}'
        lines += ["[[operations]]", f'include-path = "{path}"', f"headers = {token}"]
    leave_out = ("--exclude-path=/api/v1/logout", "--exclude-method=DELETE")
    play(server, desk.keys["admin"], *leave_out, folder=tmp_path, lines=lines)


@pytest.mark.slow
def test_signing_out_is_answered_as_the_document_says(
    server: LiveServer, desk: Desk, tmp_path: Path
) -> None:
    play(server, desk.keys["operator"], "--include-path=/api/v1/logout", folder=tmp_path)


def test_the_document_tells_limits_and_refusals(desk: Desk) -> None:
    document: dict[str, Any] = desk.client.get("/api/openapi.json").json()
    hello = document["components"]["schemas"]["Hello"]["properties"]
    assert (hello["nonce"]["minLength"], hello["nonce"]["maxLength"]) == (1, 128)
    batch = document["components"]["schemas"]["Batch"]["properties"]
    assert batch["events"]["maxItems"] == 1000
    drivers = document["components"]["schemas"]["PowerSwitch"]["oneOf"]
    webhook = next(d for d in drivers if d["properties"]["driver"]["const"] == "webhook")
    assert "power_on_uri" in webhook["properties"]["parameters"]["required"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path.startswith("/api/v1/"):
                assert {"400", "401", "403"} <= operation["responses"].keys()
            if "requestBody" in operation:
                assert "413" in operation["responses"]


def test_with_fields_the_entries_of_a_list_have_some_of_their_fields(desk: Desk) -> None:
    document: dict[str, Any] = desk.client.get("/api/openapi.json").json()
    answer = document["paths"]["/api/v1/tags"]["get"]["responses"]["200"]
    whole, some = answer["content"]["application/json"]["schema"]["items"]["anyOf"]
    assert [whole["$ref"][21:], some["$ref"][21:]] == ["TagShown", "SomeTagShown"]
    schemas = document["components"]["schemas"]
    assert schemas["SomeTagShown"]["properties"] == schemas["TagShown"]["properties"]
    assert "required" not in schemas["SomeTagShown"]


def test_options_names_every_method_of_a_path(desk: Desk) -> None:
    paths = desk.client.get("/api/openapi.json").json()["paths"]
    for path, operations in paths.items():
        answer = desk.client.options(path.format_map(Numbers()))
        assert answer.status_code == 204
        allowed = {word.strip().lower() for word in answer.headers["allow"].split(",")}
        assert allowed - {"head"} == {"options", *operations}, path


class Numbers(dict[str, str]):
    """Any parameter is "1", if it may be."""

    def __missing__(self, key: str) -> str:
        return {"goal": "off", "action": "accept"}.get(key, "1")
