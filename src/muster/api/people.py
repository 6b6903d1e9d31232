# SPDX-License-Identifier: Apache-2.0
"""Signing in and out."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from litestar import get, post
from litestar.exceptions import TooManyRequestsException

from muster.api.access import AnyRequest, key_of
from muster.api.budget import WINDOW_S, Budget
from muster.lifecycle import people
from muster.lifecycle.secrets import Forbidden
from muster.store.engine import Store
from muster.store.people import User
from muster.wire.codec import Limited, limited

TRIES = 5
"""Wrong passwords a minute from one address."""


@dataclass(frozen=True)
class Credentials(Limited):
    """`key_name` says later where the key is used."""

    user: str = limited(most=64)
    password: str = limited(most=256)
    key_name: str = limited(most=64, default="login")


@dataclass(frozen=True)
class Key:
    """An API key; it is shown this once."""

    key: str


@dataclass(frozen=True)
class Who:
    """The owner of the key."""

    name: str
    role: str


@post("/login", status_code=200)
async def login(data: Credentials, store: Store, now: datetime, request: AnyRequest) -> Key:
    """A new API key for a user name and password; five failures a minute are enough."""
    address = request.client.host if request.client else ""
    failures: Budget = request.app.state.failures
    if failures.spent(address):
        raise TooManyRequestsException(
            "too many wrong passwords from here; try again in a minute",
            headers={"Retry-After": str(int(WINDOW_S))},
        )
    try:
        key = await asyncio.to_thread(
            people.login,
            store,
            data.user,
            data.password,
            now,
            key_name=data.key_name,
        )
    except Forbidden:
        failures.spend(address)
        raise
    return Key(key)


@post("/logout", status_code=204, sync_to_thread=True)
def logout(request: AnyRequest, store: Store, user: User, now: datetime) -> None:
    """The key of this request opens nothing any more."""
    people.logout(store, key_of(request), now)


@get("/whoami", sync_to_thread=False)
def whoami(user: User) -> Who:
    """Whose key this is."""
    return Who(user.name, user.role)


ROUTES = [logout, whoami]
