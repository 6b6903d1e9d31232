# SPDX-License-Identifier: Apache-2.0
"""A machine's two views: its own resources document, and what its BMC says out of band.

The BMC's is kept as the finding `out-of-band`, its differences from the machine's own as
`out-of-band-differences`, made anew whenever one of the two is read.
"""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from muster.machine import facts as facts_of
from muster.machine.views import disagreements
from muster.store import events, findings, hardware, machines, versions
from muster.store.engine import Tx
from muster.wire.resources import BadDocument, Document, read_document, read_sections, summary

VIEW = "out-of-band"
DIFFERENCES = "out-of-band-differences"
# No script's result: a BMC was asked.
_NO_RESULT = 0


def keep(tx: Tx, machine: str, document: dict[str, Any], now: datetime) -> None:
    """Keep what a BMC said; a machine that was never surveyed is listed and found by it.

    Raises BadDocument.
    """
    outside = read_document(json.dumps(document).encode())
    told, facts = summary(outside), facts_of.read(outside)
    findings.put(tx, machine, VIEW, document, result=_NO_RESULT, now=now)
    newest = versions.some(tx, machine, limit=1)
    if not newest:
        if not outside.resources.memory.total and not outside.resources.cpu.total:
            # Who it is (IPMI) and not what it has: a list would show 0 GiB.
            return
        values = {"source": VIEW, **asdict(told)}
        machines.update(tx, machine, summary=values, updated_at=now)
        hardware.keep(tx, machine, facts)
        return
    try:
        inside = read_sections(versions.body(tx, newest[0]))
    except BadDocument:
        return
    _compare(tx, machine, inside, outside, now)


def surveyed(tx: Tx, machine: str, inside: Document, now: datetime) -> None:
    """The machine has sent its own document: compare it with the BMC's where there is one."""
    kept = findings.body(tx, machine, VIEW)
    if kept is None:
        return
    try:
        outside = read_document(json.dumps(kept).encode())
    except BadDocument:
        # It was readable when it was kept, so a later version of muster reads otherwise.
        return
    _compare(tx, machine, inside, outside, now)


def _compare(tx: Tx, machine: str, inside: Document, outside: Document, now: datetime) -> None:
    found = [asdict(one) for one in disagreements(inside, outside)]
    before = findings.body(tx, machine, DIFFERENCES)
    findings.put(tx, machine, DIFFERENCES, found, result=_NO_RESULT, now=now)
    if found and found != before:
        name = machines.find(tx, machine).name
        words = "; ".join(f"{d['what']}: {d['inside']}, its BMC says {d['outside']}" for d in found)
        told = f"{name} and its BMC disagree: {words}"[:2048]
        events.add(tx, now, "machine.views_differ", told, machine=machine)
