# SPDX-License-Identifier: Apache-2.0
"""The list of machines: filter, columns, views; rows are chosen here and acted on in acting.py."""

import time
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, Parameter, QueryParameter
from litestar.response import Redirect

from muster.machine.columns import COLUMNS
from muster.machine.conditions import Node, evaluate
from muster.machine.grammar import LENGTH, BadExpression, parse
from muster.machine.states import State
from muster.store import facts, machines, people, tags
from muster.store.engine import Store, Tx
from muster.store.machines import Machine
from muster.web.page import page
from muster.web.session import AnyRequest, Looking, check_form

PAGE = 100
SECONDS = 2.0
SHOWN = ("state", "tags", "hardware", "cpus", "memory", "disks", "mac", "serial", "why")
DEFAULT = "state,tags,hardware,cpus,memory,disks,mac,why"


@get("/machines", sync_to_thread=True)
def show(
    request: AnyRequest,
    store: Store,
    now: datetime,
    looking: Looking,
    condition: Annotated[str, QueryParameter(name="filter", max_length=LENGTH)] = "",
    in_state: Annotated[str, QueryParameter(name="state", max_length=32)] = "",
    after: Annotated[str, Parameter(max_length=63)] = "",
    columns: Annotated[str, Parameter(max_length=200)] = DEFAULT,
    limit: Annotated[int, Parameter(ge=1, le=500)] = PAGE,
) -> Response[Any]:
    """A page of them by name."""
    wrong, node = _parsed(condition)
    with store.read() as tx:
        found, because, following = (
            _listed(tx, node, in_state, after, limit) if not wrong else ([], {}, "")
        )
        ids = [one.id for one in found]
        macs, given = machines.macs_of(tx, ids), tags.of(tx, ids)
        counted = machines.count_by_state(tx)
        views = people.views_of(tx, looking.user.id)
    asked = {
        "filter": condition,
        "state": in_state,
        "columns": columns,
        "limit": "" if limit == PAGE else str(limit),
    }
    query = urlencode({name: value for name, value in asked.items() if value})
    part = "machine_rows.html" if request.headers.get("hx-request") else "machines.html"
    return page(
        request, part, looking, machines=found, macs=macs, tags=given, because=because,
        counted=counted,
        wrong=wrong, condition=condition, state=in_state, after=after, following=following, now=now,
        query=query, columns=[one for one in columns.split(",") if one in SHOWN], known=SHOWN,
        views=views, states=[str(one) for one in State], fields=_fields(),
    )  # fmt: skip


def _parsed(condition: str) -> tuple[str, Node | None]:
    """What is wrong with it, or what it means."""
    try:
        return "", parse(condition) if condition.strip() else None
    except BadExpression as error:
        return str(error).removeprefix("filter: "), None


def _fields() -> list[dict[str, str]]:
    """What a filter may ask, for completion."""
    return [{"name": one.name, "kind": one.kind.value, "help": one.help}
            for one in COLUMNS.values()]  # fmt: skip


def _listed(
    tx: Tx, node: Node | None, state: str, after: str, limit: int
) -> tuple[list[Machine], dict[str, str], str]:
    """A page, why each is listed, and the name behind which the next page begins."""
    if node is None:
        found = machines.some(tx, state=state, after=after, limit=limit)
        return found, {}, found[-1].name if len(found) == limit else ""
    found, because = [], {}
    until = time.monotonic() + SECONDS
    while batch := machines.some(tx, state=state, after=after, limit=PAGE):
        known = facts.of(tx, batch)
        for machine in batch:
            after = machine.name
            if (verdict := evaluate(node, known[machine.id])).holds:
                found.append(machine)
                because[machine.id] = verdict.because
            if len(found) == limit or time.monotonic() > until:
                return found, because, after
    return found, because, ""


@post("/views", sync_to_thread=True)
def keep_view(
    data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)],
    request: AnyRequest,
    store: Store,
    looking: Looking,
) -> Response[Any]:
    """Save the present list under a name, or forget it."""
    check_form(request, looking, data)
    name, query = data.get("name", "").strip()[:64], data.get("query", "")[:2048]
    with store.write() as tx:
        if data.get("drop"):
            people.drop_view(tx, looking.user.id, name)
        elif name:
            people.keep_view(tx, looking.user.id, name, query)
    return Redirect(f"/machines?{query}", status_code=303)


ROUTES = [show, keep_view]
