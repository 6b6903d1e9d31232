# SPDX-License-Identifier: Apache-2.0
"""The API for Python programs: `Client(server, key)`; standard library only.

Every operation of the OpenAPI document is a method under its operationId; a test compares
OPERATIONS with the document. Path and query parameters are keywords, a JSON body is `body`:

    client = Client("http://muster:8472", key)
    for machine in client.every("list_machines", filter="memory >= 512GiB", fields="name,state"):
        print(machine["name"])
    begun = client.answer("start_commissioning", reference="web-1", body={"tests": ["quick"]})
    print(client.wait(begun.operation)["state"])
"""

import http.client
import json
import string
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

TIMEOUT = 30.0
OVER = ("done", "failed", "aborted", "replaced")
"""States of an operation that has ended."""

# operationId: method path, "+" where there is a body, "?" and the names of the query.
OPERATIONS_TEXT = """
scan_bmcs: POST /bmcs/scan +
list_boots: GET /boots ?before fields limit
show_boot: GET /boots/{boot}
act_on_many: POST /bulk/{action} +
list_clashes: GET /clashes ?before decided fields limit
show_clash: GET /clashes/{clash}
decide_clash: POST /clashes/{clash}/decide +
undo_clash: POST /clashes/{clash}/undo
component: GET /components ?fields serial
count_machines: GET /counts
list_events: GET /events ?after fields kind limit machine
list_hosts: GET /hosts ?fields
add_host: POST /hosts +
show_host: GET /hosts/{reference}
remove_host: DELETE /hosts/{reference}
list_instances: GET /hosts/{reference}/instances ?fields
compose: POST /hosts/{reference}/instances +
delete_instance: DELETE /hosts/{reference}/instances/{instance} ?confirm
take_in: POST /hosts/{reference}/machines +
refresh_host: POST /hosts/{reference}/refresh
host_resources: GET /hosts/{reference}/resources
list_images: GET /images ?fields
list_keys: GET /keys ?fields
make_key: POST /keys +
close_key: DELETE /keys/{key}
login: POST /login +
logout: POST /logout
list_machines: GET /machines ?after fields filter limit search sort state
add_machine: POST /machines +
show_machine: GET /machines/{reference} ?fields
delete_machine: DELETE /machines/{reference}
change_machine: PATCH /machines/{reference} +
abort: POST /machines/{reference}/abort
accept: POST /machines/{reference}/accept
bmc_log: GET /machines/{reference}/bmc/log ?fields
insert_media: PUT /machines/{reference}/bmc/media +
eject_media: DELETE /machines/{reference}/bmc/media
machine_boots: GET /machines/{reference}/boots ?fields limit
start_commissioning: POST /machines/{reference}/commission +
deny: POST /machines/{reference}/deny +
machine_diff: GET /machines/{reference}/diff ?new old
machine_expected: GET /machines/{reference}/expected
machine_findings: GET /machines/{reference}/findings ?fields
machine_image: GET /machines/{reference}/image
choose_for_machine: PUT /machines/{reference}/image +
mark_broken: POST /machines/{reference}/mark-broken +
mark_fixed: POST /machines/{reference}/mark-fixed +
merge_machines: POST /machines/{reference}/merge +
machine_notes: GET /machines/{reference}/notes ?fields limit
add_note: POST /machines/{reference}/notes +
override_tests: POST /machines/{reference}/override +
show_power: GET /machines/{reference}/power
set_power: PUT /machines/{reference}/power +
ask_power: POST /machines/{reference}/power/{goal} ?boot
machine_resources: GET /machines/{reference}/resources ?version
machine_runs: GET /machines/{reference}/runs ?fields limit
split_machine: POST /machines/{reference}/split +
machine_tags: GET /machines/{reference}/tags ?fields
start_testing: POST /machines/{reference}/test +
machine_versions: GET /machines/{reference}/versions ?fields limit
list_manifest: GET /manifest ?after fields limit rack
apply_manifest: POST /manifest/apply +
check_manifest: GET /manifest/check ?after fields limit rack
export_manifest: GET /manifest/export ?format
import_manifest: POST /manifest/import +
list_racks: GET /manifest/racks ?fields
show_row: GET /manifest/rows/{key}
remove_row: DELETE /manifest/rows/{key}
unexpected_machines: GET /manifest/unexpected ?after fields limit
show_note: GET /notes/{note}
delete_note: DELETE /notes/{note}
odd_ones: GET /odd-ones ?fields product vendor
list_operations: GET /operations ?fields limit machine
show_operation: GET /operations/{operation}
list_pools: GET /pools ?fields
list_profiles: GET /profiles ?fields
show_profile: GET /profiles/{profile}
put_profile: PUT /profiles/{profile} +
delete_profile: DELETE /profiles/{profile}
profile_deviations: GET /profiles/{profile}/deviations ?after fields
learn_profile: POST /profiles/{profile}/learn +
show_result: GET /results/{result}
result_output: GET /results/{result}/output ?offset stream
suppress_result: POST /results/{result}/suppress +
list_rules: GET /rules ?fields
show_rule: GET /rules/{rule}
put_rule: PUT /rules/{rule} +
delete_rule: DELETE /rules/{rule}
disable_rule: POST /rules/{rule}/disable
dry_run_rule: POST /rules/{rule}/dry-run ?after
enable_rule: POST /rules/{rule}/enable
show_run: GET /runs/{run}
resources_schema: GET /schemas/resources
list_scripts: GET /scripts ?fields tag
add_script: POST /scripts +
lint_script: POST /scripts/lint +
show_script: GET /scripts/{name}
remove_script: DELETE /scripts/{name}
change_script: PATCH /scripts/{name} +
compare_results: GET /scripts/{name}/comparison ?fields
script_source: GET /scripts/{name}/source ?version
tag_images: GET /tag-images
list_tags: GET /tags ?fields
show_tag: GET /tags/{tag}
put_tag: PUT /tags/{tag} +
delete_tag: DELETE /tags/{tag}
choose_for_tag: PUT /tags/{tag}/image +
tag_machines: POST /tags/{tag}/machines +
list_users: GET /users ?fields
add_user: POST /users +
show_user: GET /users/{person}
remove_user: DELETE /users/{person}
change_user: PATCH /users/{person} +
list_views: GET /views ?fields
get_view: GET /views/{view}
put_view: PUT /views/{view} +
delete_view: DELETE /views/{view} ?owner
whoami: GET /whoami
"""


