# SPDX-License-Identifier: Apache-2.0
"""People who may sign in, their API keys (hashed) and their saved views."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.store.engine import Conflict, Missing, Tx
from muster.store.rows import all_to, to
from muster.store.schema_people import api_keys, users, views


@dataclass(frozen=True)
class User:
    """`role` is viewer, operator or admin; `failures` are wrong passwords since a right one."""

    id: int
    name: str
    role: str
    password_hash: str
    created_at: datetime
    failures: int = 0
    locked_until: datetime | None = None


@dataclass(frozen=True)
class ApiKey:
    """A key by its name; what opens is kept as a hash only."""

    id: int
    user_id: int
    name: str
    created_at: datetime
    revoked_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True)
class View:
    """A list that somebody wants to see again; `query` as in the page's address.

    `owner` is a user's name; the `shared` ones of others are seen by everybody.
    """

    id: int
    name: str
    query: str
    shared: bool
    owner: str


def any_user(tx: Tx) -> bool:
    """False on a server that was never started."""
    return tx.execute(sa.select(users.c.id).limit(1)).first() is not None


def add_user(tx: Tx, name: str, *, role: str, password_hash: str, now: datetime) -> None:
    """A person; raises Conflict when the name is taken."""
    if user_named(tx, name) is not None:
        raise Conflict(f"the user name {name!r} is taken")
    tx.execute(
        users.insert().values(name=name, role=role, password_hash=password_hash, created_at=now)
    )


def every_user(tx: Tx) -> list[User]:
    """By name."""
    return all_to(User, tx.execute(sa.select(users).order_by(users.c.name)))


def user_named(tx: Tx, name: str) -> User | None:
    """By name."""
    return to(User, tx.execute(sa.select(users).where(users.c.name == name)).first())


def find(tx: Tx, name: str) -> User:
    """By name; raises Missing."""
    found = user_named(tx, name)
    if found is None:
        raise Missing(f"no user has the name {name!r}")
    return found


def update_user(tx: Tx, user: int, **values: Any) -> None:
    """Change columns of one person."""
    tx.execute(users.update().where(users.c.id == user).values(values))


def remove_user(tx: Tx, user: int) -> None:
    """With keys and views."""
    tx.execute(users.delete().where(users.c.id == user))


def user_with_key(tx: Tx, key_hash: str, now: datetime | None = None) -> User | None:
    """The owner of a key that is not revoked, and at `now` not expired."""
    query = (
        sa.select(users)
        .join(api_keys)
        .where(api_keys.c.key_hash == key_hash, api_keys.c.revoked_at.is_(None))
    )
    if now is not None:
        lasting = sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
        query = query.where(lasting)
    return to(User, tx.execute(query).first())


def add_key(
    tx: Tx, user: int, *, name: str, key_hash: str, now: datetime, expires: datetime | None = None
) -> None:
    """A key of this person."""
    values = {"user_id": user, "name": name, "key_hash": key_hash, "created_at": now}
    tx.execute(api_keys.insert().values(**values, expires_at=expires))


def live_keys(tx: Tx, user: int, now: datetime) -> list[ApiKey]:
    """The keys of a person that open something, newest first."""
    query = sa.select(api_keys).where(
        api_keys.c.user_id == user,
        api_keys.c.revoked_at.is_(None),
        sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now),
    )
    return all_to(ApiKey, tx.execute(query.order_by(api_keys.c.id.desc())))


def find_key(tx: Tx, user: int, key: int) -> ApiKey:
    """By its number; raises Missing."""
    query = sa.select(api_keys).where(api_keys.c.id == key, api_keys.c.user_id == user)
    found = to(ApiKey, tx.execute(query).first())
    if found is None:
        raise Missing(f"you have no key with the number {key}")
    return found


def revoke_key(tx: Tx, key_hash: str, *, now: datetime) -> None:
    """The key opens nothing any more."""
    tx.execute(api_keys.update().where(api_keys.c.key_hash == key_hash).values(revoked_at=now))


def revoke_keys(
    tx: Tx, user: int, *, now: datetime, only: int | None = None, but: str = ""
) -> None:
    """All keys of a person, or one of them, or all but the one with this hash."""
    where = [api_keys.c.user_id == user, api_keys.c.revoked_at.is_(None)]
    if only is not None:
        where.append(api_keys.c.id == only)
    tx.execute(api_keys.update().where(*where, api_keys.c.key_hash != but).values(revoked_at=now))


def views_of(tx: Tx, user: int) -> list[View]:
    """One's own and what others share, by name."""
    query = sa.select(views, users.c.name.label("owner")).join(users, users.c.id == views.c.user_id)
    seen = sa.or_(views.c.user_id == user, views.c.shared)
    return all_to(View, tx.execute(query.where(seen).order_by(views.c.name, views.c.id)))


def view(tx: Tx, user: int, name: str) -> View:
    """One's own, or else another's of that name; raises Missing."""
    named = [view for view in views_of(tx, user) if view.name == name]
    own = tx.scalars(sa.select(users.c.name).where(users.c.id == user)).first()
    for found in sorted(named, key=lambda view: view.owner != own):
        return found
    raise Missing(f"there is no view {name!r} of yours, and none that others share")


def keep_view(tx: Tx, user: int, name: str, query: str, *, shared: bool) -> None:
    """Save it; the name's former query is forgotten."""
    tx.execute(_view(user, name))
    tx.execute(views.insert().values(user_id=user, name=name, query=query, shared=shared))


def drop_view(tx: Tx, user: int, name: str) -> None:
    """Forget it; raises Missing."""
    if not tx.execute(_view(user, name)).rowcount:
        raise Missing(f"there is no view {name!r} of yours")


def _view(user: int, name: str) -> sa.Delete:
    return views.delete().where(views.c.user_id == user, views.c.name == name)
