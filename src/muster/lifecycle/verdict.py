# SPDX-License-Identifier: Apache-2.0
"""What one script came to: its exit status, its result file, its numbers and its output together.

Failed in any of them is failed.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from muster.lifecycle import survey
from muster.lifecycle.survey import Said
from muster.scripts import outcome
from muster.scripts.outcome import BadResult, ResultFile
from muster.store.engine import Tx
from muster.store.runs import Result, Run
from muster.wire.events import Event

REASON_LIMIT = 2048
_ENDED_BADLY = ("timed_out", "aborted", "lost")


@dataclass(frozen=True)
class Verdict:
    """A result's state, why, what the script measured, and the tags it names (None: silent)."""

    state: str
    reason: str
    values: dict[str, Any] = field(default_factory=dict)
    tags: list[str] | None = None


def judge(
    tx: Tx, run: Run, result: Result, event: Event, said: Said, now: datetime
) -> Verdict:  # fmt: skip
    """Never raises for what a script wrote: what cannot be read is a failed result."""
    if event.outcome in _ENDED_BADLY:
        return Verdict(event.outcome, event.reason)
    try:
        written = outcome.read(said("result"))
    except BadResult as error:
        return _worse(event, "failed", f"its result file cannot be used: {error}")
    verdict = replace(_of_file(result, event, written), tags=written.tags)
    if verdict.state not in ("passed", "degraded"):
        return verdict
    unread = survey.read(tx, run, result, said, now)
    if unread is None:
        return verdict
    return replace(verdict, state="degraded" if unread.partly else "failed", reason=unread.why)


def _of_file(result: Result, event: Event, written: ResultFile) -> Verdict:
    values: dict[str, Any] = dict(written.values)
    if written.link_connected is not None:
        values["link_connected"] = written.link_connected
    if event.exit_status:
        return replace(_worse(event, "failed", ""), values=values)
    if written.state in ("failed", "timed_out"):
        told = f"its result file says {written.state.replace('_', ' ')}"
        return replace(_worse(event, written.state, told), values=values)
    if why := outcome.beyond(written.values, result.spec.get("thresholds", {})):
        return replace(_worse(event, "failed", why), values=values)
    return Verdict(written.state or "passed", event.reason, values)


def _worse(event: Event, state: str, why: str) -> Verdict:
    """The exit status comes first: whatever else is wrong may follow from it."""
    reason = "; ".join(part for part in (event.reason, why) if part)
    return Verdict(state, reason or f"exit status {event.exit_status}")
