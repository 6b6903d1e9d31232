# SPDX-License-Identifier: Apache-2.0
"""People who may sign in and their API keys (hashed)."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.store.engine import Tx
from muster.store.rows import to
from muster.store.schema import api_keys, users


@dataclass(frozen=True)
class User:
    """`role` is viewer, operator or admin."""

    id: int
    name: str
    role: str
    password_hash: str
    created_at: datetime


def any_user(tx: Tx) -> bool:
    """False on a server that was never started."""
    return tx.execute(sa.select(users.c.id).limit(1)).first() is not None


def add_user(tx: Tx, name: str, *, role: str, password_hash: str, now: datetime) -> None:
    """A person."""
    tx.execute(
        users.insert().values(name=name, role=role, password_hash=password_hash, created_at=now)
    )


def user_named(tx: Tx, name: str) -> User | None:
    """By name."""
    return to(User, tx.execute(sa.select(users).where(users.c.name == name)).first())


def user_with_key(tx: Tx, key_hash: str) -> User | None:
    """The owner of a key that is not revoked."""
    query = (
        sa.select(users)
        .join(api_keys)
        .where(api_keys.c.key_hash == key_hash, api_keys.c.revoked_at.is_(None))
    )
    return to(User, tx.execute(query).first())


def add_key(tx: Tx, user: int, *, name: str, key_hash: str, now: datetime) -> None:
    """A key of this person."""
    tx.execute(api_keys.insert().values(user_id=user, name=name, key_hash=key_hash, created_at=now))


def revoke_key(tx: Tx, key_hash: str, *, now: datetime) -> None:
    """The key opens nothing any more."""
    tx.execute(api_keys.update().where(api_keys.c.key_hash == key_hash).values(revoked_at=now))
