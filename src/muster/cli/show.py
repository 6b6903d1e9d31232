# SPDX-License-Identifier: Apache-2.0
"""One machine in full, and the timelines of boots."""

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from muster.cli import tables
from muster.cli.client import ApiError, Client, fail, machine_path
from muster.cli.words import clean, log_summary, plain, size, state

Output = Annotated[Literal["text", "json"], Parameter(alias="-o")]


def show(machine: str, /, *, output: Output = "text") -> None:
    """One machine: what it is, its last run, its last boot's timeline.

    Parameters
    ----------
    machine
        Name or id
    output
        text, or json for programs
    """
    client = Client()
    try:
        found = client.get(machine_path(machine))
        boots = client.get(machine_path(machine, "/boots"), limit=3)
        runs = client.get(machine_path(machine, "/runs"), limit=3)
        switch = client.get(machine_path(machine, "/power"))
        row = _expected(client, machine)
    except ApiError as error:
        fail(str(error))
    if output == "json":
        told = {"machine": found, "boots": boots, "runs": runs, "power": switch, "expected": row}
        print(json.dumps(told, indent=2))
        return
    console = Console()
    _print_machine(console, found, [*_switch_facts(switch), *_row_facts(row)])
    for run in runs[:2]:
        _print_run(console, run)
    # The last boot that did something; a local boot answers in one line and says little.
    for boot in [b for b in boots if b["purpose"] != "local"][:1] or boots[:1]:
        print_boot(console, boot)


def boots(*, limit: int = 10, output: Output = "text") -> None:
    """Attempts to start, newest last, also refused ones and those of unknown machines.

    Parameters
    ----------
    limit
        How many
    output
        text, or json for programs
    """
    try:
        found = Client().get("/boots", limit=limit)
    except ApiError as error:
        fail(str(error))
    if output == "json":
        print(json.dumps(found, indent=2))
        return
    console = Console()
    for boot in reversed(found):
        print_boot(console, boot)


def _expected(client: Client, machine: str) -> dict[str, Any] | None:
    """The machine's row of the manifest beside its record, or None."""
    try:
        found: dict[str, Any] = client.get(machine_path(machine, "/expected"))
    except ApiError as error:
        if error.status != 404:
            raise
        return None
    return found


def _print_machine(
    console: Console, machine: dict[str, Any], more: Iterable[tuple[str, str]]
) -> None:
    console.print(
        Text(plain(machine["name"]), style="bold"), "is", state(machine["state"]), end=" "
    )
    console.print(clean(f"({machine['state_reason']})"))
    for name, value in (*_facts(machine), *more):
        if value:
            console.print(Text(f"  {name:<12} "), clean(value), sep="", soft_wrap=True)


def _facts(machine: dict[str, Any]) -> Iterable[tuple[str, str]]:
    summary = machine["summary"]
    hardware = " ".join(filter(None, (machine["vendor"], machine["product"])))
    yield "hardware", hardware
    yield "serial", machine["serial"]
    yield "UUID", machine["uuid"]
    yield "boots by", f"{machine['firmware']} {machine['architecture']}".strip()
    if summary:
        yield (
            "CPU",
            f"{summary['sockets']} x {summary['cpu_model']}: {summary['cores']} cores,"
            f" {summary['cpu_count']} threads",
        )
        yield "memory", size(summary["memory_bytes"])
    for disk in summary.get("disks", []):
        told = " ".join(filter(None, (disk["model"], disk["serial"])))
        yield "disk", f"{disk['name']}: {size(disk['size_bytes'])} {told}".strip()
    for nic in summary.get("nics", []):
        link = f"{nic['speed']} Mbit/s" if nic["speed"] else ""
        up = "link" if nic["link"] else "no link"
        yield "NIC", f"{nic['name']}: {nic['mac']} {up} {link}".strip()
    yield "pool", machine["pool"]
    yield "tags", ", ".join(machine["tags"])


def _switch_facts(switch: dict[str, Any]) -> Iterable[tuple[str, str]]:
    manual = switch["driver"] == "manual"
    yield "power", switch["driver"] if manual else f"{switch['driver']}: {switch['state']}"
    health = f"health {switch['health']}" if switch["health"] else ""
    log = f"log: {log_summary(switch['log'])}" if switch["log"] else ""
    yield "BMC", "; ".join(filter(None, (switch["error"], health, log)))


def _row_facts(found: dict[str, Any] | None) -> Iterable[tuple[str, str]]:
    if found is None:
        return
    row = found["row"]
    unit = f" U{row['position']}" if row["position"] is not None else ""
    yield "rack", f"{row['rack']}{unit}" if row["rack"] else ""
    wrong = "; ".join(found["mismatches"])
    yield "manifest", f"{row['key']}: {found['status']}{': ' if wrong else ''}{wrong}"


def _print_run(console: Console, run: dict[str, Any]) -> None:
    console.print()
    console.print(f"run {run['id']}: {run['mode']}", state(run["state"]), clean(run["reason"]))
    table = tables.table("result", "script", "state", "seconds", "output", "why")
    for result in run["results"]:
        seconds = result["runtime_s"]
        table.add_row(
            str(result["id"]),
            clean(" ".join(filter(None, (result["name"], result["device"])))),
            state(result["state"]),
            f"{seconds:.1f}" if seconds is not None else "",
            size(result["output_bytes"]),
            clean(_why(result)),
        )
    tables.put(table)


def _why(result: dict[str, Any]) -> str:
    """The reason, what was measured, and why it does not count."""
    values = ", ".join(f"{name} {value}" for name, value in result["values"].items())
    suppressed = f"suppressed: {result['suppressed']}" if result["suppressed"] else ""
    return "; ".join(filter(None, (result["reason"], values, suppressed)))


def print_boot(console: Console, boot: dict[str, Any]) -> None:
    """A boot with its timeline."""
    console.print()
    head = f"boot {boot['id']} of {boot['mac'] or 'unknown MAC'} at {boot['started_at'][:19]} UTC"
    console.print(clean(f"{head}: {boot['purpose'] or 'no answer yet'}"))
    for mark in boot["timeline"]:
        console.print(
            Text(f"  {mark['after_s']:8.2f} s  {mark['phase']:<9}"),
            state(mark["status"]),
            Text(" "),
            clean(mark["detail"]),
            sep="",
            soft_wrap=True,
        )
    if boot["failure"]:
        console.print(Text("  stuck: ", style="red"), clean(boot["failure"]), sep="")
