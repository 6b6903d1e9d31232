# SPDX-License-Identifier: Apache-2.0
"""Tags and pools: what there is, what gives them; notes on one machine."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from muster.lifecycle import notes as note_verbs
from muster.lifecycle import tags as verbs
from muster.store import machines, notes, tags
from muster.store.engine import Conflict, Store, Tx
from muster.store.tags import Tag
from muster.web.machines import fields
from muster.web.page import page
from muster.web.session import AnyRequest, Looking, check_form
from muster.wire.codec import BadMessage

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
KINDS = {"": "by hand", "expression": "by its condition over the hardware",
         "xpath": "by XPath over lshw"}  # fmt: skip


@get("/tags", sync_to_thread=True)
def every(request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """All tags with how many machines have them, and the pools."""
    return _shown(request, store, looking)


def _shown(
    request: AnyRequest, store: Store, looking: Looking, *, wrong: str = "",
    given: dict[str, str] | None = None, status: int = 200,
) -> Response[Any]:  # fmt: skip
    with store.read() as tx:
        rows = _rows(tx)
        pools = machines.pools(tx)
    empty = {"name": "", "kind": "expression", "definition": "", "comment": ""}
    return page(
        request, "tags.html", looking, status=status, rows=rows, pools=pools, kinds=KINDS,
        wrong=wrong, given=empty | (given or {}), fields=fields(),
    )  # fmt: skip


def _rows(tx: Tx) -> list[tuple[str, Tag | None, int]]:
    """Name, what is said of it, and how many machines have it."""
    counts, said = tags.counts(tx), {tag.name: tag for tag in tags.some(tx)}
    return [(name, said.get(name), counts.get(name, 0)) for name in sorted({*counts, *said})]


@post("/tags", status_code=200, sync_to_thread=True)
def change(
    data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Say what a tag means, or take it away; what is wrong comes back with the form."""
    check_form(request, looking, data)
    looking.need("operator")
    name, actor = data.get("name", "").strip(), looking.user.name
    if data.get("do") == "delete":
        verbs.delete(store, name, actor=actor, now=now)
        return Redirect("/tags", status_code=303)
    kind = data.get("kind", "") if data.get("definition", "").strip() else ""
    try:
        verbs.define(store, name, comment=data.get("comment", "")[:2000], kind=kind,
                     definition=data.get("definition", "").strip()[:2000], actor=actor,
                     now=now)  # fmt: skip
    except (BadMessage, Conflict) as error:
        return _shown(request, store, looking, wrong=str(error), given=data, status=400)
    return Redirect("/tags", status_code=303)


@post("/machines/{reference:str}/notes", sync_to_thread=True)
def note(
    reference: str, data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Write a note on a machine, or take one away."""
    check_form(request, looking, data)
    looking.need("operator")
    if drop := data.get("drop", ""):
        number = int(drop) if drop.isascii() and drop.isdigit() else 0
        with store.read() as tx:
            machine = machines.find(tx, reference).id
            if notes.find(tx, number).machine_id != machine:
                raise Conflict(f"note {number} is on another machine")
        note_verbs.delete(store, number, actor=looking.user.name, now=now)
    else:
        text = data.get("text", "").replace("\r\n", "\n")[:10_000]
        note_verbs.add(store, reference, text, actor=looking.user.name, now=now)
    return Redirect(f"/machines/{reference}#notes", status_code=303)


ROUTES = [every, change, note]
