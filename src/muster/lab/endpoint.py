# SPDX-License-Identifier: Apache-2.0
"""Power from outside: the supervisor's HTTP door.

It listens on control.sock, which the host reaches, and on loopback inside the lab's
network namespace, which the product's server reaches and a guest on the bridge cannot.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from muster.lab import errors
from muster.lab.machines import Boot, build, parse_order
from muster.lab.rack import Rack

PORT = 8970
BODY_LIMIT = 64 * 1024
LONGEST_WAIT_S = 600.0

_STATUS: list[tuple[type[errors.LabError], int]] = [
    (errors.BadOrder, 400),
    (errors.NoSuchMachine, 404),
    (errors.Conflict, 409),
    (errors.TimedOut, 408),
    (errors.LabError, 500),
]


def application(rack: Rack) -> web.Application:
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[_json_errors])
    door = _Door(rack)
    app.add_routes(
        [
            web.get("/lab", door.lab),
            web.get("/machines", door.machines),
            web.post("/machines", door.add),
            web.get("/machines/{name}", door.machine),
            web.delete("/machines/{name}", door.remove),
            web.get("/machines/{name}/until/{status}", door.until),
            web.post("/machines/{name}/{verb}", door.power),
            web.post("/machines/{name}/press/{verb}", door.press),
            web.post("/machines/{name}/boot/{device}", door.boot),
            web.put("/machines/{name}/medium", door.medium),
            web.post("/machines/{name}/nic/{index}/{state}", door.cable),
            web.post("/network/{state}", door.network),
            web.get("/server", door.server),
            web.post("/server/{verb}", door.keep),
        ]
    )
    return app


class _Door:
    def __init__(self, rack: Rack) -> None:
        self._rack = rack

    async def lab(self, _: web.Request) -> web.Response:
        return web.json_response(self._rack.document())

    async def machines(self, _: web.Request) -> web.Response:
        return web.json_response({"machines": self._rack.documents()})

    async def machine(self, request: web.Request) -> web.Response:
        return web.json_response(self._rack.chassis(request.match_info["name"]).document())

    async def add(self, request: web.Request) -> web.Response:
        order = parse_order(await request.read())
        machine = build(self._rack.document()["name"], order)
        return web.json_response((await self._rack.add(machine)).document(), status=201)

    async def remove(self, request: web.Request) -> web.Response:
        await self._rack.remove(request.match_info["name"])
        return web.json_response({"removed": request.match_info["name"]})

    async def until(self, request: web.Request) -> web.Response:
        """Answers as soon as the machine has the status, or 408 after `within` seconds."""
        chassis = self._rack.chassis(request.match_info["name"])
        within_s = _seconds(request.query.get("within", "30"))
        await chassis.until(request.match_info["status"], within_s=within_s)
        return web.json_response(chassis.document())

    async def power(self, request: web.Request) -> web.Response:
        chassis = self._rack.chassis(request.match_info["name"])
        await getattr(chassis, _verb(request))()
        return web.json_response(chassis.document())

    async def press(self, request: web.Request) -> web.Response:
        """As `power`, and answers at once."""
        chassis = self._rack.chassis(request.match_info["name"])
        chassis.press(getattr(chassis, _verb(request))())
        return web.json_response(chassis.document(), status=202)

    async def boot(self, request: web.Request) -> web.Response:
        """What the next start boots from, that one only; none: as the firmware likes."""
        chassis = self._rack.chassis(request.match_info["name"])
        device = _one_of(request, "device", *Boot, "none")
        chassis.set_boot(None if device == "none" else Boot(device))
        return web.json_response(chassis.document())

    async def medium(self, request: web.Request) -> web.Response:
        """What lies in the virtual drive of its BMC: `file`, or nothing."""
        chassis = self._rack.chassis(request.match_info["name"])
        chassis.insert(request.query.get("file", ""))
        return web.json_response(chassis.document())

    async def cable(self, request: web.Request) -> web.Response:
        chassis = self._rack.chassis(request.match_info["name"])
        index = request.match_info["index"]
        if not (index.isascii() and index.isdigit()):
            raise errors.BadOrder(f"NIC index {index!r}: say a whole number, the first NIC is 0")
        await chassis.set_link(int(index), up=_one_of(request, "state", "up", "down") == "up")
        return web.json_response(chassis.document())

    async def network(self, request: web.Request) -> web.Response:
        self._rack.set_network(_one_of(request, "state", "up", "down"))
        return web.json_response({"network": self._rack.network})

    async def server(self, _: web.Request) -> web.Response:
        return web.json_response(self._rack.server.document())

    async def keep(self, request: web.Request) -> web.Response:
        keeper = self._rack.server
        await getattr(keeper, _one_of(request, "verb", "start", "stop", "restart"))()
        return web.json_response(keeper.document())


def _verb(request: web.Request) -> str:
    return _one_of(request, "verb", "on", "off", "cycle", "reset", "soft")


def _one_of(request: web.Request, field: str, *choices: str) -> str:
    word = request.match_info[field]
    if word not in choices:
        raise errors.BadOrder(f"{field} {word!r} in {request.path}: say {', '.join(choices)}")
    return word


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= LONGEST_WAIT_S:
        raise errors.BadOrder(f"within={text!r}: say seconds, more than 0, up to {LONGEST_WAIT_S}")
    return seconds


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except errors.LabError as error:
        status = next(code for kind, code in _STATUS if isinstance(error, kind))
        return _refusal(str(error), status)
    except web.HTTPException as error:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        words = f"{error.text or error.reason}: {request.method} {request.path}"
        return _refusal(words, error.status, allow)


def _refusal(words: str, status: int, headers: dict[str, str] | None = None) -> web.Response:
    document: dict[str, Any] = {"error": words}
    return web.json_response(document, status=status, headers=headers)