@dataclass(frozen=True)
class Operation:
    """How one operation is asked for."""

    method: str
    path: str
    body: bool
    query: frozenset[str]

    @property
    def words(self) -> list[str]:
        """The parameters of its path, all of which are needed."""
        return [name for _, name, _, _ in string.Formatter().parse(self.path) if name]


def _operation(text: str) -> Operation:
    asked, _, query = text.partition("?")
    method, path, *more = asked.split()
    return Operation(method, path, bool(more), frozenset(query.split()))


OPERATIONS = {
    name: _operation(text)
    for name, _, text in (line.partition(": ") for line in OPERATIONS_TEXT.strip().splitlines())
}


class ApiError(Exception):
    """The server said no, or nothing (status 0); `wrong` is each field that is, with why."""

    def __init__(
        self, status: int, message: str, wrong: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.wrong = wrong or []


@dataclass(frozen=True)
class Answer:
    """`body` is JSON that was read, or bytes; `etag` the version of the thing shown, if any.

    `operation` is what to wait for; `replayed`: an Idempotency-Key was known.
    """

    body: Any
    status: int
    etag: str
    operation: str
    replayed: bool


class Client:
    """Talks to one server, with one API key."""

    def __init__(self, server: str, key: str = "", *, timeout: float = TIMEOUT) -> None:
        self.server = server.rstrip("/")
        self._key = key
        self._timeout = timeout

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """An operation as a method: client.show_machine(reference="web-1")."""
        if name not in OPERATIONS:
            raise AttributeError(f"there is no operation {name!r}")
        return partial(self.call, name)

    def call(self, name: str, /, **given: Any) -> Any:
        """The body of `answer`."""
        return self.answer(name, **given).body

    def answer(
        self, name: str, /, *, body: Any = None, if_match: str = "", if_none_match: str = "",
        idempotency_key: str = "", **parameters: Any,
    ) -> Answer:  # fmt: skip
        """One request; raises ApiError, and TypeError for a parameter that there is not."""
        asked = OPERATIONS[name]
        words = {word: parameters.pop(word, None) for word in asked.words}
        if missing := [word for word, value in words.items() if value is None]:
            raise TypeError(f"{name} needs {', '.join(missing)}")
        if strange := sorted(parameters.keys() - asked.query):
            known = ", ".join((*asked.words, *sorted(asked.query))) or "no parameters"
            raise TypeError(f"{name} does not take {', '.join(strange)}; it has {known}")
        if body is not None and not asked.body:
            raise TypeError(f"{name} takes no body")
        path = asked.path.format_map({n: urllib.parse.quote(str(v), safe="")
                                      for n, v in words.items()})  # fmt: skip
        sent = {"If-Match": if_match, "If-None-Match": if_none_match,
                "Idempotency-Key": idempotency_key}  # fmt: skip
        raw, headers, status = self._request(asked.method, path, body, parameters, sent)
        place = headers.get("location", "").rpartition("/operations/")[2]
        replayed = headers.get("idempotency-replayed") == "true"
        return Answer(self._read(raw, headers), status, headers.get("etag", ""), place, replayed)

    def every(self, name: str, /, **given: Any) -> Iterator[Any]:
        """The entries of a list that comes in pages, all of them."""
        while True:
            page = self.call(name, **given)
            yield from page["items"]
            if not page["next"]:
                return
            given["after"] = page["next"]

    def wait(
        self, operation: str, *, poll_s: float = 0.5, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """The operation when it has ended, or the next one where it was tried again.

        Raises TimeoutError.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            found: dict[str, Any] = self.call("show_operation", operation=operation)
            again = found["links"].get("next", "").rpartition("/")[2]
            if found["state"] == "failed" and again:
                operation = again
            elif found["state"] in OVER:
                return found
            elif until is not None and time.monotonic() >= until:
                raise TimeoutError(f"{operation} is {found['state']} after {timeout_s} s")
            else:
                time.sleep(poll_s)

    def raw(
        self, method: str, path: str, body: object = None, **query: Any
    ) -> tuple[bytes, dict[str, str]]:
        """The answer's bytes and headers; `path` is below /api/v1. Raises ApiError."""
        return self._request(method, path, body, query, {})[:2]

    def _request(
        self, method: str, path: str, body: object, query: dict[str, Any], headers: dict[str, str]
    ) -> tuple[bytes, dict[str, str], int]:
        query = {name: _text(value) for name, value in query.items() if value not in ("", None)}
        url = f"{self.server}/api/v1{path}" + ("?" if query else "") + urllib.parse.urlencode(query)
        headers = {name: value for name, value in headers.items() if value}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(url, data=data, method=method, headers=headers)
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                heard = {name.lower(): value for name, value in answer.headers.items()}
                return answer.read(), heard, answer.status
        except urllib.error.HTTPError as error:
            raise _refused(error) from error
        except ValueError as error:
            raise ApiError(0, f"{self.server}: not a server's address: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ApiError(0, f"{self.server} does not answer: {reason}") from error

    def _read(self, raw: bytes, headers: dict[str, str]) -> Any:
        if not raw:
            return None
        kind = headers.get("content-type", "application/json")
        return self._json(raw) if kind.startswith("application/json") else raw

    def _json(self, answer: bytes) -> Any:
        try:
            return json.loads(answer)
        except ValueError as error:
            raise ApiError(0, f"{self.server} answers, but not as muster does: {error}") from error


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _refused(error: urllib.error.HTTPError) -> ApiError:
    with error:
        try:
            told = json.loads(error.read())
            return ApiError(error.code, str(told["detail"]), told.get("wrong"))
        except (ValueError, KeyError, TypeError, OSError):
            return ApiError(error.code, f"HTTP {error.code} {error.reason}")
