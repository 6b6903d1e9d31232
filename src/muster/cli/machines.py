# SPDX-License-Identifier: Apache-2.0
"""The list of machines."""

import json
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from muster.cli.client import ApiError, Client, fail
from muster.cli.words import clean, size, state


def machines(*, in_state: str = "", output: Literal["table", "json"] = "table") -> None:
    """List machines.

    Parameters
    ----------
    in_state
        Only machines in this state, as "New"
    output
        table, or json for programs
    """
    try:
        found = Client().every("/machines", state=in_state)
    except ApiError as error:
        fail(str(error))
    if output == "json":
        print(json.dumps(found, indent=2))
        return
    if not found:
        print("no machines yet: connect one to the network and switch it on (network boot first)")
        return
    table = Table("name", "state", "hardware", "CPUs", "memory", "disks", "MAC", "why")
    for machine in found:
        table.add_row(*row(machine))
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
        clean(machine["state_reason"]),
    ]
