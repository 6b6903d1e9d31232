# SPDX-License-Identifier: Apache-2.0
"""Signing in and out."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from litestar import delete, get, patch, post
from litestar.exceptions import TooManyRequestsException
from litestar.params import Parameter

from muster.api.access import AnyRequest, key_of, role
from muster.api.budget import WINDOW_S, Budget
from muster.api.repeats import SECRET
from muster.api.shapes import shown
from muster.lifecycle import accounts, people
from muster.lifecycle.secrets import Forbidden
from muster.store import people as rows
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


Person = Annotated[str, Parameter(max_length=63, description="A user's name.")]
Number = Annotated[int, Parameter(ge=1, le=2**53)]


@dataclass(frozen=True)
class UserShown:
    """`role` is viewer, operator or admin."""

    name: str
    role: str
    created_at: datetime
    locked_until: datetime | None


@dataclass(frozen=True)
class NewUser(Limited):
    """`password` has at least 12 characters."""

    name: str = limited(most=63)
    role: str = limited(most=16)
    password: str = limited(most=256)


@dataclass(frozen=True)
class UserChanges(Limited):
    """What is given is changed; a new password closes the person's sessions and keys."""

    role: str = limited(most=16, default="")
    password: str = limited(most=256, default="")


@dataclass(frozen=True)
class NewKey(Limited):
    """`name` says later where the key is used."""

    name: str = limited(most=64)


@dataclass(frozen=True)
class KeyShown:
    """A key without what opens; `expires_at` is null for one that lasts."""

    id: int
    name: str
    created_at: datetime
    expires_at: datetime | None


def _shown(store: Store, name: str) -> UserShown:
    with store.read() as tx:
        return shown(UserShown, rows.find(tx, name))


@get("/users", sync_to_thread=True, dependencies=role("admin"))
def list_users(store: Store, user: User) -> list[UserShown]:
    """Everybody who may sign in."""
    with store.read() as tx:
        return [shown(UserShown, one) for one in rows.every_user(tx)]


@get("/users/{person:str}", sync_to_thread=True, dependencies=role("admin"))
def show_user(person: Person, store: Store, user: User) -> UserShown:
    """One person."""
    return _shown(store, person)


@post("/users", status_code=200, sync_to_thread=True, dependencies=role("admin"))
def add_user(data: NewUser, store: Store, user: User, now: datetime) -> UserShown:
    """Add a person."""
    accounts.add(store, data.name, role=data.role, password=data.password, actor=user.name, now=now)
    return _shown(store, data.name)


@patch("/users/{person:str}", sync_to_thread=True, dependencies=role("admin"))
def change_user(
    person: Person, data: UserChanges, store: Store, user: User, now: datetime
) -> UserShown:
    """Give a person another role or password."""
    accounts.change(store, person, role=data.role, password=data.password, actor=user.name, now=now)
    return _shown(store, person)


@delete("/users/{person:str}", sync_to_thread=True, dependencies=role("admin"))
def remove_user(person: Person, store: Store, user: User, now: datetime) -> None:
    """Remove a person with all keys; the audit log stays."""
    accounts.remove(store, person, actor=user.name, now=now)


@get("/keys", sync_to_thread=True)
def list_keys(store: Store, user: User, now: datetime) -> list[KeyShown]:
    """Your own keys and sessions, newest first."""
    with store.read() as tx:
        return [shown(KeyShown, key) for key in rows.live_keys(tx, user.id, now)]


@post("/keys", status_code=200, sync_to_thread=True, opt={SECRET: True})
def make_key(data: NewKey, store: Store, user: User, now: datetime) -> Key:
    """A key for a program, with your role."""
    return Key(accounts.make_key(store, user, data.name, now))


@delete("/keys/{key:int}", sync_to_thread=True)
def close_key(key: Number, store: Store, user: User, now: datetime) -> None:
    """One of your keys opens nothing any more."""
    accounts.close_key(store, user, key, now)


ROUTES = [
    logout, whoami, list_users, show_user, add_user, change_user, remove_user, list_keys, make_key,
    close_key,
]  # fmt: skip
