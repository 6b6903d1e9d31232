# SPDX-License-Identifier: Apache-2.0
"""Scripts: what there is, its versions, and an editor that says what is wrong as one types."""

import difflib
from datetime import datetime
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, Parameter
from litestar.response import Redirect

from muster.lifecycle import scripts as verbs
from muster.lifecycle import shelf
from muster.scripts import format as script_format
from muster.store import scripts
from muster.store.engine import Missing, Store
from muster.web.page import page
from muster.web.session import AnyRequest, Looking, check_form

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
Name = Annotated[str, Parameter(max_length=255)]
BODY_LIMIT = 3 * script_format.SOURCE_LIMIT + 65536
"""A form writes a byte in three characters at most."""

DIFF_MOST = 5000
"""Lines of a difference on a page."""

EXAMPLE = """#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: my-check
# title: What it looks at
# script_type: testing
# timeout: 00:05:00
# --- End MAAS 1.0 script metadata ---
set -eu
echo hello
"""


@get("/scripts", sync_to_thread=True)
def every(request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """All of them by kind and name."""
    with store.read() as tx:
        offers = shelf.every(tx)
    return page(request, "scripts.html", looking, offers=offers)


@get("/scripts/new", sync_to_thread=False)
def new(request: AnyRequest, looking: Looking) -> Response[Any]:
    """The editor with an example."""
    looking.need("admin")
    return page(request, "script_edit.html", looking, name="", source=EXAMPLE, problems=[])


@get("/scripts/{name:str}", sync_to_thread=True)
def one(
    name: Name,
    request: AnyRequest,
    store: Store,
    looking: Looking,
    version: Annotated[int, Parameter(ge=0, le=2**31 - 1)] = 0,
    against: Annotated[int, Parameter(ge=0, le=2**31 - 1)] = 0,
) -> Response[Any]:
    """Its metadata, source and versions; what a version changed `against` an older one."""
    with store.read() as tx:
        offer = next((o for o in shelf.every(tx) if o.script.name == name), None)
        if offer is None:
            raise Missing(f"no script has the name {name!r}")
        row = next((row for row in scripts.some(tx) if row.name == name), None)
        known = scripts.versions(tx, row.id)[::-1] if row else []
    source = verbs.source(store, name, version).decode("utf-8", "replace")
    before = verbs.source(store, name, against).decode("utf-8", "replace") if against else ""
    return page(
        request, "script.html", looking, offer=offer, script=offer.script, versions=known,
        source=source, shown=version or offer.version, against=against,
        changes=_changes(before, source) if against else [],
    )  # fmt: skip


def _changes(before: str, after: str) -> list[tuple[str, str]]:
    """Lines of a unified diff with what each is: added, removed, place or same."""
    kinds = {"+": "added", "-": "removed", "@": "place"}
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="")
    return [(kinds.get(line[:1], "same"), line) for line in list(lines)[2:DIFF_MOST]]


@get("/scripts/{name:str}/edit", sync_to_thread=True)
def edit(name: Name, request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """The editor with its newest version."""
    looking.need("admin")
    source = verbs.source(store, name).decode("utf-8", "replace")
    return page(request, "script_edit.html", looking, name=name, source=source, problems=[])


@post("/scripts/lint", status_code=200, sync_to_thread=True, request_max_body_size=BODY_LIMIT)
def lint(data: Form, request: AnyRequest, looking: Looking) -> Response[Any]:
    """What is wrong with the text as it is now; nothing is kept."""
    check_form(request, looking, data)
    found = script_format.problems(source_of(data))
    return page(request, "lint.html", looking, problems=found)


@post("/scripts", sync_to_thread=True, request_max_body_size=BODY_LIMIT)
def save(
    data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Keep it as the next version; what is wrong comes back with the text."""
    check_form(request, looking, data)
    looking.need("admin")
    source = source_of(data)
    try:
        script, _ = verbs.add(
            store, source, comment=data.get("comment", "")[:1000], actor=looking.user.name, now=now
        )
    except verbs.BadScript as error:
        return page(
            request, "script_edit.html", looking, status=400, name=data.get("name", ""),
            source=source.decode(), problems=error.problems,
        )  # fmt: skip
    return Redirect(f"/scripts/{script.name}", status_code=303)


@post("/scripts/{name:str}/use", sync_to_thread=True)
def use(
    name: Name, data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Switch it on or off for the runs to come."""
    check_form(request, looking, data)
    looking.need("admin")
    wanted = verbs.Use(enabled=data.get("enabled") == "yes")
    verbs.change(store, name, wanted, actor=looking.user.name, now=now)
    return Redirect(f"/scripts/{name}", status_code=303)


def source_of(form: dict[str, str]) -> bytes:
    """A browser sends text with the line ends of MIME; a script has those of Unix."""
    return str(form.get("source", "")).replace("\r\n", "\n").encode("utf-8", "replace")


ROUTES = [every, new, one, edit, lint, save, use]
