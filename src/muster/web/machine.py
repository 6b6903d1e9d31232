# SPDX-License-Identifier: Apache-2.0
"""One machine: what it is, how sure we are, what is in it, what changed, what it did."""

import json
from datetime import datetime
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import Parameter

from muster.lifecycle import bmclogs
from muster.lifecycle.keyring import Keyring
from muster.machine.differences import Change, compare
from muster.store import (
    boots,
    events,
    findings,
    goals,
    machines,
    manifest,
    notes,
    power_states,
    runs,
    tags,
    versions,
)
from muster.store.engine import Missing, Store, Tx
from muster.store.versions import Version
from muster.web import arrivals, assurance, diagram
from muster.web.page import page
from muster.web.session import AnyRequest, Looking
from muster.wire.resources import BadDocument, Document, read_sections

Reference = Annotated[str, Parameter(max_length=63)]
PATH = "/machines/{reference:str}"
RAW_LIMIT = 512 * 1024
"""Bytes of the raw document in the page; the whole is one click away."""


@get(PATH, sync_to_thread=True)
def show(
    reference: Reference, request: AnyRequest, store: Store, now: datetime, looking: Looking
) -> Response[Any]:
    """Summary, diagram, runs and boots; comes again when something of it changes."""
    with store.read() as tx:
        machine = machines.find(tx, reference)
        newest = versions.some(tx, machine.id, limit=1)
        document, unread = _document(tx, newest[0]) if newest else (None, "")
        found = findings.of_machine(tx, machine.id)
        neighbours = {one["interface"]: one for item in found if item.name == "lldp"
                      for one in item.body if isinstance(one, dict)}  # fmt: skip
        drawing = diagram.draw(document, neighbours) if document else None
        latest = boots.some(tx, machine=machine.id, limit=5)
        lines = boots.timeline(tx, [boot.id for boot in latest])
        recent = runs.some(tx, machine.id, limit=5)
        content: dict[str, Any] = {
            "machine": machine,
            "macs": machines.macs_of(tx, [machine.id])[machine.id],
            "arrivals": [arrivals.arrival(one, machine.name, lines[one.id]) for one in latest],
            "runs": [(run, runs.results_of(tx, run.id)) for run in recent],
            "tags": tags.of_machine(tx, machine.id),
            "notes": notes.of_machine(tx, machine.id, limit=50),
            "goal": goals.find(tx, machine.id),
            "power": power_states.find(tx, machine.id),
            "assured": assurance.lines(tx, machine, document, drawing),
            "listed": manifest.any_row(tx),
            "events": events.some(tx, machine=machine.id, limit=30)[::-1],
        }
    part = "machine_live.html" if request.headers.get("hx-request") else "machine.html"
    return page(
        request, part, looking, **content, now=now, drawing=drawing, unread=unread,
    )  # fmt: skip


def _document(tx: Tx, version: Version) -> tuple[Document | None, str]:
    try:
        return read_sections(versions.body(tx, version)), ""
    except BadDocument as error:
        return None, str(error)


@get(PATH + "/history", sync_to_thread=True)
def history(
    reference: Reference,
    request: AnyRequest,
    store: Store,
    looking: Looking,
    old: Annotated[int, Parameter(ge=0, le=2**31 - 1)] = 0,
    new: Annotated[int, Parameter(ge=0, le=2**31 - 1)] = 0,
) -> Response[Any]:
    """The versions of its document and what changed between two of them."""
    with store.read() as tx:
        machine = machines.find(tx, reference)
        known = versions.some(tx, machine.id, limit=100)
        changes: list[Change] = []
        after = new or (known[0].version if known else 0)
        before = old or after - 1
        wrong = ""
        if before >= 1:
            try:
                first, second = (
                    read_sections(versions.body(tx, versions.find(tx, machine.id, number)))
                    for number in (before, after)
                )
                changes = compare(first, second)
            except (BadDocument, Missing) as error:
                wrong = str(error)
    return page(
        request, "history.html", looking, machine=machine, versions=known, changes=changes[:1000],
        old=before, new=after, wrong=wrong,
    )  # fmt: skip


@get(PATH + "/raw", sync_to_thread=True)
def raw(reference: Reference, request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """The document as the machine sent it, indented."""
    with store.read() as tx:
        machine = machines.find(tx, reference)
        newest = versions.some(tx, machine.id, limit=1)
        body = versions.body(tx, newest[0]) if newest else b""
    try:
        text = json.dumps(json.loads(body), indent=1, ensure_ascii=False) if body else ""
    except ValueError:
        text = body.decode("utf-8", "replace")
    return page(
        request, "raw.html", looking, machine=machine, text=text[:RAW_LIMIT], size=len(body),
        cut=len(text) > RAW_LIMIT,
    )  # fmt: skip


@get(PATH + "/raw.json", sync_to_thread=True)
def raw_file(reference: Reference, store: Store, looking: Looking) -> Response[bytes]:
    """The document, byte for byte, as a download."""
    with store.read() as tx:
        machine = machines.find(tx, reference)
        newest = versions.some(tx, machine.id, limit=1)
        if not newest:
            raise Missing(f"{machine.name} has sent no resources document yet")
        body = versions.body(tx, newest[0])
    headers = {
        "Content-Disposition": f'attachment; filename="{machine.name}.json"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(body, media_type="application/octet-stream", headers=headers)


@get(PATH + "/power", sync_to_thread=True)
def power(
    reference: Reference, request: AnyRequest, store: Store, keyring: Keyring, looking: Looking
) -> Response[Any]:
    """How it is switched; secrets are named and never shown."""
    with store.read() as tx:
        machine = machines.find(tx, reference)
        goal, seen = goals.find(tx, machine.id), power_states.find(tx, machine.id)
        told = assurance.bmc_log(findings.body(tx, machine.id, bmclogs.FINDING))
    secrets = sorted(keyring.open(machine.power_secret, of=machine.id))
    return page(
        request, "machine_power.html", looking, machine=machine, goal=goal, power=seen,
        secrets=secrets, log=told,
    )  # fmt: skip


ROUTES = [show, history, raw, raw_file, power]
