# SPDX-License-Identifier: Apache-2.0
"""Who is who: clashes, with both sides, and what a person decides."""

from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from muster.cli import tables
from muster.cli.client import ApiError, Client, fail, machine_path
from muster.cli.forms import json_text
from muster.cli.words import clean, plain

clash = cyclopts.App(name="clash", help="Say who is who where machines contradict the records.")
Output = Annotated[Literal["text", "json"], Parameter(alias="-o")]
_CALLED = {
    "uuid": "UUID", "mac": "MAC", "serial": "serial", "board": "board", "tpm": "TPM",
    "bmc": "BMC MAC", "bmc_guid": "BMC GUID", "disk": "disks", "DIMM": "DIMMs",
}  # fmt: skip


def clashes(*, decided: bool = False, output: Output = "text") -> None:
    """Machines that claim what another record has; each waits for a person.

    Parameters
    ----------
    decided
        Those that were decided instead, for muster clash undo
    output
        text, or json for programs
    """
    found = _ask("GET", f"/clashes?decided={str(decided).lower()}")
    if output == "json":
        print(json_text(found))
        return
    if not found:
        print("no clash was decided" if decided else "no clash waits for a decision")
        return
    table = tables.table("clash", "since", "what", *(["decided"] if decided else []))
    for one in found:
        told = [clean(f"{one['decision']} by {one['decided_by']}")] if decided else []
        table.add_row(str(one["id"]), one["at"][:16], clean(one["because"]), *told)
    tables.put(table)


@clash.command(name="show")
def show(number: int, /, *, output: Output = "text") -> None:
    """Both sides of a clash, and what speaks for and against their being one machine.

    Parameters
    ----------
    number
        As muster clashes lists it
    output
        text, or json for programs
    """
    found = _ask("GET", f"/clashes/{number}")
    if output == "json":
        print(json_text(found))
        return
    print(plain(f"clash {found['id']}: {found['because']}"))
    if found["decision"]:
        print(plain(f"decided: {found['decision']} by {found['decided_by']}"))
    if found["said"]:
        print("the machine says:")
        _print_evidence(found["said"])
    for side in found["sides"]:
        machine = side["machine"]
        named = f"{machine['name']} ({machine['state']})" if machine else f"{side['id']} (gone)"
        print(plain(f"{named}, weight {side['weight']}:"))
        _print_evidence(side["evidence"])
        for point in side["points"]:
            print(plain(f"    {point['weight']:+4} {point['sentence']}"))


@clash.command(name="decide")
def decide(
    number: int, decision: Literal["same", "merge", "new", "different"], keep: str = "", /
) -> None:
    """Say who is who; muster clash undo takes it back.

    Parameters
    ----------
    number
        As muster clashes lists it
    decision
        same: the machine is KEEP, which takes what is contested (a changed board, a moved NIC);
        merge: and the other records were that machine too; new: a machine of its own;
        different: several machines have what is contested, it identifies nobody any more
    keep
        Name or id of the record, for same and merge
    """
    found = _ask("POST", f"/clashes/{number}/decide", {"decision": decision, "keep": keep})
    print(plain(f"clash {number} is decided: {found['decision']}"))


@clash.command(name="undo")
def undo(number: int, /) -> None:
    """Take a decision back: the records are as before, but for what has come since."""
    found = _ask("POST", f"/clashes/{number}/undo")
    what = "was undone" if found["decision"] else "waits again"
    print(plain(f"clash {number} {what}: {found['because']}"))


@clash.command(name="split")
def split(machine: str, mac: str, /, *more: str, uuid: str = "") -> None:
    """Make two records of one that holds two machines.

    Parameters
    ----------
    machine
        Name or id
    mac
        A MAC of the other machine
    more
        More of them
    uuid
        Its hardware UUID, when the record shows that of the other machine
    """
    body = {"macs": [mac, *more], "uuid": uuid}
    print(plain(f"the other one is {_ask('POST', machine_path(machine, '/split'), body)['name']}"))


@clash.command(name="merge")
def merge(keep: str, other: str, /) -> None:
    """Make one record of two that are one machine; muster clash undo takes it back.

    Parameters
    ----------
    keep
        Name or id of the record that stays
    other
        Name or id of the one whose history becomes its own
    """
    found = _ask("POST", machine_path(keep, "/merge"), {"other": other})
    print(plain(f"{other} is {found['name']} now"))


def _print_evidence(kinds: dict[str, list[str]]) -> None:
    for kind, values in kinds.items():
        more = f" and {len(values) - 4} more" if len(values) > 4 else ""
        print(plain(f"  {_CALLED.get(kind, kind):<9} {', '.join(values[:4])}{more}"))


def _ask(method: str, path: str, body: object = None) -> Any:
    try:
        return Client().send(method, path, body)
    except ApiError as error:
        fail(str(error))
