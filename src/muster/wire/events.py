# SPDX-License-Identifier: Apache-2.0
"""The agent's ordered stream of events, and what the server answers to each batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from muster.wire.codec import Limited, limited

CHUNK_LIMIT = 64 * 1024
"""Bytes of script output in one event, before base64."""

RESULT_LIMIT = 1024 * 1024
"""Bytes of $RESULT_PATH, beside the output's own limit."""

BATCH_LIMIT = 4 * 1024 * 1024
"""Bytes of one batch's JSON; the server refuses more with 413."""

Kind = Literal["started", "output", "finished", "heartbeat", "end"]
Stream = Literal["stdout", "stderr", "result"]
Outcome = Literal["exited", "timed_out", "aborted", "lost"]


@dataclass(frozen=True)
class Event(Limited):
    """One thing that happened. `seq` counts from 1 in a boot without gaps; `uptime_s` is the

    machine's monotonic clock (its wall clock may be years off); `data` is base64.
    """

    seq: int
    kind: Kind
    uptime_s: float = 0.0
    result: int = 0
    stream: Stream = "stdout"
    data: str = limited(most=CHUNK_LIMIT * 4 // 3 + 8, default="")
    outcome: Outcome = "exited"
    exit_status: int = 0
    runtime_s: float = 0.0
    reason: str = limited(most=1024, default="")

    def __post_init__(self) -> None:
        """A wait status fits 32 bits; so does the column that keeps it."""
        super().__post_init__()
        if not -(2**31) <= self.exit_status < 2**31:
            raise ValueError(f"exit_status: {self.exit_status} does not fit 32 bits")


@dataclass(frozen=True)
class Batch(Limited):
    """Up to 1,000 events in order of `seq`."""

    events: list[Event] = limited(most=1000)


@dataclass(frozen=True)
class Ack(Limited):
    """`seq`: the highest event stored, all before it included. Orders: abort ends every script."""

    seq: int
    order: Literal["go", "abort"] = "go"
    reason: str = ""
    flush_s: float = 0.5


@dataclass(frozen=True)
class PhaseReport(Limited):
    """What the initrd says before there is an agent (POST to the URL in `muster.report`)."""

    phase: Literal["kernel", "network", "firmware", "swift", "root", "metadata", "agent", "drivers"]
    status: Literal["started", "done", "failed"]
    detail: str = limited(most=2048, default="")
    uptime_s: float = 0.0
