# SPDX-License-Identifier: Apache-2.0
"""The route table of the windows, who is looking, and the headers of every page."""

import asyncio
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import jinja2
from litestar import MediaType, Request, Response, Router, get, post
from litestar.datastructures import Cookie, State
from litestar.enums import RequestEncodingType
from litestar.params import Body, Parameter
from litestar.response import Redirect

from muster import __version__
from muster.lifecycle import people
from muster.lifecycle.secrets import Forbidden
from muster.store.engine import Store
from muster.web import machine, machines

COOKIE = "muster"
HEADERS = {
    # Nothing from elsewhere, no script at all, no frame around us.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

AnyRequest = Request[object, object, State]

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("muster.web"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def router() -> Router:
    """The route table of this door."""
    return Router(
        path="/",
        route_handlers=[arrivals, one_machine, sign_in_page, sign_in, sign_out, style],
        include_in_schema=False,
    )


@get("/", sync_to_thread=True)
def arrivals(request: AnyRequest, store: Store, now: datetime) -> Response[Any]:
    """Machines and the latest boots, renewed every two seconds."""
    if not _signed_in(request, store):
        return Redirect("/sign-in")
    return _page("machines.html", **machines.content(store, now))


@get("/machines/{reference:str}", sync_to_thread=True)
def one_machine(
    reference: Annotated[str, Parameter(max_length=63)],
    request: AnyRequest,
    store: Store,
) -> Response[Any]:
    """One machine: hardware, runs, timelines."""
    if not _signed_in(request, store):
        return Redirect("/sign-in")
    return _page("machine.html", **machine.content(store, reference))


@get("/sign-in", sync_to_thread=False)
def sign_in_page() -> Response[Any]:
    """The form."""
    return _page("sign_in.html", wrong="")


@post("/sign-in")
async def sign_in(
    data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)],
    request: AnyRequest,
    store: Store,
    now: datetime,
) -> Response[Any]:
    """A cookie with an API key of its own, for this browser session."""
    address = request.client.host if request.client else ""
    # The same count as the API's: two doors do not give twice as many tries.
    failures = request.app.state.failures
    if failures.spent(address):
        wrong = "too many wrong passwords from here; try again in a minute"
        return _page("sign_in.html", wrong=wrong, status=429)
    try:
        key = await asyncio.to_thread(
            people.login,
            store,
            str(data.get("user", ""))[:64],
            str(data.get("password", ""))[:256],
            now,
            key_name="browser",
        )
    except Forbidden as error:
        failures.spend(address)
        return _page("sign_in.html", wrong=str(error), status=401)
    cookie = Cookie(COOKIE, value=key, httponly=True, samesite="strict", path="/")
    return Redirect("/", cookies=[cookie])


@post("/sign-out", sync_to_thread=True)
def sign_out(request: AnyRequest, store: Store, now: datetime) -> Response[Any]:
    """The browser's key opens nothing any more."""
    people.logout(store, request.cookies.get(COOKIE, ""), now)
    answer: Response[Any] = Redirect("/sign-in")
    answer.delete_cookie(COOKIE)
    return answer


@get("/style.css", sync_to_thread=True)
def style() -> Response[bytes]:
    """The one style sheet."""
    sheet = Path(str(files("muster.web") / "templates" / "style.css")).read_bytes()
    return Response(sheet, media_type="text/css", headers={"Cache-Control": "max-age=300"})


def _signed_in(request: AnyRequest, store: Store) -> bool:
    key = request.cookies.get(COOKIE, "")
    try:
        return bool(key and people.owner_of(store, key))
    except Forbidden:
        return False


def _page(template: str, *, status: int = 200, **content: Any) -> Response[Any]:
    text = _templates.get_template(template).render(version=__version__, **content)
    return Response(text, media_type=MediaType.HTML, status_code=status, headers=HEADERS)
