# SPDX-License-Identifier: Apache-2.0
"""The list of machines."""

import json
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from muster.cli import tables, views
from muster.cli.client import ApiError, Client, credentials_file, fail
from muster.cli.forms import csv_text, json_text, yaml_text
from muster.cli.words import clean, size, state

COLUMNS = ("name", "state", "hardware", "CPUs", "memory", "disks", "MAC", "tags", "why")
_PLAIN = (
    "name", "state", "state_reason", "vendor", "product", "serial", "uuid", "architecture",
    "cpu_count", "memory_bytes", "disk_bytes", "macs", "pool", "rack", "rack_unit", "tags",
    "because",
)  # fmt: skip
FIELDS = (*_PLAIN, "id", "firmware", "permitted", "denied_reason", "surveyed_at", "power_driver",
          "created_at", "updated_at")  # fmt: skip
"""What --columns can name."""


def machines(
    condition: str = "",
    /,
    *,
    in_state: str = "",
    search: str = "",
    sort: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    view: str = "",
    columns: str = "",
    save_columns: bool = False,
    fields: str = "",
    output: Annotated[Literal["table", "json", "yaml", "csv"], Parameter(alias="-o")] = "table",
) -> None:
    """List machines: muster machines 'memory >= 512GiB and nic.vendor has "Mellanox"'.

    Parameters
    ----------
    condition
        Only machines for which this holds; docs/filter.md has the language and every column
    in_state
        Only machines in this state, as "New"
    search
        Only machines with these words: models, serial numbers (or their end), MACs ...
    sort
        name, state, product, serial, rack, pool, cores, memory, ...; -memory: the last first
    view
        As this saved view says; what is given beside it comes first
    columns
        What to show instead, as name,serial,macs; a machine's fields as JSON has them
    save_columns
        Show these columns from now on; with --columns "" the usual ones again
    fields
        Ask for these only, as name,hardware.memory: docs/api.md says what there is
    output
        table, or json, yaml, csv for programs
    """
    chosen = _chosen(columns, save=save_columns)
    given = {"state": in_state, "filter": condition, "search": search, "sort": sort}
    client = Client()
    try:
        asked = views.asked(client, view) | {k: v for k, v in given.items() if v}
        found, because = _every(client, **asked, fields=fields)
    except ApiError as error:
        fail(str(error))
    if fields:
        _print_fields(fields, found, output)
    elif output == "table":
        _print_table(chosen, found, because, filtered=bool(asked.keys() - {"sort"}))
    else:
        _print_whole(chosen or _PLAIN, found, because, output)


def _print_whole(
    head: tuple[str, ...], found: list[dict[str, Any]], because: dict[str, str], output: str
) -> None:
    if output == "csv":
        print(csv_text(head, [_plain_row(head, machine, because) for machine in found]), end="")
    else:
        print(json_text(found) if output == "json" else yaml_text(found))


def _print_fields(fields: str, found: list[dict[str, Any]], output: str) -> None:
    """As the server has them; in a table and in CSV the values of a list apart by spaces."""
    if output in ("json", "yaml"):
        print(json_text(found) if output == "json" else yaml_text(found))
        return
    head = list(found[0]) if found else [word.strip() for word in fields.split(",")]
    rows = [[_flat(machine[name]) for name in head] for machine in found]
    if output == "csv":
        print(csv_text(head, rows), end="")
        return
    table = tables.table(*head)
    for row in rows:
        table.add_row(*map(clean, row))
    if found:
        tables.put(table)
    else:
        print("no machine is so")


def _flat(value: Any) -> Any:
    if isinstance(value, list):
        return " ".join(str(_flat(one)) for one in value)
    return "" if value is None else json.dumps(value) if isinstance(value, dict) else value


def _chosen(columns: str, *, save: bool) -> tuple[str, ...]:
    """The columns that were asked for, now or with --save-columns; () are the usual ones."""
    file = credentials_file().with_name("columns.json")
    chosen = tuple(filter(None, (word.strip() for word in columns.split(","))))
    if strange := [name for name in chosen if name not in FIELDS]:
        fail(f"--columns: there is no {strange[0]!r}; there are {', '.join(FIELDS)}")
    if save:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(json_text(chosen))
    if chosen or save:
        return chosen
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        return ()
    return tuple(name for name in kept if name in FIELDS) if isinstance(kept, list) else ()


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


def _print_table(
    chosen: tuple[str, ...],
    found: list[dict[str, Any]],
    because: dict[str, str],
    *,
    filtered: bool,
) -> None:
    if chosen:
        _print_chosen(chosen, found, because)
        return
    if not found:
        hint = "connect one to the network and switch it on (network boot first)"
        print("no machine is so" if filtered else f"no machines yet: {hint}")
        return
    table = tables.table(*COLUMNS, *(["is listed because"] if because else []))
    for machine in found:
        told = [clean(because[machine["id"]])] if because else []
        table.add_row(*row(machine), *told)
    tables.put(table)


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
        _first(machine["macs"]),
        clean(", ".join(machine["tags"])),
        clean(machine["state_reason"]),
    ]


def _first(macs: list[str]) -> str:
    more = f" +{len(macs) - 1}" if len(macs) > 1 else ""
    return macs[0] + more if macs else ""


def _print_chosen(
    chosen: tuple[str, ...], found: list[dict[str, Any]], because: dict[str, str]
) -> None:
    table = tables.table(*chosen)
    for machine in found:
        table.add_row(*(clean(cell) for cell in _plain_row(chosen, machine, because)))
    tables.put(table)


def _plain_row(
    columns: tuple[str, ...], machine: dict[str, Any], because: dict[str, str]
) -> list[Any]:
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
    return ["" if whole.get(name) is None else whole[name] for name in columns]
