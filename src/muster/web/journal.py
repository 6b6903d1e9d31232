# SPDX-License-Identifier: Apache-2.0
"""What happened, power of all machines, and the images that they start."""

from typing import Annotated, Any

from litestar import Response, get
from litestar.params import Parameter

from muster.images.errors import ManifestError
from muster.images.library import Library
from muster.lifecycle import bmclogs
from muster.store import events, findings, machines, power_states
from muster.store.engine import Store
from muster.web import assurance
from muster.web.page import page
from muster.web.session import AnyRequest, Looking

SHOWN = 200


@get("/events", sync_to_thread=True)
def show(
    request: AnyRequest,
    store: Store,
    looking: Looking,
    kind: Annotated[str, Parameter(max_length=48)] = "",
) -> Response[Any]:
    """The newest, or those of one kind; `audit.` is about access and for admins."""
    if kind.startswith("audit"):
        looking.need("admin")
    with store.read() as tx:
        found = events.some(tx, kind=kind, limit=SHOWN)[::-1]
        if not looking.may("admin"):
            found = [event for event in found if not event.kind.startswith("audit.")]
        names = machines.names(tx, {event.machine_id for event in found if event.machine_id})
    part = "event_rows.html" if request.headers.get("hx-request") else "events.html"
    return page(request, part, looking, events=found, names=names, kind=kind)


@get("/power", sync_to_thread=True)
def power(request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """What polling saw, those in trouble first."""
    with store.read() as tx:
        found = power_states.overview(tx, limit=SHOWN)
        counted = power_states.count(tx)
        known = findings.bodies(tx, [row.id for row in found], bmclogs.FINDING)
    part = "power_rows.html" if request.headers.get("hx-request") else "power.html"
    return page(request, part, looking, rows=found, counted=counted,
                logs={row.id: assurance.bmc_log(known.get(row.id)) for row in found})  # fmt: skip


@get("/images", sync_to_thread=True)
def images(request: AnyRequest, library: Library, looking: Looking) -> Response[Any]:
    """The library; `current` is what machines start."""
    try:
        current = library.current()
        wrong = "" if current else "there is no image: run 'muster image build'"
    except ManifestError as error:
        current, wrong = None, f"{error}: run 'muster image build --refresh'"
    return page(
        request, "images.html", looking, images=library.all(), wrong=wrong,
        current=current.id if current else "",
    )  # fmt: skip


ROUTES = [show, power, images]
