# SPDX-License-Identifier: Apache-2.0
"""Sums up every BMC's event log once an hour: how many lines, how full, the newest critical one.

Kept as the finding `bmc-log`; a critical line that was not there the last time is an event. A BMC
whose power state cannot be seen is not asked.
"""

import asyncio
from dataclasses import asdict, dataclass
from datetime import timedelta

from muster.lifecycle import contact
from muster.lifecycle.keyring import KeyringError
from muster.lifecycle.power import Switchboard
from muster.power import drivers
from muster.power.drivers import LogSummary, PowerError
from muster.store import events, findings, machines, power_states
from muster.store.engine import Missing
from muster.store.machines import Machine

FINDING = "bmc-log"
EVERY = timedelta(hours=1)
_AT_ONCE = 40
_LONGEST_S = 60.0
# No script's result: a BMC was asked.
_NO_RESULT = 0


@dataclass(frozen=True)
class BmcLog:
    """`entries` is -1 and `error` says why when the log was never read."""

    entries: int = -1
    full_percent: int | None = None
    newest_critical: dict[str, str] | None = None
    error: str = ""


async def look(board: Switchboard) -> int:
    """Read every log that is due; returns how many there were."""
    due = await asyncio.to_thread(_claim, board)
    await asyncio.gather(*(_look(board, machine) for machine in due))
    return len(due)


def _claim(board: Switchboard) -> list[Machine]:
    """What is claimed is due again after EVERY, also when this process dies now."""
    now = board.clock()
    able = [name for name in drivers.NAMES if hasattr(drivers.load(name), "sum_log")]
    with board.store.write() as tx:
        board.store.one_at_a_time(tx)
        due = power_states.without_finding(
            tx, FINDING, drivers=able, since=now - EVERY, limit=_AT_ONCE
        )
        for machine in due:
            body = findings.body(tx, machine.id, FINDING) or asdict(BmcLog())
            findings.put(tx, machine.id, FINDING, body, result=_NO_RESULT, now=now)
    return due


async def _look(board: Switchboard, machine: Machine) -> None:
    try:
        async with asyncio.timeout(_LONGEST_S):
            reached = await contact.reach(board.store, board.keyring, machine, board.clock)
            summary = await drivers.summing(reached.driver).sum_log(reached.parameters)
    except TimeoutError:
        await asyncio.to_thread(_keep, board, machine, None, f"not done within {_LONGEST_S:g} s")
    except (KeyringError, PowerError) as error:
        await asyncio.to_thread(_keep, board, machine, None, str(error))
    else:
        await asyncio.to_thread(_keep, board, machine, summary, "")


def _keep(board: Switchboard, machine: Machine, summary: LogSummary | None, error: str) -> None:
    now = board.clock()
    with board.store.write() as tx:
        try:
            machines.lock(tx, machine.id)
            before = BmcLog(**(findings.body(tx, machine.id, FINDING) or {}))
        except Missing:
            return
        if summary is None:
            read = asdict(before) | {"error": error[:500]}
        else:
            read = asdict(summary) | {"error": ""}
        findings.put(tx, machine.id, FINDING, read, result=_NO_RESULT, now=now)
        critical = read["newest_critical"]
        if critical and before.entries >= 0 and critical != before.newest_critical:
            told = f"{machine.name}: its BMC's log says {critical['at']}: {critical['message']}"
            events.add(tx, now, "bmc.critical", told[:2048], machine=machine.id)
