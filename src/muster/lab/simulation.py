# SPDX-License-Identifier: Apache-2.0
"""`muster simulate`: fill a server with machines that do not exist, to try and to measure it."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, validators
from rich.console import Console
from rich.progress import Progress

from muster.lab.errors import LabError
from muster.lab.simulate import Outcome, Wave, run

_SHOWN = 10

Number = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=1_000_000))]


def simulate(
    server: str,
    /,
    *,
    machines: Number = 100,
    first: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    at_once: Number = 32,
) -> int:
    """Let machines that do not exist enlist themselves; the last line is JSON.

    They stay on record there: use a server to try things with. It needs an image and the policy
    that unknown machines may send their data.

    Parameters
    ----------
    server
        Its address, as http://127.0.0.1:8472
    machines
        How many
    first
        The number of the first; the same number is the same machine
    at_once
        How many at a time
    """
    outcome = Outcome()
    began = time.monotonic()
    try:
        asyncio.run(_shown(Wave(server, machines, first, at_once), outcome))
    except LabError as error:
        Console(stderr=True).print(f"muster simulate: {error}", style="red", markup=False)
        return 1
    for failure in outcome.failures[:_SHOWN]:
        print(f"muster simulate: {failure}", file=sys.stderr)
    print(json.dumps(told(outcome, time.monotonic() - began)))
    return 1 if outcome.failures else 0


def told(outcome: Outcome, seconds: float) -> dict[str, float]:
    """Figures of a wave that took so long; times of requests in ms."""
    return {
        "machines": outcome.done,
        "failed": len(outcome.failures),
        "per_min": round(outcome.done * 60 / seconds),
        "requests": len(outcome.seconds),
        "repeated": outcome.repeated,
        "p50_ms": round(quantile(outcome.seconds, 0.5) * 1000, 1),
        "p99_ms": round(quantile(outcome.seconds, 0.99) * 1000, 1),
    }


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


async def _shown(wave: Wave, outcome: Outcome) -> None:
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("machines", total=wave.count)
        work = asyncio.create_task(run(wave, outcome))
        while not work.done():
            await asyncio.wait([work], timeout=0.5)
            progress.update(task, completed=outcome.done + len(outcome.failures))
        await work
