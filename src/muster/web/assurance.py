# SPDX-License-Identifier: Apache-2.0
"""What says that a machine is who it claims to be and as it should be, a line each, with when."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muster.lifecycle import bmclogs
from muster.lifecycle import profiles as profile_verbs
from muster.store import findings, runs
from muster.store.engine import Tx
from muster.store.machines import Machine
from muster.store.runs import Result
from muster.web.diagram import Drawing
from muster.wire.resources import Document

RUNS = 20
"""So far back tests are looked for."""
FAILED = ("failed", "timed_out", "lost")


@dataclass(frozen=True)
class Line:
    """`state` is good, bad, or "" where nothing is known or nothing is judged."""

    word: str
    state: str
    text: str
    more: tuple[str, ...] = ()
    at: datetime | None = None
    href: str = ""


def lines(
    tx: Tx, machine: Machine, document: Document | None, drawing: Drawing | None
) -> list[Line]:
    """From who it is to what its BMC says; nothing is told as good that was not looked at."""
    latest = runs.some(tx, machine.id, limit=RUNS)
    return [
        identity(machine, document),
        _commissioning(latest),
        _tests([(run, runs.results_of(tx, run.id)) for run in latest]),
        *_profiles(tx, machine, document),
        _hardware(document, drawing),
        bmc_log(findings.body(tx, machine.id, bmclogs.FINDING)),
        _firmware(document),
    ]


def identity(machine: Machine, document: Document | None) -> Line:
    """The highest level that the evidence reaches."""
    if document and document.extra and document.extra.tpm.ek_sha256:
        why = "UUID; a TPM was seen, its key is not yet held against the one of the first boot"
    elif machine.uuid:
        why = "UUID: whoever knows it can claim it"
    else:
        why = "MAC only: these can be set to anything"
    return Line("known by", "", why)


def _commissioning(latest: list[runs.Run]) -> Line:
    run = next((run for run in latest if run.mode == "commission"), None)
    if run is None:
        return Line("commissioning", "", "never commissioned")
    state = {"passed": "good", "failed": "bad"}.get(run.state, "")
    told = f"{run.state}: {run.reason}" if run.reason else run.state
    return Line("commissioning", state, told, at=run.ended_at, href=f"/runs/{run.id}")


def _tests(latest: list[tuple[runs.Run, list[Result]]]) -> Line:
    """The newest result of each test on each device."""
    newest: dict[tuple[str, str], tuple[int, Result]] = {}
    for run, results in latest:
        for one in results:
            if one.script_type == "testing" and one.state not in ("pending", "running", "aborted"):
                newest.setdefault((one.name, one.device), (run.id, one))
    if not newest:
        return Line("tests", "", "none has run")
    ended = [one for _, one in newest.values()]
    failed = [one for one in ended if one.state in FAILED and not one.suppressed]
    counts = {word: sum(one.state == word for one in ended) for word in ("passed", "degraded")}
    told = [f"{counts['passed']} of {len(ended)} passed"]
    told += [f"{counts['degraded']} degraded"] if counts["degraded"] else []
    told += [f"{n} not counted"] if (n := sum(bool(one.suppressed) for one in ended)) else []
    more = tuple(f"{one.name} {one.device} {one.state.replace('_', ' ')}: {one.reason}"
                 for one in failed)  # fmt: skip
    state = "bad" if failed else "good" if counts["passed"] == len(ended) else ""
    at = max((one.ended_at for one in ended if one.ended_at), default=None)
    return Line("tests", state, ", ".join(told), more, at, f"/runs/{max(newest.values())[0]}")


def _profiles(tx: Tx, machine: Machine, document: Document | None) -> list[Line]:
    if document is None:
        return []
    found = profile_verbs.of_every(tx, machine, document)
    return [
        Line(f"profile {name}", "bad" if told else "good",
             f"{len(told)} deviations" if len(told) > 1 else "as expected" if not told else
             "1 deviation", tuple(told[:20]), href=f"/profiles/{name}")
        for name, told in found.items()
    ] or [Line("profiles", "", "no profile is for it")]  # fmt: skip


def _hardware(document: Document | None, drawing: Drawing | None) -> Line:
    if document is None or drawing is None:
        return Line("hardware", "", "not surveyed yet")
    bad = tuple(box.title for box in drawing.boxes if box.kind == "bad")
    if bad:
        told = f"{len(bad)} part{'s' if len(bad) > 1 else ''} in trouble"
        return Line("hardware", "bad", told, bad)
    if document.extra is None:
        return Line("hardware", "", "PCIe links and SMART were not told")
    return Line("hardware", "good", "no degraded PCIe link, no disk that SMART warns of")


def bmc_log(body: dict[str, Any] | None) -> Line:
    """The BMC's own log, summed up once an hour."""
    if not body or (body.get("entries", -1) < 0 and not body.get("error")):
        return Line("BMC's log", "", "not read")
    error = body.get("error", "")
    more = (f"it could not be read the last time: {error}",) if error else ()
    if body.get("entries", -1) < 0:
        return Line("BMC's log", "", "could not be read", (error,))
    full = body.get("full_percent")
    told = f"{body['entries']} lines" + (f", {full} % full" if full is not None else "")
    critical = body.get("newest_critical")
    if critical:
        more = (f"{critical['at']}: {critical['message']}", *more)
        return Line("BMC's log", "bad", f"{told}, with critical ones", more)
    return Line("BMC's log", "good", f"{told}, none critical", more)


def _firmware(document: Document | None) -> Line:
    told = []
    if document and (bios := document.resources.system.firmware):
        told.append(" ".join(filter(None, ("BIOS", bios.vendor, bios.version, bios.date))))
    if document and document.extra and document.extra.bmc.firmware_version:
        told.append(f"BMC {document.extra.bmc.firmware_version}")
    return Line("firmware", "", "; ".join(told) or "not told")
