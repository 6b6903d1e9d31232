# SPDX-License-Identifier: Apache-2.0
"""Tags, and what people say of one machine: muster tag ..., muster machine ..."""

import urllib.parse
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from muster.cli import tables
from muster.cli.acting import act
from muster.cli.client import ApiError, Client, fail, machine_path
from muster.cli.forms import json_text
from muster.cli.verbs import broken, fixed
from muster.cli.words import clean, plain

tag = cyclopts.App(name="tag", help="Tags: by hand, or by a condition over the hardware.")
machine = cyclopts.App(name="machine", help="Say something of a machine: tags, notes, its pool.")
Also = Annotated[
    list[str] | None, Parameter(negative="", consume_multiple=True, help="More machines.")
]
Output = Annotated[Literal["text", "json"], Parameter(alias="-o")]


@tag.command(name="list")
def list_tags(*, output: Output = "text") -> None:
    """Every tag, how many machines have it, and where it comes from."""
    found = _ask("GET", "/tags")
    if output == "json":
        print(json_text(found))
        return
    table = tables.table("tag", "machines", "given by", "comment")
    for one in found:
        count = f"{one['machines']}{'' if one['settled'] else ' so far'}"
        table.add_row(clean(one["name"]), count, clean(_given_by(one)), clean(one["comment"]))
    tables.put(table)


@tag.command(name="set")
def set_tag(
    name: str, definition: str = "", /, *, comment: str = "", kind: str = "expression"
) -> None:
    """Say what a tag means: muster tag set gpu-node 'gpu.count >= 4' --comment "for the lab".

    Parameters
    ----------
    name
        The tag
    definition
        A condition over the hardware (docs/filter.md); without it the tag is given by hand
    comment
        What it is for
    kind
        expression (docs/filter.md), or xpath: XPath 1.0 over what lshw printed
    """
    body = {"comment": comment, "kind": kind if definition else "", "definition": definition}
    one = _ask("PUT", _path(name), body)
    print(plain(f"{one['name']}: {_given_by(one)}"))


@tag.command(name="delete")
def delete_tag(name: str, /) -> None:
    """Take a tag away from every machine."""
    _ask("DELETE", _path(name))
    print(plain(f"{name} was deleted"))


@tag.command(name="add")
def add(name: str, machine: str, /, *more: str) -> int:
    """Give a tag to machines: muster tag add spare web-1 web-2."""
    return _by_hand(name, {"add": [machine, *more]})


@tag.command(name="remove")
def remove(name: str, machine: str, /, *more: str) -> int:
    """Take a tag from machines."""
    return _by_hand(name, {"remove": [machine, *more]})


@machine.command(name="tags")
def tags_of(name: str, /, *, output: Output = "text") -> None:
    """A machine's tags, where each comes from and why."""
    found = _ask("GET", machine_path(name, "/tags"))
    if output == "json":
        print(json_text(found))
        return
    table = tables.table("tag", "from", "since", "because")
    for one in found:
        source = " ".join(filter(None, (one["source"], one["origin"])))
        table.add_row(*map(clean, (one["tag"], source, one["at"][:16], one["because"])))
    tables.put(table)


@machine.command(name="tag")
def tag_machine(name: str, tag: str, /, *more: str) -> int:
    """Give tags to a machine."""
    return max(_by_hand(one, {"add": [name]}) for one in (tag, *more))


@machine.command(name="untag")
def untag_machine(name: str, tag: str, /, *more: str) -> int:
    """Take tags from a machine."""
    return max(_by_hand(one, {"remove": [name]}) for one in (tag, *more))


@machine.command(name="pool")
def pool(name: str, pool: str = "", /, *, also: Also = None) -> int:
    """Put machines into a pool; without a pool's name, out of their pools."""
    return act("pool", [name, *(also or [])], pool=pool)


@machine.command(name="note")
def note(name: str, text: str, /, *, also: Also = None) -> int:
    """Write a note on machines."""
    return act("note", [name, *(also or [])], text=text)


machine.command(broken, name="broken")
machine.command(fixed, name="fixed")


@machine.command(name="notes")
def notes_of(name: str, /, *, output: Output = "text") -> None:
    """What people wrote about a machine."""
    found = _ask("GET", machine_path(name, "/notes"))
    if output == "json":
        print(json_text(found))
        return
    for one in reversed(found):
        print(plain(f"{one['id']}: {one['at'][:16]} {one['author']}: {one['text']}"))


@machine.command(name="delete-note")
def delete_note(number: int, /) -> None:
    """Take a note away."""
    _ask("DELETE", f"/notes/{number}")
    print(f"note {number} was deleted")


def _by_hand(name: str, body: dict[str, list[str]]) -> int:
    """Exit status 1 when a machine was left out."""
    outcomes = _ask("POST", _path(name, "/machines"), body)
    for one in outcomes:
        print(plain(f"{one['reference']}: {'done' if one['done'] else one['why']}"))
    return int(not all(one["done"] for one in outcomes))


def _given_by(one: dict[str, Any]) -> str:
    return f"{one['kind']}: {one['definition']}" if one["kind"] else "hand, script or hardware"


def _path(name: str, rest: str = "") -> str:
    return f"/tags/{urllib.parse.quote(name, safe='')}{rest}"


def _ask(method: str, path: str, body: object = None) -> Any:
    try:
        return Client().send(method, path, body)
    except ApiError as error:
        fail(str(error))
