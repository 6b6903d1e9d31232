# SPDX-License-Identifier: Apache-2.0
"""Signing in and out, and the look of the pages."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from muster.lifecycle import people
from muster.lifecycle.secrets import Forbidden
from muster.store.engine import Store
from muster.web.page import page
from muster.web.session import COOKIE, LASTS, AnyRequest, check_origin, cookie

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/sign-in", sync_to_thread=False)
def sign_in_page(request: AnyRequest) -> Response[bytes]:
    """The form."""
    return page(request, "sign_in.html", None, wrong="")


@post("/sign-in")
async def sign_in(data: Form, request: AnyRequest, store: Store, now: datetime) -> Response[Any]:
    """A session for a right password; so many wrong ones a minute from an address."""
    check_origin(request)
    address = request.client.host if request.client else ""
    # The same count as the API's: two doors do not give twice as many tries.
    failures = request.app.state.failures
    if failures.spent(address):
        wrong = "too many wrong passwords from here; try again in a minute"
        return page(request, "sign_in.html", None, wrong=wrong, status=429)
    name, password = str(data.get("user", ""))[:64], str(data.get("password", ""))[:256]
    try:
        key = await asyncio.to_thread(
            people.login, store, name, password, now, key_name="browser", lasts=LASTS
        )
    except Forbidden as error:
        failures.spend(address)
        return page(request, "sign_in.html", None, wrong=str(error), status=401)
    secure = request.url.scheme == "https"
    return Redirect("/", status_code=303, cookies=[cookie(key, secure=secure)])


@post("/sign-out", sync_to_thread=True)
def sign_out(request: AnyRequest, store: Store, now: datetime) -> Response[Any]:
    """The session opens nothing any more."""
    check_origin(request)
    people.logout(store, request.cookies.get(COOKIE, ""), now)
    answer: Response[Any] = Redirect("/sign-in", status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


@post("/theme", sync_to_thread=False)
def theme(data: Form, request: AnyRequest) -> Response[Any]:
    """Light, dark or as the system: kept in the browser only."""
    check_origin(request)
    chosen = data.get("theme", "")
    back = data.get("back", "/")
    safe = back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/"
    value = chosen if chosen in ("light", "dark") else ""
    kept = Cookie("theme", value=value, path="/", samesite="lax", max_age=10 * 365 * 86400)
    return Redirect(safe, status_code=303, cookies=[kept])


ROUTES = [sign_in_page, sign_in, sign_out, theme]
