# SPDX-License-Identifier: Apache-2.0
"""Reads the outputs that we know into the machine's record.

The raw bytes are already stored. An output that cannot be read makes its result failed, with the
reason; it never makes a request fail or loses a report.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from muster.lifecycle import bmc, outside
from muster.lifecycle.readings import READERS, Unreadable
from muster.machine import facts as facts_of
from muster.machine.evidence import of_document
from muster.machine.parts import known_kinds, parts
from muster.machine.tagging import automatic
from muster.store import findings, hardware, machines, runs, stays, versions
from muster.store.engine import Tx
from muster.store.runs import Result, Run
from muster.wire.resources import BadDocument, Document, Summary, read_document, summary

RESOURCES = "50-maas-01-commissioning"
LSHW = "00-maas-01-lshw"
VIRTUALITY = "00-maas-02-virtuality"
AUTOMATIC = "automatic"
EVIDENCE = "evidence"
"""Beside the facts that conditions ask for: the tags that the hardware gives itself, and what
identifies the machine."""


Said = Callable[[str], bytes]
"""All that a script wrote to a stream: stdout, stderr or result."""


def read(tx: Tx, run: Run, result: Result, said: Said, now: datetime) -> str:
    """Read a passed script's output; returns why it could not be read, or ""."""
    if result.name == RESOURCES:
        return _resources(tx, run, result, said("stdout"), now)
    if result.name not in READERS:
        return ""
    name, reader = READERS[result.name]
    try:
        told = reader(said("stdout"))
    except Unreadable as error:
        return f"its output cannot be read: {error}"
    before = findings.body(tx, run.machine_id, name) if name == "bmc" else None
    findings.put(tx, run.machine_id, name, told, result=result.id, now=now)
    if name == "bmc":
        bmc.claimed(tx, run, told, before, now)
    return ""


def _resources(tx: Tx, run: Run, result: Result, raw: bytes, now: datetime) -> str:
    try:
        document = read_document(raw)
        told, facts = _read(document)
    except BadDocument as error:
        return str(error)
    runs.add_document(
        tx,
        machine_id=run.machine_id,
        result_id=result.id,
        taken_at=now,
        sha256=hashlib.sha256(raw).hexdigest(),
        body=raw,
    )
    _keep(tx, run.machine_id, told, facts, now)
    outside.surveyed(tx, run.machine_id, document, now)
    name = machines.find(tx, run.machine_id).name
    stays.record(tx, run.machine_id, name, parts(document), known_kinds(document), now)
    return ""


def again(tx: Tx, machine: str, now: datetime) -> None:
    """The record from its newest document, after documents came or went."""
    newest = versions.some(tx, machine, limit=1)
    if not newest:
        return
    told, facts = _read(read_document(versions.body(tx, newest[0])))
    _keep(tx, machine, told, facts, now)


def _read(document: Document) -> tuple[Summary, dict[str, Any]]:
    facts = facts_of.read(document)
    facts[AUTOMATIC] = automatic(document)
    facts[EVIDENCE] = {kind: sorted(values) for kind, values in of_document(document).items()}
    return summary(document), facts


def _keep(tx: Tx, machine: str, told: Summary, facts: dict[str, Any], now: datetime) -> None:
    machines.update(tx, machine, summary=asdict(told), updated_at=now)
    hardware.keep(tx, machine, facts)
