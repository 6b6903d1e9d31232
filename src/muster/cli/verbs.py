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


def abort(machine: str, /) -> None:
    """End what a machine is doing; its former state comes back."""
    _tell(machine, "POST", "/abort")


def accept(machine: str, /) -> None:
    """Permit a held machine to send its data."""
    _tell(machine, "POST", "/accept")


def deny(machine: str, /, *, reason: str = "") -> None:
    """Refuse a New machine; it switches off and is not started again."""
    _tell(machine, "POST", "/deny", {"reason": reason})


def rename(machine: str, name: str, /) -> None:
    """Give a machine another name (a DNS label)."""
    _tell(machine, "PATCH", "", {"name": name})


def power(
    machine: str,
    goal: Literal["on", "off", "cycle"],
    /,
    *,
    boot: Literal["pxe", "http", "disk", "cd"] | None = None,
) -> None:
    """Switch a machine; `muster events` tells the outcome.

    Parameters
    ----------
    machine
        Name or id
    goal
        on, off, or cycle
    boot
        What it boots from, this once; its BMC must be able to choose
    """
    _tell(machine, "POST", f"/power/{goal}{f'?boot={boot}' if boot else ''}")


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


def delete(machine: str, /, *, yes: bool = False) -> None:
    """Forget a machine; its events stay. It enlists anew when it boots.

    Parameters
    ----------
    machine
        Name or id
    yes
        Do not ask
    """
    if not yes and not (
        sys.stdin.isatty() and input(f"delete {machine} and all its results? [y/N] ") == "y"
    ):
        fail("nothing was deleted; say --yes when you do not want to be asked")
    try:
        Client().send("DELETE", machine_path(machine))
    except ApiError as error:
        fail(str(error))
    print(f"{machine} was deleted")


def _tell(machine: str, method: str, rest: str, body: object = None) -> None:
    try:
        found = Client().send(method, machine_path(machine, rest), body)
    except ApiError as error:
        fail(str(error))
    print(plain(f"{found['name']}: {found['state']}: {found['state_reason']}"))
