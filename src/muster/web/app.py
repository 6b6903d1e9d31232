# SPDX-License-Identifier: Apache-2.0
"""The route table of the windows, and how refusals look there."""

from typing import Any

from litestar import Response, Router
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from muster.lifecycle.keyring import KeyringError
from muster.lifecycle.secrets import Forbidden
from muster.machine.grammar import BadExpression
from muster.machine.states import Refused
from muster.power.drivers import PowerError
from muster.store.engine import Conflict, Missing
from muster.store.search import BadCursor
from muster.web import (
    acting,
    arrivals,
    assets,
    clashes,
    journal,
    logs,
    machine,
    machines,
    manifest,
    outside,
    profiles,
    racks,
    rules,
    scripts,
    settings,
    sign_in,
    tags,
    topology,
    trials,
)
from muster.web.page import page
from muster.web.session import DEPENDENCY, AnyRequest, SignInFirst
from muster.wire.codec import BadMessage


def router() -> Router:
    """The route table of this door: what anybody may see, and what needs a session."""
    inside = Router(
        path="/",
        route_handlers=[
            *arrivals.ROUTES,
            *machines.ROUTES,
            *machine.ROUTES,
            *acting.ROUTES,
            *logs.ROUTES,
            *scripts.ROUTES,
            *trials.ROUTES,
            *rules.ROUTES,
            *profiles.ROUTES,
            *tags.ROUTES,
            *outside.ROUTES,
            *topology.ROUTES,
            *racks.ROUTES,
            *manifest.ROUTES,
            *clashes.ROUTES,
            *journal.ROUTES,
            *settings.ROUTES,
        ],
        dependencies=DEPENDENCY,
    )
    return Router(
        path="/",
        route_handlers=[inside, *sign_in.ROUTES, assets.asset],
        include_in_schema=False,
        exception_handlers={
            SignInFirst: _sign_in_first,
            Missing: _refusal(404),
            Conflict: _refusal(409),
            Refused: _refusal(409),
            PowerError: _refusal(400),
            KeyringError: _refusal(500),
            BadExpression: _refusal(400),
            BadCursor: _refusal(400),
            BadMessage: _refusal(400),
            Forbidden: _refusal(403),
            HTTPException: _http,
        },
    )


def _sign_in_first(request: AnyRequest, _: SignInFirst) -> Response[Any]:
    if request.headers.get("hx-request"):
        # htmx would put the sign-in page into the middle of the page.
        return Response(b"", status_code=401, headers={"HX-Redirect": "/sign-in"})
    return Redirect("/sign-in")


def _refusal(status: int) -> Any:
    def told(request: AnyRequest, error: Exception) -> Response[bytes]:
        return page(request, "refusal.html", None, status=status, told=str(error), code=status)

    return told


def _http(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    code = error.status_code
    return page(request, "refusal.html", None, status=code, told=error.detail, code=code)
