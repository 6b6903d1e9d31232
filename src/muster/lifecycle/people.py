# SPDX-License-Identifier: Apache-2.0
"""People: the first admin, signing in, API keys."""

import secrets as stdlib_secrets
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from muster.lifecycle import secrets
from muster.lifecycle.secrets import Forbidden
from muster.machine.names import ID_ALPHABET
from muster.store import events, people
from muster.store.engine import Store
from muster.store.people import User
from muster.wire.codec import BadMessage

ROLES = ("viewer", "operator", "admin")
WRONG_MOST = 10
LOCKED = timedelta(minutes=5)
PASSWORD_LEAST = 12
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


def login(
    store: Store,
    name: str,
    password: str,
    now: datetime,
    *,
    key_name: str,
    lasts: timedelta | None = None,
) -> str:
    """A new API key for a right name and password; raises Forbidden.

    After `WRONG_MOST` wrong passwords in a row the account takes none for `LOCKED`, from any
    address; keys and sessions that exist stay open, so that nobody is locked out of their work.
    """
    with store.read() as tx:
        user = people.user_named(tx, name)
    try:
        _hasher.verify(user.password_hash if user else _NOBODY, password)
        right = user is not None
    except (VerifyMismatchError, InvalidHashError):
        right = False
    if user is not None and user.locked_until is not None and user.locked_until > now:
        # Told only to who knows the password: a guesser must not see that a guess was right.
        told = f"{name} is locked until {user.locked_until:%H:%M:%S} UTC after wrong passwords"
        raise Forbidden(told if right else "wrong user name or password", status=401)
    if user is None or not right:
        if user is not None:
            _failed(store, user, now)
        raise Forbidden("wrong user name or password", status=401)
    key = f"muster_{secrets.new()}"
    with store.write() as tx:
        if user.failures:
            people.update_user(tx, user.id, failures=0, locked_until=None)
        people.add_key(
            tx, user.id, name=key_name, key_hash=secrets.digest(key), now=now,
            expires=now + lasts if lasts else None,
        )  # fmt: skip
        events.add(tx, now, "audit.login", f"{name} signed in: key {key_name!r}", actor=name)
    return key


def _failed(store: Store, user: User, now: datetime) -> None:
    with store.write() as tx:
        failures = people.find(tx, user.name).failures + 1
        values: dict[str, object] = {"failures": failures}
        if failures % WRONG_MOST == 0:
            values["locked_until"] = now + LOCKED
            told = f"{user.name} takes no password for {LOCKED.seconds // 60} min:"
            told = f"{told} {failures} wrong ones in a row"
            events.add(tx, now, "audit.locked", told, actor=user.name)
        people.update_user(tx, user.id, **values)


def logout(store: Store, key: str, now: datetime) -> None:
    """The key opens nothing any more."""
    with store.write() as tx:
        people.revoke_key(tx, secrets.digest(key), now=now)


def owner_of(store: Store, key: str, now: datetime | None = None) -> User:
    """Whose key this is; raises Forbidden. A session's key ends at its time, seen from `now`."""
    with store.read() as tx:
        user = people.user_with_key(tx, secrets.digest(key), now)
    if user is None:
        raise Forbidden("unknown or revoked API key", status=401)
    return user


def may(user: User, least: str) -> bool:
    """True when the person's role is `least` or higher."""
    return ROLES.index(user.role) >= ROLES.index(least)


def check_own(store: Store, user: User, password: str) -> None:
    """Raises Forbidden unless this is the person's present password."""
    with store.read() as tx:
        known = people.find(tx, user.name).password_hash
    try:
        _hasher.verify(known, password)
    except (VerifyMismatchError, InvalidHashError) as error:
        raise Forbidden("this is not your present password", status=403) from error


def check_password(password: str) -> str:
    """The password's hash; raises BadMessage when it is too short to be one."""
    if len(password) < PASSWORD_LEAST:
        raise BadMessage("password", f"at least {PASSWORD_LEAST} characters")
    return _hasher.hash(password)
