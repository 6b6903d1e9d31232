# SPDX-License-Identifier: Apache-2.0
"""`fields=name,state,hardware.memory`: lists and machines with what was asked for and no more.

Machines know beside their own fields those of conditions, as hardware.memory (machine/columns.py),
and what is not asked for is not read. Other lists are narrowed when their answer is complete.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, cast, get_args
from urllib.parse import parse_qsl

from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.params import Parameter
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from muster.api.shapes import MachineShown
from muster.machine.columns import COLUMNS, Facts, items
from muster.store import hardware, machines, tags
from muster.store.engine import Tx
from muster.store.machines import Machine
from muster.wire.codec import BadMessage

NAME = "fields"
HARDWARE = "hardware."
LENGTH = 1000
HELP = "Only these, as name,state,hardware.memory: fields of a machine, and columns of conditions."
Fields = Annotated[str, Parameter(max_length=LENGTH, description=HELP)]

_OF_HARDWARE = {
    HARDWARE + name: column
    for name, column in COLUMNS.items()
    if column.of in ("disk", "nic", "gpu", "dimm") or column.path[:1] == ("hardware",)
}
OF_MACHINE = (*(field.name for field in fields(MachineShown)), *_OF_HARDWARE)


@dataclass(frozen=True)
class Narrowed:
    """A page of machines with the fields that were asked for, each by its name as it was asked."""

    items: list[dict[str, Any]]
    next: str
    because: dict[str, str]


def names(text: str, known: Sequence[str] = OF_MACHINE) -> list[str]:
    """The fields of a list with commas; raises BadMessage naming one that there is not."""
    found = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for name in found:
        if name not in known:
            raise BadMessage(NAME, f"there is no {name[:80]!r}; there are {', '.join(known)}")
    if not found:
        raise BadMessage(NAME, f"names nothing; there are {', '.join(known)}")
    return found


def of_machines(tx: Tx, rows: Sequence[Machine], wanted: Sequence[str]) -> list[dict[str, Any]]:
    """The machines with these fields; MACs, tags and hardware are read when they are wanted."""
    ids = [row.id for row in rows]
    macs = machines.macs_of(tx, ids) if "macs" in wanted else {}
    given = tags.of(tx, ids) if "tags" in wanted else {}
    asked = any(name in _OF_HARDWARE for name in wanted)
    known = hardware.of(tx, ids) if asked else {}
    found = []
    for row in rows:
        beside = {"macs": macs.get(row.id), "tags": given.get(row.id)}
        facts = {"hardware": known.get(row.id)}
        found.append({name: _value(name, row, beside, facts) for name in wanted})
    return found


def _value(name: str, row: Machine, beside: dict[str, Any], facts: Facts) -> Any:
    if name in beside:
        return beside[name]
    column = _OF_HARDWARE.get(name)
    if column is None:
        return getattr(row, name)
    if not column.of:
        return column.read(facts)
    found = items(facts, column.of)
    return None if found is None else [column.read(item) for item in found]


def listed(handler: HTTPRouteHandler) -> list[str]:
    """What the entries of a list have; nothing for what is no list, or knows `fields` itself."""
    signature = handler.parsed_fn_signature
    if "GET" not in handler.http_methods or NAME in signature.parameters:
        return []
    answered = signature.return_type.annotation
    if is_dataclass(answered):
        answered = next((f.type for f in fields(answered) if f.name == "items"), None)
    entry = next(iter(get_args(answered)), None)
    return [field.name for field in fields(entry)] if is_dataclass(entry) else []


class Narrowing(ASGIMiddleware):
    """Takes from the entries of a list what was not asked for."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Raises BadMessage before the list is read."""
        asked = cast(HTTPScope, scope)
        query = dict(parse_qsl(asked["query_string"].decode("latin-1"), keep_blank_values=True))
        known = listed(cast(HTTPRouteHandler, asked["route_handler"])) if NAME in query else []
        if not known:
            await next_app(scope, receive, send)
            return
        wanted = names(query[NAME][:LENGTH], known)
        heads: list[dict[str, Any]] = []

        async def narrowing(message: Message) -> None:
            told = cast(dict[str, Any], message)
            if told["type"] == "http.response.start":
                heads.append(told)
                return
            if heads:
                head = heads.pop()
                if head["status"] == 200:
                    told = told | {"body": _narrowed(told["body"], wanted)}
                    size = (b"content-length", str(len(told["body"])).encode())
                    kept = [h for h in head["headers"] if h[0].lower() != size[0]]
                    head = head | {"headers": [*kept, size]}
                await send(cast(Message, head))
            await send(cast(Message, told))

        await next_app(scope, receive, narrowing)


def _narrowed(body: bytes, wanted: Sequence[str]) -> bytes:
    whole = json.loads(body)
    entries = whole if isinstance(whole, list) else whole["items"]
    entries[:] = [{name: entry[name] for name in wanted} for entry in entries]
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
