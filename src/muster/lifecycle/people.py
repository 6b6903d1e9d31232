# SPDX-License-Identifier: Apache-2.0
"""People: the first admin, signing in, API keys."""

import secrets as stdlib_secrets
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from muster.lifecycle import secrets
from muster.lifecycle.secrets import Forbidden
from muster.machine.names import ID_ALPHABET
from muster.store import events, people
from muster.store.engine import Store
from muster.store.people import User

ROLES = ("viewer", "operator", "admin")
_hasher = PasswordHasher()
# A wrong name must cost as much time as a wrong password.
_NOBODY = _hasher.hash("nobody has this password")


def first_admin(store: Store, now: datetime, *, password: str = "") -> str | None:
    """On the first start: make the user `admin`; returns the password to show once.

    A password that the operator brought is not shown: None then too.
    """
    with store.write() as tx:
        store.one_at_a_time(tx)
        if people.any_user(tx):
            return None
        groups = ("".join(stdlib_secrets.choice(ID_ALPHABET) for _ in range(5)) for _ in range(4))
        made = "" if password else "-".join(groups)
        people.add_user(
            tx, "admin", role="admin", password_hash=_hasher.hash(password or made), now=now
        )
        events.add(tx, now, "audit.first_admin", "the user admin was made", actor="server")
    return made or None


def login(store: Store, name: str, password: str, now: datetime, *, key_name: str) -> str:
    """A new API key for a right name and password; raises Forbidden."""
    with store.read() as tx:
        user = people.user_named(tx, name)
    try:
        _hasher.verify(user.password_hash if user else _NOBODY, password)
    except VerifyMismatchError:
        user = None
    if user is None:
        raise Forbidden("wrong user name or password", status=401)
    key = f"muster_{secrets.new()}"
    with store.write() as tx:
        people.add_key(tx, user.id, name=key_name, key_hash=secrets.digest(key), now=now)
        events.add(tx, now, "audit.login", f"{name} signed in: key {key_name!r}", actor=name)
    return key


def logout(store: Store, key: str, now: datetime) -> None:
    """The key opens nothing any more."""
    with store.write() as tx:
        people.revoke_key(tx, secrets.digest(key), now=now)


def owner_of(store: Store, key: str) -> User:
    """Whose key this is; raises Forbidden."""
    with store.read() as tx:
        user = people.user_with_key(tx, secrets.digest(key))
    if user is None:
        raise Forbidden("unknown or revoked API key", status=401)
    return user
