# SPDX-License-Identifier: Apache-2.0
"""The list of machines."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from muster.cli.client import ApiError, Client, fail
from muster.cli.forms import csv_text, json_text, yaml_text
from muster.cli.words import clean, size, state

COLUMNS = ("name", "state", "hardware", "CPUs", "memory", "disks", "MAC", "tags", "why")
_PLAIN = (
    "name", "state", "state_reason", "vendor", "product", "serial", "uuid", "architecture",
    "cpu_count", "memory_bytes", "disk_bytes", "macs", "pool", "tags", "because",
)  # fmt: skip


def machines(
    condition: str = "",
    /,
    *,
    in_state: str = "",
    output: Annotated[Literal["table", "json", "yaml", "csv"], Parameter(alias="-o")] = "table",
) -> None:
    """List machines: muster machines 'memory >= 512GiB and nic.vendor has "Mellanox"'.

    Parameters
    ----------
    condition
        Only machines for which this holds; docs/filter.md has the language and every column
    in_state
        Only machines in this state, as "New"
    output
        table, or json, yaml, csv for programs
    """
    try:
        found, because = _every(Client(), state=in_state, filter=condition)
    except ApiError as error:
        fail(str(error))
    if output == "table":
        _print_table(found, because, filtered=bool(condition or in_state))
    elif output == "csv":
        print(csv_text(_PLAIN, [_plain_row(machine, because) for machine in found]), end="")
    else:
        print(json_text(found) if output == "json" else yaml_text(found))


def _every(client: Client, **query: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Every page, and why each machine is listed."""
    items: list[dict[str, Any]] = []
    because: dict[str, str] = {}
    while True:
        page = client.get("/machines", **query)
        items += page["items"]
        because |= page["because"]
        if not page["next"]:
            return items, because
        query["after"] = page["next"]


def _print_table(found: list[dict[str, Any]], because: dict[str, str], *, filtered: bool) -> None:
    if not found:
        hint = "connect one to the network and switch it on (network boot first)"
        print("no machine is so" if filtered else f"no machines yet: {hint}")
        return
    table = Table(*COLUMNS, *(["is listed because"] if because else []))
    for machine in found:
        told = [clean(because[machine["id"]])] if because else []
        table.add_row(*row(machine), *told)
    Console().print(table)


def row(machine: dict[str, Any]) -> list[Any]:
    """A machine as cells of the list."""
    summary = machine["summary"]
    disks = summary.get("disks", [])
    return [
        machine["name"],
        state(machine["state"]),
        clean(" ".join(filter(None, (machine["vendor"], machine["product"])))),
        str(summary.get("cpu_count") or ""),
        size(summary["memory_bytes"]) if summary.get("memory_bytes") else "",
        size(sum(disk["size_bytes"] for disk in disks)) if disks else "",
        ", ".join(machine["macs"][:2]) + (" ..." if len(machine["macs"]) > 2 else ""),
        clean(", ".join(machine["tags"])),
        clean(machine["state_reason"]),
    ]


def _plain_row(machine: dict[str, Any], because: dict[str, str]) -> list[Any]:
    """A machine as cells for programs: whole numbers of bytes, MACs apart by spaces."""
    summary = machine["summary"]
    whole = machine | {
        "cpu_count": summary.get("cpu_count", ""),
        "memory_bytes": summary.get("memory_bytes", ""),
        "disk_bytes": sum(disk["size_bytes"] for disk in summary.get("disks", [])) or "",
        "macs": " ".join(machine["macs"]),
        "tags": " ".join(machine["tags"]),
        "because": because.get(machine["id"], ""),
    }
    return [whole[name] for name in _PLAIN]
