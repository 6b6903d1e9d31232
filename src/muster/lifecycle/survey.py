# SPDX-License-Identifier: Apache-2.0
"""Reads the outputs that we know into the machine's record.

The raw bytes are already stored. An output that cannot be read makes its result failed, with the
reason; it never makes a request fail or loses a report.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from muster.lifecycle import bmc, outside
from muster.lifecycle.readings import READERS, Unreadable
from muster.machine import facts as facts_of
from muster.machine.evidence import of_document
from muster.machine.parts import known_kinds, parts
from muster.machine.tagging import automatic
from muster.store import events, findings, hardware, machines, runs, stays, versions
from muster.store.engine import Tx, Unkept, apart
from muster.store.runs import Result, Run
from muster.wire.resources import BadDocument, Document, line, read_sections, summary

RESOURCES = "50-maas-01-commissioning"
LSHW = "00-maas-01-lshw"
VIRTUALITY = "00-maas-02-virtuality"
AUTOMATIC = "automatic"
EVIDENCE = "evidence"
"""Beside the facts that conditions ask for: the tags that the hardware gives itself, and what
identifies the machine."""
UNREAD = "unread-sections"
"""The finding that names them."""
_WHY = 512
_MOST = 64
"""Probes that are told of; we have 26."""


Said = Callable[[str], bytes]
"""All that a script wrote to a stream: stdout, stderr or result."""


@dataclass(frozen=True)
class Unread:
    """Why an output could not be read; `partly`: what else it says is on the record."""

    why: str
    partly: bool = False


def read(tx: Tx, run: Run, result: Result, said: Said, now: datetime) -> Unread | None:
    """Read a passed script's output; returns what could not be read, if anything."""
    if result.name == RESOURCES:
        return _resources(tx, run, result, said("stdout"), now)
    if result.name not in READERS:
        return None
    name, reader = READERS[result.name]
    try:
        told = reader(said("stdout"))
    except Unreadable as error:
        return Unread(f"its output cannot be read: {error}")
    before = findings.body(tx, run.machine_id, name) if name == "bmc" else None
    findings.put(tx, run.machine_id, name, told, result=result.id, now=now)
    if name == "bmc":
        bmc.claimed(tx, run, told, before, now)
    return None


def _resources(tx: Tx, run: Run, result: Result, raw: bytes, now: datetime) -> Unread | None:
    try:
        document = read_sections(raw)
    except BadDocument as error:
        return Unread(str(error))
    runs.add_document(
        tx,
        machine_id=run.machine_id,
        result_id=result.id,
        taken_at=now,
        sha256=hashlib.sha256(raw).hexdigest(),
        body=raw,
    )
    name = machines.find(tx, run.machine_id).name
    unread = _sections(tx, run.machine_id, name, document, now)
    _tell(tx, run.machine_id, name, document, unread, now)
    if not unread:
        return None
    told = "; ".join(f"{section} ({why})" for section, why in unread.items())
    return Unread(f"sections of its inventory cannot be read, the others were: {told}", partly=True)


def _sections(tx: Tx, machine: str, name: str, document: Document, now: datetime) -> dict[str, str]:
    """Each part of the record behind a savepoint of its own; returns what is not there, and why."""
    unread = dict(document.unread)
    keeping: dict[str, Callable[[], object]] = {
        "conditions": lambda: hardware.keep(tx, machine, _facts(document)),
        "comparison with its BMC": lambda: outside.surveyed(tx, machine, document, now),
        "components": lambda: stays.record(
            tx, machine, name, parts(document), known_kinds(document), now
        ),
    }
    for section, keep in keeping.items():
        try:
            with apart(tx):
                keep()
        except Unkept as error:
            unread[section] = str(error)[:_WHY]
    _summarise(tx, machine, document, unread, now)
    return unread


def _tell(
    tx: Tx, machine: str, name: str, document: Document, unread: dict[str, str], now: datetime
) -> None:
    """Sections that could not be read here, and probes that failed there, on the machine."""
    probes = document.extra.probes if document.extra else {}
    failed = {
        probe: "; ".join(f"{line(e.path)}: {line(e.reason)}" for e in report.errors[:3])[:_WHY]
        for probe, report in list(probes.items())[:_MOST] if not report.ok
    }  # fmt: skip
    told = [{"section": section, "why": why, "where": "here"} for section, why in unread.items()]
    told += [{"section": probe, "why": why, "where": "there"} for probe, why in failed.items()]
    before = findings.body(tx, machine, UNREAD)
    if told or before:
        findings.put(tx, machine, UNREAD, told, result=0, now=now)
    if told and told != before:
        words = "; ".join(f"{one['section']} ({one['why']})" for one in told)
        message = f"{name}: sections of its inventory are not known: {words}"
        events.add(tx, now, "machine.section_unread", message[:2048], machine=machine)


def again(tx: Tx, machine: str, now: datetime) -> None:
    """The record from its newest document, after documents came or went."""
    newest = versions.some(tx, machine, limit=1)
    if not newest:
        return
    document = read_sections(versions.body(tx, newest[0]))
    hardware.keep(tx, machine, _facts(document))
    _summarise(tx, machine, document, document.unread, now)


def _facts(document: Document) -> dict[str, Any]:
    facts = facts_of.read(document)
    facts[AUTOMATIC] = automatic(document)
    facts[EVIDENCE] = {kind: sorted(values) for kind, values in of_document(document).items()}
    return facts


def _summarise(
    tx: Tx, machine: str, document: Document, unread: dict[str, str], now: datetime
) -> None:
    told = asdict(summary(document)) | ({"unread": sorted(unread)} if unread else {})
    machines.update(tx, machine, summary=told, updated_at=now)
