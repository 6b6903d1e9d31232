# SPDX-License-Identifier: Apache-2.0
"""Reads the outputs that we know into the machine's record.

The raw bytes are already stored. An output that cannot be read makes its result failed, with the
reason; it never makes a request fail or loses a report.
"""

import hashlib
from dataclasses import asdict
from datetime import datetime

from muster.lifecycle import outside
from muster.lifecycle.readings import READERS, Unreadable
from muster.machine import facts as facts_of
from muster.machine.parts import known_kinds, parts
from muster.machine.tagging import automatic
from muster.store import findings, hardware, machines, runs, stays
from muster.store.engine import Tx
from muster.store.runs import Result, Run
from muster.wire.resources import BadDocument, read_document, summary

RESOURCES = "50-maas-01-commissioning"
AUTOMATIC = "automatic"
"""Beside the facts that conditions ask for: the tags that the hardware gives itself."""


def read(tx: Tx, run: Run, result: Result, now: datetime) -> str:
    """Read a passed script's output; returns why it could not be read, or ""."""
    if result.name == RESOURCES:
        return _resources(tx, run, result, now)
    if result.name not in READERS:
        return ""
    name, reader = READERS[result.name]
    raw = runs.output(tx, result.id, stream="stdout")
    try:
        findings.put(tx, run.machine_id, name, reader(raw), result=result.id, now=now)
    except Unreadable as error:
        return f"its output cannot be read: {error}"
    return ""


def _resources(tx: Tx, run: Run, result: Result, now: datetime) -> str:
    raw = runs.output(tx, result.id, stream="stdout")
    try:
        document = read_document(raw)
        told, facts = summary(document), facts_of.read(document)
        facts[AUTOMATIC] = automatic(document)
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
    machines.update(tx, run.machine_id, summary=asdict(told), updated_at=now)
    hardware.keep(tx, run.machine_id, facts)
    outside.surveyed(tx, run.machine_id, document, now)
    name = machines.find(tx, run.machine_id).name
    stays.record(tx, run.machine_id, name, parts(document), known_kinds(document), now)
    return ""
