# SPDX-License-Identifier: Apache-2.0
"""What scripts printed, and what happened."""

import sys
import time
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from muster.cli.client import ApiError, Client, fail, machine_path
from muster.cli.words import clean

POLL_S = 0.5
Follow = Annotated[bool, Parameter(name=["--follow", "-f"])]


def logs(
    machine: str,
    /,
    script: str = "",
    *,
    follow: Follow = False,
    stream: Literal["combined", "stdout", "stderr", "result"] = "combined",
) -> None:
    """What the scripts of a machine's last run printed; raw bytes when it is one script.

    Parameters
    ----------
    machine
        Name or id
    script
        Only this one
    follow
        Go on until the run ends
    stream
        combined, stdout, stderr or result
    """
    client = Client()
    try:
        run = _last_run(client, machine)
        chosen = [r["id"] for r in run["results"] if script in ("", r["name"])]
        if not chosen:
            names = ", ".join(r["name"] for r in run["results"])
            fail(f"run {run['id']} has no script {script!r}; it has: {names}")
        for result in chosen:
            _print_result(client, result, stream, follow=follow, heading=not script)
    except ApiError as error:
        fail(str(error))
    except KeyboardInterrupt:
        return


def _last_run(client: Client, machine: str) -> dict[str, Any]:
    runs = client.get(machine_path(machine, "/runs"), limit=1)
    if not runs:
        fail(f"{machine} has run nothing yet")
    found: dict[str, Any] = runs[0]
    return found


def _print_result(client: Client, result: int, stream: str, *, follow: bool, heading: bool) -> None:
    offset = 0
    if heading:
        name = client.get(f"/results/{result}")["name"]
        print(f"--- {name} (result {result}) ---", flush=True)
    while True:
        path = f"/results/{result}/output"
        body, headers = client.raw("GET", path, stream=stream, offset=offset)
        _write(body)
        offset += len(body)
        if not follow or headers.get("muster-state") not in ("pending", "running"):
            return
        time.sleep(POLL_S)


def _write(body: bytes) -> None:
    """Raw for a file or pipe; for a terminal without what could move its cursor."""
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return
    text = body.decode(errors="replace")
    print("".join(c for c in text if c.isprintable() or c in "\n\t"), end="", flush=True)


def events(*, machine: str = "", kind: str = "", follow: Follow = False, limit: int = 50) -> None:
    """What happened.

    Parameters
    ----------
    machine
        Only of this one (name or id)
    kind
        Only kinds that begin so, as "machine." or "audit."
    follow
        Go on with what happens next
    limit
        How many from the past
    """
    client = Client()
    console = Console()
    last = 0
    try:
        owner = client.get(machine_path(machine))["id"] if machine else ""
        while True:
            found = client.get("/events", machine=owner, kind=kind, after=last or "", limit=limit)
            for event in found:
                when = event["at"][:19].replace("T", " ")
                line = clean(f" {event['message']}{_by(event)}")
                console.print(Text(f"{when}  {event['kind']:<18}"), line, sep="", soft_wrap=True)
                last = event["id"]
            if not follow:
                return
            time.sleep(POLL_S)
    except ApiError as error:
        fail(str(error))
    except KeyboardInterrupt:
        return


def _by(event: dict[str, Any]) -> str:
    return f" [{event['actor']}]" if event["actor"] else ""
