# SPDX-License-Identifier: Apache-2.0
"""The verbs for accounts: add, change, remove; keys for programs. Everything is audited."""

from datetime import datetime

from muster.lifecycle import people, secrets
from muster.machine import names
from muster.store import events
from muster.store import people as rows
from muster.store.engine import Conflict, Store, Tx
from muster.store.people import User
from muster.wire.codec import BadMessage


def add(store: Store, name: str, *, role: str, password: str, actor: str, now: datetime) -> None:
    """A person; raises Conflict for a name or password that cannot be."""
    _check_role(role)
    if not names.valid(name):
        raise Conflict(f"user name {name!r}: a-z, 0-9 and -, at most 63")
    hashed = people.check_password(password)
    with store.write() as tx:
        rows.add_user(tx, name, role=role, password_hash=hashed, now=now)
        events.add(tx, now, "audit.user", f"{name} was added as {role}", actor=actor)


def change(
    store: Store, name: str, *, role: str = "", password: str = "", but: str = "", actor: str,
    now: datetime,
) -> None:  # fmt: skip
    """Another role or password; raises Missing, Conflict.

    A new password ends every session and key of that person but the one called `but`.
    """
    if role:
        _check_role(role)
    hashed = people.check_password(password) if password else ""
    with store.write() as tx:
        user = rows.find(tx, name)
        if role and role != user.role:
            if user.role == "admin":
                _keep_an_admin(tx, user)
            rows.update_user(tx, user.id, role=role)
            events.add(tx, now, "audit.user", f"{name} is {role} now", actor=actor)
        if hashed:
            rows.update_user(tx, user.id, password_hash=hashed, failures=0, locked_until=None)
            rows.revoke_keys(tx, user.id, now=now, but=secrets.digest(but))
            told = f"{name} has a new password; former sessions and keys are closed"
            events.add(tx, now, "audit.user", told, actor=actor)


def remove(store: Store, name: str, *, actor: str, now: datetime) -> None:
    """With sessions and keys; raises Missing, and Conflict for the last admin."""
    with store.write() as tx:
        user = rows.find(tx, name)
        if user.role == "admin":
            _keep_an_admin(tx, user)
        rows.remove_user(tx, user.id)
        events.add(tx, now, "audit.user", f"{name} was removed", actor=actor)


def make_key(store: Store, user: User, name: str, now: datetime) -> str:
    """A key for a program, with the person's role; it is shown this once."""
    if not name.strip() or not name.isprintable() or len(name) > 64:
        raise BadMessage("name", "a line of 1 to 64 characters that says where the key is used")
    key = f"muster_{secrets.new()}"
    with store.write() as tx:
        rows.add_key(tx, user.id, name=name, key_hash=secrets.digest(key), now=now)
        events.add(tx, now, "audit.key", f"key {name!r} of {user.name} was made", actor=user.name)
    return key


def close_key(store: Store, user: User, key: int, now: datetime) -> None:
    """It opens nothing any more; raises Missing."""
    with store.write() as tx:
        found = rows.find_key(tx, user.id, key)
        rows.revoke_keys(tx, user.id, now=now, only=found.id)
        told = f"key {found.name!r} of {user.name} was closed"
        events.add(tx, now, "audit.key", told, actor=user.name)


def _check_role(role: str) -> None:
    if role not in people.ROLES:
        raise BadMessage("role", f"{role!r} must be one of {', '.join(people.ROLES)}")


def _keep_an_admin(tx: Tx, user: User) -> None:
    if not any(one.role == "admin" and one.id != user.id for one in rows.every_user(tx)):
        raise Conflict(f"{user.name} is the last admin; make another one first")
