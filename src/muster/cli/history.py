# SPDX-License-Identifier: Apache-2.0
"""What changed in a machine, and where a component has been."""

from typing import Annotated, Literal

from cyclopts import Parameter

from muster.cli import tables
from muster.cli.client import ApiError, Client, fail, machine_path
from muster.cli.forms import json_text
from muster.cli.words import clean, plain

Output = Annotated[Literal["text", "json"], Parameter(alias="-o")]


def diff(machine: str, old: int = 0, new: int = 0, /, *, output: Output = "text") -> int:
    """What changed between two versions of a machine's hardware; exit status 1 when anything did.

    Parameters
    ----------
    machine
        Name or id
    old
        Version; by default the one before NEW
    new
        Version; by default the newest
    output
        text, or json for programs
    """
    try:
        found = Client().get(machine_path(machine, "/diff"), old=old or "", new=new or "")
    except ApiError as error:
        fail(str(error))
    if output == "json":
        print(json_text(found))
        return int(bool(found["changes"]))
    versions = [f"version {v['version']} ({v['taken_at'][:19]} UTC)" for v in
                (found["old"], found["new"])]  # fmt: skip
    told = "what changed" if found["changes"] else "nothing changed"
    print(plain(f"{found['machine']}: {told} from {versions[0]} to {versions[1]}"))
    for change in found["changes"]:
        print(f"  {plain(change['sentence'])}")
    if found["more"]:
        print(f"  and {found['more']} more changes")
    if found["unread"]:
        print(f"  not compared, because it could not be read: {', '.join(found['unread'])}")
    return int(bool(found["changes"]))


def component(serial: str, /, *, output: Output = "text") -> None:
    """Where a DIMM, disk, NIC or GPU has been.

    Parameters
    ----------
    serial
        Its serial number; of a NIC the MAC
    output
        text, or json for programs
    """
    try:
        found = Client().get("/components", serial=serial)
    except ApiError as error:
        fail(str(error))
    if output == "json":
        print(json_text(found))
        return
    if not found:
        fail(f"no machine has shown a component with the serial number {serial!r}")
    table = tables.table("what", "machine", "place", "from", "last seen", "gone", "model")
    for stay in found:
        times = [(stay[at] or "")[:16] for at in ("first_at", "last_at", "gone_at")]
        words = [stay["kind"], stay["machine_name"], stay["place"], *times, stay["model"]]
        table.add_row(*map(clean, words))
    tables.put(table)
