# SPDX-License-Identifier: Apache-2.0
"""Who asks: the owner of the API key in the header, with at least the role a route needs."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from litestar import Request
from litestar.datastructures import State
from litestar.di import Provide

from muster.api import repeats, versions
from muster.lifecycle import people
from muster.lifecycle.secrets import Forbidden
from muster.store.engine import Store
from muster.store.people import User

AnyRequest = Request[object, object, State]
COOKIE = "muster"
SECURITY: list[dict[str, list[str]]] = [{"apiKey": []}]


class NoKey(Exception):
    """A request without an API key."""


def key_of(request: AnyRequest) -> str:
    """The key in `Authorization: Bearer KEY`; raises NoKey when there is none."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise NoKey(
            "this needs an API key: header Authorization: Bearer KEY (muster login makes one)"
        )
    return key.strip()


def key_or_cookie(request: AnyRequest) -> str:
    """As `key_of`, or the cookie of a person's session: a browser's EventSource sends no header."""
    return request.cookies.get(COOKIE) or key_of(request)


def role(least: str) -> dict[str, Provide]:
    """The dependency `user` for routes that need this role or a higher one."""
    return {"user": Provide(_at_least(least))}


def _at_least(least: str) -> Callable[..., Awaitable[User]]:
    async def user(request: AnyRequest, store: Store, now: datetime) -> User:
        found = await asyncio.to_thread(people.owner_of, store, key_of(request), now)
        if not people.may(found, least):
            raise Forbidden(
                f"{found.name} is {found.role}; this needs the role {least}", status=403
            )
        await repeats.claim(request, store, found, now)
        await versions.demand(request, store, found)
        return found

    return user
