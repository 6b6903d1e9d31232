# SPDX-License-Identifier: Apache-2.0
"""What a person tells a machine to do."""

import getpass
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from muster.cli.acting import act
from muster.cli.client import ApiError, Client, fail, machine_path
from muster.cli.words import plain

POLL_S = 0.5
_WORKING = ("Commissioning", "Testing")


def watch_all(client: Client, names: list[str]) -> int:
    """Show progress until no machine works any more; 0 when all are Ready."""
    columns = (
        TextColumn("{task.description:<24}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    )
    ready = True
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        tasks = {name: progress.add_task(name, total=None, now="waiting") for name in names}
        while tasks:
            for name in list(tasks):
                machine, done, total, now = _progress(client, name)
                progress.update(tasks[name], completed=done, total=total, now=now)
                if machine["state"] not in _WORKING:
                    ready = ready and machine["state"] == "Ready"
                    progress.update(tasks.pop(name), now=machine["state"])
            time.sleep(POLL_S if tasks else 0)
    for name in names:
        machine = client.get(machine_path(name))
        print(plain(f"{name}: {machine['state']}: {machine['state_reason']}"))
    return 0 if ready else 1


def _progress(client: Client, name: str) -> tuple[dict[str, Any], int, int | None, str]:
    """The machine, scripts done, scripts in all, and what it does now."""
    try:
        machine = client.get(machine_path(name))
        run = client.get(machine_path(name, "/runs"), limit=1)[0]
        boot = next(iter(client.get(machine_path(name, "/boots"), limit=1)), None)
    except ApiError as error:
        fail(f"{name}: {error}")
    results = run["results"]
    done = sum(result["state"] not in ("pending", "running") for result in results)
    running = [result["name"] for result in results if result["state"] == "running"]
    waiting = boot["phase"] if boot and boot["ended_at"] is None else "power on"
    failure = boot["failure"] if boot and boot["ended_at"] is None else ""
    now = failure or (running[0] if running else f"after {waiting}")
    return machine, done, len(results), plain(now)


def abort(machine: str, /, *more: str) -> int:
    """End what machines are doing; their former states come back."""
    return act("abort", [machine, *more])


def accept(machine: str, /, *more: str) -> int:
    """Permit held machines to send their data."""
    return act("accept", [machine, *more])


def deny(machine: str, /, *more: str, reason: str = "") -> int:
    """Refuse New machines; they switch off and are not started again."""
    return act("deny", [machine, *more], reason=reason)


def broken(machine: str, /, *more: str, reason: str = "") -> int:
    """Call machines Broken; nothing starts by itself on them."""
    return act("mark-broken", [machine, *more], reason=reason)


def fixed(machine: str, /, *more: str, reason: str = "") -> int:
    """Call Broken machines Ready again."""
    return act("mark-fixed", [machine, *more], reason=reason)


def rename(machine: str, name: str, /) -> None:
    """Give a machine another name (a DNS label)."""
    _tell(machine, "PATCH", "", {"name": name})


def power(
    machine: str,
    /,
    *goal: str,
    boot: Literal["pxe", "http", "disk", "cd"] | None = None,
    wait: bool = False,
) -> int:
    """Switch machines: muster power web-1 web-2 off.

    Parameters
    ----------
    machine
        Name or id, as many as there are
    goal
        on, off, or cycle; it comes last
    boot
        What they boot from, this once; their BMCs must be able to choose
    wait
        Stay until they are so; exit status 1 when one is not
    """
    names = [machine, *goal]
    if len(names) < 2 or (wanted := names.pop()) not in ("on", "off", "cycle"):
        fail("say at last what is wanted: muster power MACHINE [MORE ...] on|off|cycle")
    return act(wanted, names, wait=wait, **({"boot": boot} if boot else {}))


def add(
    name: str,
    mac: str,
    driver: str = "manual",
    /,
    *parameters: str,
    more_macs: Annotated[list[str] | None, Parameter(name="--mac", negative="")] = None,
    uuid: str = "",
    serial: str = "",
) -> None:
    """Add a machine that was never on: muster add m1 52:54:00:12:34:56 redfish power_address=...

    Parameters
    ----------
    name
        A DNS label
    mac
        MAC of a NIC that it boots from
    driver
        How it is switched; `muster power-driver` changes it
    parameters
        NAME=VALUE, NAME=@FILE or NAME=-, as for `muster power-driver`
    more_macs
        Another NIC's
    uuid
        Hardware UUID, when it is known
    serial
        Serial number, when it is known
    """
    body = {"name": name, "macs": [mac, *(more_macs or [])], "uuid": uuid, "serial": serial}
    switch = {"driver": driver, "parameters": _parameters(parameters)}
    try:
        made = Client().send("POST", "/machines", body | switch)
    except ApiError as error:
        fail(str(error))
    print(plain(f"{made['name']}: {made['state']}: {made['state_reason']}"))


def _parameters(words: tuple[str, ...]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    return {name: value_of(name, value) for name, _, value in pairs}


def power_driver(machine: str, driver: str, /, *parameters: str) -> None:
    """Say how a machine is switched: muster power-driver NAME webhook power_on_uri=http://...

    Parameters
    ----------
    machine
        Name or id
    driver
        Driver's name
    parameters
        NAME=VALUE, as many as the driver has; NAME=@FILE takes the value from a file and NAME=-
        asks for it, so that a password is on no command line
    """
    given = _parameters(parameters)
    _tell(machine, "PUT", "/power", {"driver": driver, "parameters": given})


def value_of(name: str, given: str) -> str:
    """NAME=@FILE, NAME=- (asks) or the value itself."""
    if given == "-":
        return getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{name}: {given[1:]}: {error}")


def delete(machine: str, /, *more: str, yes: bool = False) -> int:
    """Forget machines; their events stay. They enlist anew when they boot.

    Parameters
    ----------
    machine
        Name or id
    more
        More of them
    yes
        Do not ask
    """
    names = [machine, *more]
    if not yes and not (
        sys.stdin.isatty()
        and input(f"delete {', '.join(names)} and all their results? [y/N] ") == "y"
    ):
        fail("nothing was deleted; say --yes when you do not want to be asked")
    return act("delete", names)


def _tell(machine: str, method: str, rest: str, body: object = None) -> None:
    try:
        found = Client().send(method, machine_path(machine, rest), body)
    except ApiError as error:
        fail(str(error))
    print(plain(f"{found['name']}: {found['state']}: {found['state_reason']}"))
