# SPDX-License-Identifier: Apache-2.0
"""One action on machines that are named, and waiting for what it began."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import cyclopts

from muster.cli.client import ApiError, Client, fail, machine_path
from muster.cli.forms import json_text
from muster.cli.words import plain

POLL_S = 0.5
MOST = 1000
"""Machines of one request (api/bulk.py)."""
_OVER = ("done", "failed", "aborted", "replaced")

operation = cyclopts.App(name="operation", help="What takes long: show it, wait for it.")


def act(action: str, names: Sequence[str], *, wait: bool = False, **body: Any) -> int:
    """Do it to each and say what became of it; exit status 1 when one was refused or is missing.

    With `wait` also when one does not end well.
    """
    client = Client()
    outcomes = []
    try:
        for first in range(0, len(names), MOST):
            asked = {"machines": list(names[first : first + MOST]), **body}
            outcomes += client.send("POST", f"/bulk/{action}", asked)["outcomes"]
        failed = [one for one in outcomes if one["outcome"] in ("refused", "missing")]
        if len(names) == 1 and not failed and action != "delete":
            _print_state(client, outcomes[0], action)
        else:
            _print_outcomes(outcomes)
        begun = {one["operation"]: one["name"] for one in outcomes if one["operation"]}
        waited = wait_for(client, begun) if wait else 0
    except ApiError as error:
        fail(str(error))
    return 1 if failed else waited


def _print_outcomes(outcomes: list[dict[str, Any]]) -> None:
    for one in outcomes:
        bad = one["outcome"] in ("refused", "missing")
        more = one["why"] or one["operation"]
        told = f"{one['name'] or one['reference']}: {one['outcome']}{f': {more}' if more else ''}"
        print(plain(told), file=sys.stderr if bad else sys.stdout)


def _print_state(client: Client, outcome: dict[str, Any], action: str) -> None:
    found = client.get(machine_path(outcome["machine"]))
    told = f"{found['name']}: {found['state']}: {found['state_reason']}"
    if action == "pool":
        told = f"{found['name']}: pool {found['pool'] or 'none'}"
    if outcome["outcome"] == "unchanged":
        told = f"{found['name']}: unchanged: {outcome['why']}"
    elif outcome["operation"]:
        told += f" ({outcome['operation']})"
    print(plain(told))


def wait_for(client: Client, operations: dict[str, str]) -> int:
    """Until each has ended, told by the names beside; 0 when all were done. Raises ApiError."""
    left = dict(operations)
    last: dict[str, str] = {}
    good = True
    while left:
        for number, name in list(left.items()):
            found = client.get(f"/operations/{number}")
            again = found["links"].get("next", "").rpartition("/")[2]
            if found["state"] == "failed" and again:
                # A machine that was lost is tried again.
                left[again] = left.pop(number)
                continue
            told = _line(name, found)
            if told != last.get(name):
                print(plain(told), flush=True)
                last[name] = told
            if found["state"] in _OVER:
                good = good and found["state"] == "done"
                del left[number]
        time.sleep(POLL_S if left else 0)
    return 0 if good else 1


def _line(name: str, found: dict[str, Any]) -> str:
    progress = found["progress"]
    told = found["outcome"] or progress["now"]
    parts = f" {progress['done']}/{progress['total']}" if progress["total"] > 1 else ""
    return f"{name}: {found['kind']}: {found['state']}{parts}{f': {told}' if told else ''}"


@operation.command(name="show")
def show(id: str = "", /, *, machine: str = "") -> None:
    """One operation as JSON; without an id all that have not ended.

    Parameters
    ----------
    id
        As --wait, Location or another list told it: run-17
    machine
        Only this machine's
    """
    try:
        found = Client().get(f"/operations/{id}" if id else "/operations", machine=machine)
    except ApiError as error:
        fail(str(error))
    print(json_text(found))


@operation.command(name="watch")
def watch(id: str, /, *more: str) -> int:
    """Stay until operations end; exit status 1 when one was not done.

    Parameters
    ----------
    id
        An operation
    more
        More of them
    """
    try:
        return wait_for(Client(), {one: one for one in (id, *more)})
    except ApiError as error:
        fail(str(error))
