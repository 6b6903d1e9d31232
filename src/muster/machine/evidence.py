# SPDX-License-Identifier: Apache-2.0
"""Evidence with weights: what two records have in common, what tells them apart, in sentences.

Weights are for people who decide, not for merging by themselves: 100 is as good as certain.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from muster.machine.facts import line
from muster.machine.identity import usable_mac, usable_serial, usable_uuid
from muster.wire.resources import Document

Evidence = Mapping[str, frozenset[str]]
"""Values in normal form by kind; a kind that is not stated is left out."""

WEIGHTS = {"tpm": 100, "uuid": 80, "mac": 60, "bmc": 60, "bmc_guid": 60, "board": 50, "serial": 40}
STRONG = tuple(WEIGHTS)
"""No two records share a value of these unnoticed."""

CALLED = {
    "tpm": "TPM key",
    "uuid": "hardware UUID",
    "mac": "MAC",
    "bmc": "BMC's MAC",
    "bmc_guid": "BMC's GUID",
    "board": "board serial number",
    "serial": "serial number",
}
_FULL = {"disk": 30, "DIMM": 30}
"""For every disk or DIMM of the smaller machine."""


@dataclass(frozen=True)
class Point:
    """`weight` is above 0 for what agrees and below 0 for what differs."""

    kind: str
    weight: int
    sentence: str


def told(
    uuid: str = "", serial: str = "", vendor: str = "", product: str = "", board: str = ""
) -> dict[str, frozenset[str]]:
    """What SMBIOS tells of a machine; a serial number counts with vendor and product."""
    found = {"uuid": usable_uuid(uuid)[0]}
    if usable_serial(serial) and usable_serial(vendor):
        found["serial"] = _key(vendor, product, serial)
    if usable_serial(board) and usable_serial(vendor):
        found["board"] = _key(vendor, board)
    return {kind: frozenset({value}) for kind, value in found.items() if value}


def of_document(document: Document) -> dict[str, frozenset[str]]:
    """What an inventory tells beside that; MACs of NICs on USB are left out."""
    found, extra = document.resources, document.extra
    system, board = found.system, found.system.motherboard
    kinds = told(
        system.uuid, system.serial, system.vendor, system.product, board.serial if board else ""
    )
    ports = (port for card in found.network.cards if not card.usb_address for port in card.ports)
    kinds["mac"] = frozenset(filter(None, (usable_mac(port.address) for port in ports)))
    if extra is not None:
        kinds["tpm"] = frozenset(filter(None, [line(extra.tpm.ek_sha256).lower()]))
        kinds["bmc"] = frozenset(filter(None, (usable_mac(lan.mac) for lan in extra.bmc.lan)))
        kinds["bmc_guid"] = frozenset(filter(None, [usable_uuid(extra.bmc.guid)[0]]))
    return {kind: values for kind, values in kinds.items() if values}


def points(one: Evidence, other: Evidence) -> list[Point]:
    """What speaks for and against their being the same machine, heaviest first."""
    found = []
    for kind, weight in WEIGHTS.items():
        mine, theirs = one.get(kind, frozenset()), other.get(kind, frozenset())
        if both := mine & theirs:
            sentence = f"{CALLED[kind]} {_shown(kind, both)} is on both"
            found.append(Point(kind, weight, sentence))
        elif mine and theirs:
            sentence = f"{CALLED[kind]} differs: {_shown(kind, mine)}, {_shown(kind, theirs)}"
            found.append(Point(kind, -weight, sentence))
    for kind, weight in _FULL.items():
        mine, theirs = one.get(kind, frozenset()), other.get(kind, frozenset())
        if both := mine & theirs:
            fewer = min(len(mine), len(theirs))
            sentence = f"{len(both)} of {fewer} {kind}s have been in both"
            found.append(Point(kind, max(1, weight * len(both) // fewer), sentence))
    return sorted(found, key=lambda point: (-abs(point.weight), point.kind))


def noticed(kind: str, value: str, names: Iterable[str]) -> str:
    """The sentence for a strong evidence that is on several records."""
    who = " and ".join(names)
    remedy = {
        "serial": "a changed board, or several nodes in one chassis?",
        "board": "a moved board, or a serial number that the vendor gave twice?",
        "tpm": "a moved TPM, or a cloned virtual machine?",
    }.get(kind, "a moved part, or one that the vendor gave twice?")
    return f"{CALLED[kind]} {_shown(kind, [value])} is on {who}: {remedy}"


def _shown(kind: str, values: Iterable[str]) -> str:
    told = sorted(values)
    texts = [value[:16] + "…" if kind == "tpm" else value.replace("\x1f", " ") for value in told]
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def _key(*texts: str) -> str:
    """Apart by a character that no text of a machine has, so that no two keys meet by chance."""
    return "\x1f".join(line(text).casefold() for text in texts)
