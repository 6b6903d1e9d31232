# SPDX-License-Identifier: Apache-2.0
"""One run: its scripts as they go, and their output in blocks, so that 10 MB open like 10 lines."""

import io
import statistics
import tarfile
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import Parameter

from muster.store import boots, machines, runs
from muster.store.engine import Store, Tx
from muster.store.runs import Result
from muster.web import ansi, arrivals
from muster.web.page import answer, page
from muster.web.session import AnyRequest, Looking

Number = Annotated[int, Parameter(ge=1, le=2**53)]
BLOCK = 64 * 1024
"""Bytes of output in one block; a page holds only those that are looked at."""

LINE_MOST = 16 * 1024
"""A block ends with a line; of a longer line the rest begins the next block."""

DOWNLOAD_LIMIT = 256 * 1024 * 1024
ENDED = ("passed", "degraded", "skipped", "failed", "timed_out", "aborted", "lost")


@get("/runs/{number:int}", sync_to_thread=True)
def show(
    number: Number, request: AnyRequest, store: Store, now: datetime, looking: Looking
) -> Response[Any]:
    """The scripts with their states; comes again when one of them changes."""
    with store.read() as tx:
        run = runs.find(tx, number)
        results = runs.results_of(tx, number)
        latest = boots.of_run(tx, number)[:3]
        lines = boots.timeline(tx, [boot.id for boot in latest])
        machine = machines.find(tx, run.machine_id)
    part = "run_live.html" if request.headers.get("hx-request") else "run.html"
    return page(
        request, part, looking, run=run, results=results, machine=machine, now=now,
        arrivals=[arrivals.arrival(one, machine.name, lines[one.id]) for one in latest],
        ended=sum(1 for result in results if result.state in ENDED),
    )  # fmt: skip


@get("/results/{number:int}", sync_to_thread=True)
def result(
    number: Number, request: AnyRequest, store: Store, now: datetime, looking: Looking
) -> Response[Any]:
    """One script's result: its first block at once, the rest when it is looked at."""
    with store.read() as tx:
        found = runs.find_result(tx, number)
        run = runs.find(tx, found.run_id)
        machine = machines.find(tx, run.machine_id)
        size = runs.output_size(tx, number)
        first = block_of(tx, number, 0)
        spread = _spread(tx, found, machine.vendor, machine.product)
    return page(
        request, "result.html", looking, result=found, run=run, machine=machine, size=size,
        block=BLOCK, first=first, now=now, spread=spread,
    )  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """What machines of one model measured, lowest first; `off` is this one's per cent from the

    median, None where that is 0.
    """

    values: list[float]
    median: float
    off: float | None


def _spread(tx: Tx, result: Result, vendor: str, product: str) -> dict[str, Spread]:
    """For each number that the script measured: what it was on machines of the same model."""
    names = [name for name, value in result.values.items() if _is_number(value)]
    if not names or not product:
        return {}
    found: dict[str, list[float]] = {name: [] for name in names}
    for values in runs.values_of_model(tx, result.name, vendor, product, limit=500):
        for name in names:
            if _is_number(values.get(name)):
                found[name].append(float(values[name]))
    return {name: _of(values, result.values[name]) for name, values in found.items() if values}


def _of(values: list[float], own: float) -> Spread:
    median = statistics.median(values)
    return Spread(sorted(values), median, (own - median) / abs(median) * 100 if median else None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@get("/results/{number:int}/block", sync_to_thread=True)
def block(
    number: Number,
    request: AnyRequest,
    store: Store,
    looking: Looking,
    index: Annotated[int, Parameter(ge=0, le=2**31)] = 0,
) -> Response[bytes]:
    """Block `index` as HTML; headers say how much output there is and whether more may come."""
    with store.read() as tx:
        state = runs.find_result(tx, number).state
        size = runs.output_size(tx, number)
        body = block_of(tx, number, index)
    headers = {"Muster-Size": str(size), "Muster-State": state}
    return answer(request, body.encode(), headers=headers)


def block_of(tx: Tx, result: int, index: int) -> str:
    """The lines that begin within the block, as HTML."""
    start = index * BLOCK
    # From one byte before, to see whether a line begins at the block's first byte.
    before = min(start, 1)
    raw = runs.output(tx, result, offset=start - before, limit=BLOCK + LINE_MOST + before)
    body = raw[before:]
    begin = 0 if before == 0 or raw[:1] == b"\n" else _line_end(body, 0)
    end = len(body) if len(body) <= BLOCK else _line_end(body, BLOCK - 1)
    return ansi.html(body[begin:end].decode("utf-8", "replace"))


def _line_end(body: bytes, place: int) -> int:
    """Behind the first newline from `place` on; a line that is too long is cut at `place`."""
    found = body.find(b"\n", place, place + LINE_MOST)
    return found + 1 if found >= 0 else min(len(body), place + 1 if place else 0)


@get("/runs/{number:int}/download", sync_to_thread=True)
def download(number: Number, store: Store, looking: Looking) -> Response[bytes]:
    """Every output of the run in one archive."""
    packed = io.BytesIO()
    with store.read() as tx, tarfile.open(fileobj=packed, mode="w:gz", compresslevel=3) as archive:
        run = runs.find(tx, number)
        left = DOWNLOAD_LIMIT
        for result in runs.results_of(tx, number):
            for stream in ("combined", "result"):
                body = runs.output(tx, result.id, stream=stream, limit=left)
                left -= len(body)
                if body:
                    _add(archive, f"run-{number}/{_name(result)}.{_SUFFIX[stream]}", body)
        machine = machines.find(tx, run.machine_id)
    headers = {
        "Content-Disposition": f'attachment; filename="{machine.name}-run-{number}.tar.gz"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(packed.getvalue(), media_type="application/gzip", headers=headers)


_SUFFIX = {"combined": "log", "result": "yaml"}


def _name(result: Result) -> str:
    """A file name without what a shell or a path could take otherwise."""
    words = f"{result.position:03d}-{result.name}-{result.device}".rstrip("-")
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in words)[:120]


def _add(archive: tarfile.TarFile, name: str, body: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(body)
    archive.addfile(about, io.BytesIO(body))


@get("/results/{number:int}/output", sync_to_thread=True)
def output(number: Number, store: Store, looking: Looking) -> Response[bytes]:
    """The raw bytes of one result as a download."""
    with store.read() as tx:
        found = runs.find_result(tx, number)
        body = runs.output(tx, number)
    headers = {
        "Content-Disposition": f'attachment; filename="{_name(found)}.log"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(body, media_type="application/octet-stream", headers=headers)


ROUTES = [show, result, block, download, output]
