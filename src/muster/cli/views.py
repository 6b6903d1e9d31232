# SPDX-License-Identifier: Apache-2.0
"""Saved views of the list of machines: muster view ...; shown by muster machines --view NAME."""

import urllib.parse
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from muster.cli import tables
from muster.cli.client import ApiError, Client, fail
from muster.cli.forms import json_text
from muster.cli.words import clean, plain

app = cyclopts.App(name="view", help="Saved views of the list of machines.")


@app.command(name="list")
def list_views(
    *, output: Annotated[Literal["text", "json"], Parameter(alias="-o")] = "text"
) -> None:
    """Your views, and those that others share."""
    found = _ask("GET", "/views")
    if output == "json":
        print(json_text(found))
        return
    table = tables.table("view", "of", "shared", "shows")
    for one in found:
        shown = urllib.parse.unquote_plus(one["query"])
        cells = (one["name"], one["owner"], "yes" if one["shared"] else "", shown)
        table.add_row(*map(clean, cells))
    tables.put(table)


@app.command
def save(
    name: str, condition: str = "", /, *, search: str = "", in_state: str = "", sort: str = "",
    columns: str = "", shared: bool = False,
) -> None:  # fmt: skip
    """Save a list: muster view save big 'memory >= 1TiB' --sort=-memory --shared.

    Parameters
    ----------
    name
        The view
    condition
        As for muster machines
    search
        As for muster machines
    in_state
        As for muster machines
    sort
        As for muster machines
    columns
        Of the page, with commas: state,cores,memory
    shared
        Everybody sees it
    """
    asked = {"filter": condition, "search": search, "state": in_state, "sort": sort,
             "columns": columns}  # fmt: skip
    query = urllib.parse.urlencode({key: value for key, value in asked.items() if value})
    _ask("PUT", _path(name), {"query": query, "shared": shared})
    print(plain(f"{name} is kept: muster machines --view {name}"))


@app.command
def remove(name: str, /, *, owner: str = "") -> None:
    """Forget a view; with --owner another person's, as an admin."""
    more = f"?owner={urllib.parse.quote(owner, safe='')}" if owner else ""
    _ask("DELETE", _path(name) + more)
    print(plain(f"{name} was removed"))


def asked(client: Client, name: str) -> dict[str, str]:
    """What a view says, for GET /machines; nothing without a name. Raises ApiError."""
    if not name:
        return {}
    query = dict(urllib.parse.parse_qsl(client.get(_path(name))["query"]))
    return {key: query[key] for key in ("filter", "search", "state", "sort") if key in query}


def _path(name: str) -> str:
    return f"/views/{urllib.parse.quote(name, safe='')}"


def _ask(method: str, path: str, body: object = None) -> Any:
    try:
        client = Client()
        return client.get(path) if method == "GET" else client.send(method, path, body)
    except ApiError as error:
        fail(str(error))
