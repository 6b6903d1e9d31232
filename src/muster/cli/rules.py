# SPDX-License-Identifier: Apache-2.0
"""Rules: what happens by itself to machines that are so."""

import urllib.parse
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from muster.cli import tables
from muster.cli.client import ApiError, Client, fail
from muster.cli.forms import json_text
from muster.cli.words import clean, plain

rule = cyclopts.App(name="rule", help="What happens by itself to machines that are so.")
Output = Annotated[Literal["text", "json"], Parameter(alias="-o")]
Words = Annotated[list[str], Parameter(negative="", consume_multiple=True)]
_SHOWN = 20


@rule.command(name="list")
def list_rules(*, output: Output = "text") -> None:
    """All rules in their order."""
    found = _ask("GET", "/rules")
    if output == "json":
        print(json_text(found))
        return
    table = tables.table("rule", "priority", "on", "machines", "condition", "then")
    for one in found:
        words = [one["name"], one["priority"], "on" if one["enabled"] else "off", one["machines"]]
        table.add_row(*map(clean, [*words, one["condition"], _then(one["actions"])]))
    tables.put(table)


@rule.command(name="add")
def add(
    name: str, condition: str, /, *, priority: int = 100, tag: Words | None = None,
    pool: str = "", rename: str = "", accept: bool = False, commission: bool = False,
    script: Words | None = None, test: Words | None = None, hold: str = "",
    notify: bool = False, comment: str = "",
) -> None:  # fmt: skip
    """Make or change a rule; it is off until muster rule dry-run and muster rule enable.

    Parameters
    ----------
    name
        The rule's name
    condition
        For which machines (docs/filter.md)
    priority
        A lower one comes first, and decides where two rules want what can be but once
    tag
        Tags to give; they are taken when the condition holds no more
    pool
        The pool to put them into
    rename
        How New machines are called, as "web-{serial}"
    accept
        New machines may send their data
    commission
        New machines are accepted and commissioned
    script
        With these scripts or tags of scripts of your own
    test
        And these tests or tags of tests
    hold
        New machines wait for a person; the reason
    notify
        An event when it begins to hold for a machine
    comment
        What it is for
    """
    body: dict[str, Any] = {
        "condition": condition, "priority": priority, "tags": tag or [], "pool": pool,
        "name": rename, "accept": accept, "commission": commission, "scripts": script or [],
        "hold": hold, "notify": notify, "comment": comment,
    }  # fmt: skip
    if test is not None:
        body["tests"] = test
    found = _ask("PUT", _path(name), body)
    print(plain(f"{found['name']} is off: try it with muster rule dry-run {found['name']}"))


@rule.command(name="dry-run")
def dry_run(name: str, /, *, everything: bool = False, output: Output = "text") -> None:
    """What a rule would do to every machine, and why; nothing is changed.

    Parameters
    ----------
    name
        The rule
    everything
        Also machines for which it does not hold, and all of them
    output
        text, or json for programs
    """
    items: list[dict[str, Any]] = []
    after = ""
    while True:
        page = _ask("POST", _path(name, f"/dry-run?after={after}"))
        items += page["items"]
        if not (after := page["next"]):
            break
    if output == "json":
        print(json_text(items))
        return
    yes = [one for one in items if one["holds"]]
    unknown = sum(one["holds"] is None for one in items)
    shown = items if everything else yes[:_SHOWN]
    for one in shown:
        answer = {True: "yes", False: "no", None: "not known"}[one["holds"]]
        would = ("; would " + ", ".join(one["would"])) if one["would"] else ""
        print(plain(f"{one['name']}: {answer}: {one['because']}{would}"))
    if len(yes) > len(shown):
        print(f"and {len(yes) - len(shown)} more: muster rule dry-run {plain(name)} --everything")
    no = len(items) - len(yes) - unknown
    print(f"of {len(items)} machines: yes {len(yes)}, no {no}, not known {unknown}")


@rule.command(name="enable")
def enable(name: str, /) -> None:
    """Switch a rule on, for stored machines too; a dry run must have seen every machine."""
    print(plain(f"{_ask('POST', _path(name, '/enable'))['name']} is on"))


@rule.command(name="disable")
def disable(name: str, /) -> None:
    """Switch a rule off; the tags that it gave are taken back."""
    print(plain(f"{_ask('POST', _path(name, '/disable'))['name']} is off"))


@rule.command(name="delete")
def delete(name: str, /) -> None:
    """Take a rule away, with the tags that it gave."""
    _ask("DELETE", _path(name))
    print(plain(f"{name} was deleted"))


def _then(actions: dict[str, Any]) -> str:
    told = {name: value for name, value in actions.items() if value}
    if not actions.get("commission"):
        told.pop("tests", None)
    return ", ".join(
        name if value is True else f"{name} {' '.join(value) if isinstance(value, list) else value}"
        for name, value in told.items()
    )


def _path(name: str, rest: str = "") -> str:
    return f"/rules/{urllib.parse.quote(name, safe='')}{rest}"


def _ask(method: str, path: str, body: object = None) -> Any:
    try:
        return Client().send(method, path, body)
    except ApiError as error:
        fail(str(error))
