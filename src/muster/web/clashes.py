# SPDX-License-Identifier: Apache-2.0
"""Machines that claim what another record has: both sides beside each other, and who decides."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, get_args

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.exceptions import ClientException
from litestar.params import Body, Parameter
from litestar.response import Redirect

from muster.lifecycle import clashes as verbs
from muster.lifecycle.clashes import Decision
from muster.machine import evidence as weights
from muster.machine.evidence import Evidence, Point
from muster.store import clashes, evidence, machines
from muster.store.clashes import ClashRow
from muster.store.engine import Missing, Store, Tx
from muster.store.machines import Machine
from muster.web.page import page
from muster.web.session import AnyRequest, Looking, check_form

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
Number = Annotated[int, Parameter(ge=1, le=2**53)]


@dataclass(frozen=True)
class Side:
    """A record of the clash, gone when `machine` is None; `points` weigh it against the other."""

    machine: Machine | None
    id: str
    evidence: dict[str, list[str]]
    points: list[Point]
    weight: int


@get("/clashes", sync_to_thread=True)
def every(request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """Those that wait for a person, then those that were decided."""
    with store.read() as tx:
        waiting, decided = clashes.some(tx), clashes.some(tx, decided=True, limit=30)
    return page(request, "clashes.html", looking, waiting=waiting, decided=decided)


@get("/clashes/{number:int}", sync_to_thread=True)
def one(number: Number, request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """Both sides of one."""
    with store.read() as tx:
        clash = clashes.find(tx, number)
        said = _said(clash)
        sides = _sides(tx, clash, said)
    return page(
        request, "clash.html", looking, clash=clash, said=_lists(said), sides=sides,
        decisions=get_args(Decision),
    )  # fmt: skip


def _sides(tx: Tx, clash: ClashRow, said: Evidence) -> list[Side]:
    known: dict[str, Evidence] = {
        machine: {kind: frozenset(values) for kind, values in kinds.items()}
        for machine, kinds in evidence.of(tx, clash.machines).items()
    }
    found = []
    for index, machine in enumerate(clash.machines):
        # Where two records share something and no machine asked, the first is the other side.
        other = said or (known[clash.machines[0]] if index else {})
        points = weights.points(known[machine], other)
        try:
            row: Machine | None = machines.find(tx, machine)
        except Missing:
            row = None
        weight = sum(point.weight for point in points)
        found.append(Side(row, machine, _lists(known[machine]), points, weight))
    return found


def _said(clash: ClashRow) -> Evidence:
    """What the machine showed, by kind; nothing where records alone were compared."""
    said = clash.evidence
    if not said:
        return {}
    told = weights.told(
        said.get("uuid", ""), said.get("serial", ""), said.get("vendor", ""),
        said.get("product", ""), said.get("board_serial", ""),
    )  # fmt: skip
    macs = [nic.get("mac", "") for nic in said.get("nics", ())] or [said.get("mac", "")]
    return {**told, "mac": frozenset(mac.lower() for mac in macs if mac)}


def _lists(kinds: Evidence) -> dict[str, list[str]]:
    return {kind: [v.replace("\x1f", " ") for v in sorted(kinds[kind])] for kind in sorted(kinds)}


@post("/clashes/{number:int}", sync_to_thread=True)
def decide(
    number: Number, data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Say who is who, or take it back."""
    check_form(request, looking, data)
    looking.need("operator")
    decision: Any = data.get("decision", "")
    if decision == "undo":
        verbs.undo(store, number, actor=looking.user.name, now=now)
    elif decision in get_args(Decision):
        keep = data.get("keep", "")[:63]
        verbs.decide(store, number, decision, keep=keep, actor=looking.user.name, now=now)
    else:
        raise ClientException(f"decision: one of {', '.join(get_args(Decision))}, undo")
    return Redirect(f"/clashes/{number}", status_code=303)


ROUTES = [every, one, decide]
