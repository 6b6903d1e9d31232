# SPDX-License-Identifier: Apache-2.0
"""The list of machines: filter, order, columns; rows are chosen here and acted on in acting.py."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, Parameter, QueryParameter
from litestar.response import Redirect

from muster.lifecycle import listing
from muster.lifecycle import views as verbs
from muster.lifecycle.listing import Asked, Page
from muster.machine.columns import COLUMNS
from muster.machine.conditions import Node
from muster.machine.grammar import LENGTH, BadExpression, parse
from muster.machine.states import State
from muster.store import counts, machines, people, tags
from muster.store.engine import Store, Tx
from muster.store.search import ORDERS, Order
from muster.web.page import page
from muster.web.session import AnyRequest, Looking, check_form

PAGE = 100
SHOWN = {
    "state": "state",
    "tags": "",
    "model": "product",
    "cores": "cores",
    "threads": "",
    "memory": "memory",
    "disks": "",
    "mac": "",
    "serial": "serial",
    "uuid": "",
    "pool": "pool",
    "rack": "rack",
    "power": "",
    "seen": "seen_at",
    "added": "created_at",
    "changed": "updated_at",
    "why": "",
}
"""Columns that can be shown, and what the list is sorted by when one is clicked."""
DEFAULT = "state,tags,model,cores,memory,disks,seen,why"


@get("/machines", sync_to_thread=True)
def show(
    request: AnyRequest,
    store: Store,
    now: datetime,
    looking: Looking,
    condition: Annotated[str, QueryParameter(name="filter", max_length=LENGTH)] = "",
    search: Annotated[str, Parameter(max_length=256)] = "",
    in_state: Annotated[str, QueryParameter(name="state", max_length=32)] = "",
    sort: Annotated[str, Parameter(max_length=16, pattern=f"^-?({'|'.join(ORDERS)})$")] = "name",
    after: Annotated[str, Parameter(max_length=400)] = "",
    columns: Annotated[str, Parameter(max_length=200)] = DEFAULT,
    limit: Annotated[int, Parameter(ge=1, le=500)] = PAGE,
) -> Response[Any]:
    """A page of them in the order that was asked for."""
    rows_only = bool(request.headers.get("hx-request"))
    wrong, node = parsed(condition)
    asked = Asked(node, search, in_state)
    with store.read() as tx:
        empty = Page([], {}, "")
        found = empty if wrong else listing.page(
            tx, asked, order=Order.asked(sort), after=after, limit=limit
        )  # fmt: skip
        shown = [one for one in columns.split(",") if one in SHOWN]
        content = _beside(tx, found, shown)
        if not rows_only:
            content |= {"counted": counts.by_state(tx),
                        "views": people.views_of(tx, looking.user.id)}  # fmt: skip
    asks = {
        "filter": condition, "search": search, "state": in_state,
        "sort": sort if sort != "name" else "", "columns": columns if columns != DEFAULT else "",
        "limit": "" if limit == PAGE else str(limit),
    }  # fmt: skip
    return page(
        request, "machine_rows.html" if rows_only else "machines.html", looking,
        **content, machines=found.machines, because=found.because, following=found.next,
        wrong=wrong, condition=condition, search=search, state=in_state, sort=sort, after=after,
        now=now, columns=shown, known=SHOWN, query=_query(asks), sorted_by=_sorts(asks, sort),
        states=[str(one) for one in State], fields=fields(),
    )  # fmt: skip


def _beside(tx: Tx, found: Page, shown: list[str]) -> dict[str, Any]:
    """What other tables say of the machines of the page, where it is shown."""
    ids = [one.id for one in found.machines]
    macs = machines.macs_of(tx, ids) if "mac" in shown else {}
    return {"macs": macs, "tags": tags.of(tx, ids) if "tags" in shown else {}}


def _query(asks: Mapping[str, str]) -> str:
    return urlencode({name: value for name, value in asks.items() if value})


def _sorts(asks: Mapping[str, str], sort: str) -> dict[str, str]:
    """For each column that sorts, the query of a click on it; the second click turns it round."""
    found = {}
    for column, order in {"name": "name", **SHOWN}.items():
        if order:
            found[column] = _query({**asks, "sort": f"-{order}" if sort == order else order})
    return found


def parsed(condition: str) -> tuple[str, Node | None]:
    """What is wrong with it, or what it means."""
    try:
        return "", parse(condition) if condition.strip() else None
    except BadExpression as error:
        return str(error).removeprefix("filter: "), None


def fields() -> list[dict[str, str]]:
    """What a filter may ask, for completion."""
    return [{"name": one.name, "kind": one.kind.value, "help": one.help}
            for one in COLUMNS.values()]  # fmt: skip


@post("/views", sync_to_thread=True)
def keep_view(
    data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)],
    request: AnyRequest,
    store: Store,
    looking: Looking,
) -> Response[Any]:
    """Save the present list under a name, for oneself or everybody, or forget it."""
    check_form(request, looking, data)
    name, query = data.get("name", "").strip(), data.get("query", "")
    if data.get("drop"):
        verbs.drop(store, looking.user, name, owner=data.get("owner", ""))
        return Redirect("/machines", status_code=303)
    kept = verbs.keep(store, looking.user, name, query, shared=data.get("shared") == "yes")
    return Redirect(f"/machines?{kept.query}", status_code=303)


ROUTES = [show, keep_view]
