# SPDX-License-Identifier: Apache-2.0
"""Who may sign in, and keys for programs: muster user ..., muster key ..."""

import getpass
import sys
import urllib.parse
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from muster.cli import tables
from muster.cli.client import ApiError, Client, fail
from muster.cli.forms import json_text
from muster.cli.words import clean, plain

user = cyclopts.App(name="user", help="Who may sign in, and as what.")
key = cyclopts.App(name="key", help="Your API keys and sessions.")
Output = Annotated[Literal["text", "json"], Parameter(alias="-o")]
Role = Literal["viewer", "operator", "admin"]


@user.command(name="list")
def list_users(*, output: Output = "text") -> None:
    """Everybody who may sign in."""
    _show(_ask("GET", "/users"), ("name", "role", "created_at", "locked_until"), output)


@user.command(name="add")
def add_user(name: str, /, *, role: Role = "viewer") -> None:
    """Add a person; the first password is asked for, or read from standard input.

    Parameters
    ----------
    name
        a-z, 0-9 and -
    role
        viewer reads, operator acts on machines, admin also changes scripts and users
    """
    body = {"name": name, "role": role, "password": _password()}
    one = _ask("POST", "/users", body)
    print(plain(f"{one['name']} was added as {one['role']}"))


@user.command(name="role")
def role_of(name: str, role: Role, /) -> None:
    """Give a person another role."""
    one = _ask("PATCH", _path("users", name), {"role": role})
    print(plain(f"{one['name']} is {one['role']} now"))


@user.command(name="password")
def reset(name: str, /) -> None:
    """Give a person a new password; it ends every session and key of theirs."""
    _ask("PATCH", _path("users", name), {"password": _password()})
    print(plain(f"{name} has a new password; former sessions and keys are closed"))


@user.command(name="remove")
def remove_user(name: str, /) -> None:
    """Remove a person with all keys; the audit log stays."""
    _ask("DELETE", _path("users", name))
    print(plain(f"{name} was removed"))


@key.command(name="list")
def list_keys(*, output: Output = "text") -> None:
    """Your keys and sessions, newest first."""
    _show(_ask("GET", "/keys"), ("id", "name", "created_at", "expires_at"), output)


@key.command(name="make")
def make_key(name: str, /) -> None:
    """Make a key for a program, with your role; it is printed this once.

    Parameters
    ----------
    name
        Where it is used
    """
    print(plain(_ask("POST", "/keys", {"name": name})["key"]))


@key.command(name="close")
def close_key(number: int, /) -> None:
    """One of your keys opens nothing any more."""
    _ask("DELETE", f"/keys/{number}")
    print(f"key {number} is closed")


def _password() -> str:
    """Never an argument: those are seen by everybody on the host."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("New password: ")
    if getpass.getpass("Again: ") != first:
        fail("the two passwords differ")
    return first


def _show(found: list[dict[str, Any]], columns: tuple[str, ...], output: str) -> None:
    if output == "json":
        print(json_text(found))
        return
    table = tables.table(*columns)
    for one in found:
        table.add_row(*(clean(str(one[name] or "")) for name in columns))
    tables.put(table)


def _path(kind: str, name: str) -> str:
    return f"/{kind}/{urllib.parse.quote(name, safe='')}"


def _ask(method: str, path: str, body: object = None) -> Any:
    try:
        client = Client()
        return client.get(path) if method == "GET" else client.send(method, path, body)
    except ApiError as error:
        fail(str(error))
