"""A Redfish BMC that tests play, on loopback: it answers, lies, hangs or breaks as it is told."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

SYSTEM = "/redfish/v1/Systems/1"
SESSIONS = "/redfish/v1/SessionService/Sessions"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RedfishBmc:
    """One system; `heard` are the requests, `fault` answers instead when it is set."""

    def __init__(self, *, power: str = "Off", password: str = "hush") -> None:
        self.power, self.password = power, password
        self.heard: list[tuple[str, str]] = []
        self.boot: dict[str, Any] = {}
        self.obeys = True
        self.fault: Handler | None = None
        # Tokens of sessions by path; None: a BMC without sessions.
        self.sessions: dict[str, str] | None = None
        self.resources: dict[str, Any] = {
            "/redfish/v1": {"RedfishVersion": "1.13.1", "Vendor": "ACME", "Product": "iACME"},
            "/redfish/v1/Systems": {"Members": [{"@odata.id": SYSTEM}]},
            SYSTEM: {
                "Id": "1",
                "UUID": "0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e0001",
                "SerialNumber": "SN1",
                "Status": {"Health": "OK", "HealthRollup": "Warning"},
                "Boot": {"BootSourceOverrideTarget": "None"},
                "Actions": {
                    "#ComputerSystem.Reset": {
                        "target": RESET,
                        "ResetType@Redfish.AllowableValues": ["On", "ForceOff"],
                    }
                },
            },
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.heard.append((request.method, request.path))
        if request.method == "GET" and request.path.rstrip("/") == "/redfish/v1":
            # DSP0266, 6.3: the service root needs no authentication.
            return web.json_response(self.resources["/redfish/v1"])
        if self.sessions is not None and request.path.startswith(SESSIONS):
            return await self._session(request, self.sessions)
        if request.headers.get("X-Auth-Token") in (self.sessions or {}).values():
            return await self._answer(request)
        login = base64.b64encode(f"admin:{self.password}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {login}":
            return web.json_response({}, status=401)
        return await self._answer(request)

    async def _session(self, request: web.Request, sessions: dict[str, str]) -> web.StreamResponse:
        if request.method == "DELETE":
            del sessions[request.path]
            return web.Response(status=204)
        if (await request.json()) != {"UserName": "admin", "Password": self.password}:
            return web.json_response({}, status=401)
        path = f"{SESSIONS}/{len(sessions) + 1}"
        sessions[path] = f"token-{len(self.heard)}"
        return web.json_response(
            {"@odata.id": path}, status=201, headers={"X-Auth-Token": sessions[path]}
        )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.fault:
            return await self.fault(request)
        if request.method == "POST" and request.path == RESET:
            return self._reset(await request.json())
        if request.method == "PATCH":
            self.boot = (await request.json())["Boot"]
            return web.Response(status=204)
        found = self.resources.get(request.path.rstrip("/"))
        if found is None:
            return web.json_response({}, status=404)
        power = {"PowerState": self.power} if "Actions" in found else {}
        return web.json_response({**found, **power}, headers={"ETag": 'W/"1"'})

    def _reset(self, body: dict[str, Any]) -> web.Response:
        after = {"On": "On", "ForceOn": "On", "ForceOff": "Off"}[body["ResetType"]]
        self.power = after if self.obeys else self.power
        return web.Response(status=204)


@asynccontextmanager
async def serving(
    handler: Handler, tls: ssl.SSLContext | None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Its URL while it serves."""
    application = web.Application()
    application.router.add_route("*", "/{any:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        port = runner.addresses[0][1]
        yield f"{'https' if tls else 'http'}://{host}:{port}"
    finally:
        await runner.cleanup()


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def says(status: int, body: str = "{}", **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status, text=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return answer


async def half(request: web.Request) -> web.StreamResponse:
    """Promises more than it sends."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"PowerState": "O')
    assert request.transport is not None
    request.transport.close()
    return response
