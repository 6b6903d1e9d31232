# SPDX-License-Identifier: Apache-2.0
"""Who looks at a page, and whether a form was really sent from one of ours."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import Cookie, State
from litestar.di import Provide
from litestar.exceptions import PermissionDeniedException

from muster.lifecycle import people
from muster.lifecycle.secrets import Forbidden
from muster.store.engine import Store
from muster.store.people import User

AnyRequest = Request[object, object, State]

COOKIE = "muster"
LASTS = timedelta(hours=12)
"""A session ends after a working day, also one that is used."""


class SignInFirst(Exception):
    """Nobody is signed in; whoever catches this shows the sign-in page."""


@dataclass(frozen=True)
class Looking:
    """The person at the page; `csrf` goes into every form and proves that it is ours."""

    user: User
    csrf: str

    def may(self, least: str) -> bool:
        """True when the role is enough; templates leave out what is not allowed."""
        return people.may(self.user, least)

    def need(self, least: str) -> None:
        """Raises Forbidden unless the role is enough."""
        if not self.may(least):
            told = f"{self.user.name} is {self.user.role}; this needs the role {least}"
            raise Forbidden(told, status=403)


def looking(request: AnyRequest, store: Store, now: datetime) -> Looking:
    """The dependency of every page: raises SignInFirst, and refuses forged forms."""
    key = request.cookies.get(COOKIE, "")
    try:
        user = people.owner_of(store, key, now) if key else None
    except Forbidden:
        user = None
    if user is None:
        raise SignInFirst
    return Looking(user, csrf_of(key))


DEPENDENCY = {"looking": Provide(looking, sync_to_thread=True)}


def csrf_of(key: str) -> str:
    """What only a page of this session knows; it does not give the key away."""
    return hmac.new(key.encode(), b"csrf", hashlib.sha256).hexdigest()[:32]


def check_form(request: AnyRequest, looking: Looking, form: dict[str, Any]) -> None:
    """Raises PermissionDenied for a form that none of this session's pages has sent."""
    check_origin(request)
    given = str(form.get("csrf") or request.headers.get("x-csrf", ""))
    if not hmac.compare_digest(given.encode(), looking.csrf.encode()):
        raise PermissionDeniedException("this form is of another session: load the page again")


def check_origin(request: AnyRequest) -> None:
    """Refuse a form that a browser sends for another site's page."""
    site = request.headers.get("sec-fetch-site", "")
    origin = request.headers.get("origin", "")
    elsewhere = origin and origin != "null" and urlsplit(origin).netloc != request.headers["host"]
    if site not in ("", "same-origin", "none") or elsewhere or origin == "null":
        raise PermissionDeniedException("this form was sent from another site")


def cookie(key: str, *, secure: bool) -> Cookie:
    """The session's cookie: no script reads it, no other site sends it."""
    return Cookie(
        COOKIE, value=key, httponly=True, samesite="strict", path="/", secure=secure,
        max_age=int(LASTS.total_seconds()),
    )  # fmt: skip
