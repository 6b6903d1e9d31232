# SPDX-License-Identifier: Apache-2.0
"""Runs (one ordered set of scripts), their results and the raw output, compressed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import zstandard

from muster.store import machines as machine_rows
from muster.store.engine import Missing, Tx
from muster.store.notices import tell
from muster.store.rows import all_to, to
from muster.store.schema import (
    boots,
    chunks,
    documents,
    machines,
    results,
    runs,
    script_contents,
)

OPEN = ("pending", "running")
_PENDING = {"state": "pending", "reason": "", "output_bytes": 0}


@dataclass(frozen=True)
class Run:
    """States: pending, running, passed, failed, aborted."""

    id: int
    machine_id: str
    mode: str
    state: str
    reason: str
    options: dict[str, Any]
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    deadline_at: datetime | None


@dataclass(frozen=True)
class Result:
    """States: pending, running, passed, degraded, skipped, failed, timed_out, aborted, lost.

    `spec` says how it is run (lifecycle.plan), `values` what the script measured.
    """

    id: int
    run_id: int
    position: int
    name: str
    script_type: str
    sha256: str
    timeout_s: float
    state: str
    reason: str
    exit_status: int | None
    runtime_s: float | None
    started_at: datetime | None
    ended_at: datetime | None
    output_bytes: int
    spec: dict[str, Any]
    device: str
    attempts: int
    values: dict[str, Any]
    suppressed: str


# Made once: SQLAlchemy takes longer to put a statement together than SQLite to answer it.
_THIS: sa.BindParameter[Any] = sa.bindparam("this")
_BY_ID = sa.select(runs).where(runs.c.id == _THIS)
_UPDATE = runs.update().where(runs.c.id == _THIS)
_RESULTS_OF = sa.select(results).where(results.c.run_id == _THIS).order_by(results.c.position)
_RAN = ("state", "reason", "values", "exit_status", "runtime_s", "started_at", "ended_at",
        "attempts", "output_bytes")  # fmt: skip
_UPDATE_RESULT = (
    results.update()
    .where(results.c.id == _THIS)
    .values({name: sa.bindparam(f"new_{name}", type_=results.c[name].type) for name in _RAN})
)


@dataclass(frozen=True)
class Measured:
    """A result with numbers, and whose it is; `machine` is a name."""

    id: int
    machine_id: str
    machine: str
    vendor: str
    product: str
    sha256: str
    device: str
    state: str
    ended_at: datetime
    values: dict[str, Any]
    spec: dict[str, Any]


def add(tx: Tx, **values: Any) -> int:
    """A new run; returns its id."""
    inserted = tx.execute(runs.insert().values(values)).inserted_primary_key
    assert inserted is not None
    tell(tx, "run", inserted[0])
    return int(inserted[0])


def update(tx: Tx, run: int, **values: Any) -> None:
    """Change columns of one run."""
    tx.execute(_UPDATE, {"this": run, **values})
    tell(tx, "run", run)


def find(tx: Tx, run: int) -> Run:
    """By id; raises Missing."""
    found = to(Run, tx.execute(_BY_ID, {"this": run}).first())
    if found is None:
        raise Missing(f"no run has the number {run}")
    return found


def find_locked(tx: Tx, run: int) -> Run:
    """As `find`, with its machine locked."""
    found = find(tx, run)
    return find(tx, run) if machine_rows.lock(tx, found.machine_id) else found


def open_of(tx: Tx, machine: str) -> Run | None:
    """The run that this machine still owes, the newest."""
    query = sa.select(runs).where(runs.c.machine_id == machine, runs.c.state.in_(OPEN))
    return to(Run, tx.execute(query.order_by(runs.c.id.desc()).limit(1)).first())


def some(tx: Tx, machine: str, *, limit: int = 50) -> list[Run]:
    """A machine's runs, newest first."""
    query = sa.select(runs).where(runs.c.machine_id == machine).order_by(runs.c.id.desc())
    return all_to(Run, tx.execute(query.limit(limit)))


def unfinished(tx: Tx, *, machine: str = "", limit: int) -> list[Run]:
    """Open runs, of one machine or of all, the newest first."""
    query = sa.select(runs).where(runs.c.state.in_(OPEN)).order_by(runs.c.id.desc())
    if machine:
        query = query.where(runs.c.machine_id == machine)
    return all_to(Run, tx.execute(query.limit(limit)))


def overdue(tx: Tx, now: datetime) -> list[Run]:
    """Open runs whose machine did not come in time."""
    query = sa.select(runs).where(runs.c.deadline_at <= now, runs.c.state.in_(OPEN))
    return all_to(Run, tx.execute(query.limit(200)))


def add_result(tx: Tx, **values: Any) -> int:
    """A script that a run owes; returns its id."""
    tell(tx, "run", values["run_id"])
    inserted = tx.execute(results.insert().values(_PENDING | values)).inserted_primary_key
    assert inserted is not None
    return int(inserted[0])


def add_results(tx: Tx, run: int, owed: Sequence[dict[str, Any]]) -> None:
    """Scripts that a run owes, with the same columns given for each, in one statement."""
    tell(tx, "run", run)
    if owed:
        tx.execute(results.insert(), [_PENDING | values | {"run_id": run} for values in owed])


def count_results(tx: Tx, run: int) -> int:
    """How many scripts a run owes, ended ones included."""
    query = sa.select(sa.func.count()).select_from(results).where(results.c.run_id == run)
    return int(tx.execute(query).scalar_one())


def keep_script(tx: Tx, sha256: str, body: bytes) -> None:
    """Keep the exact bytes that runs point to by hash."""
    keep_scripts(tx, {sha256: body})


def keep_scripts(tx: Tx, bodies: Mapping[str, bytes]) -> None:
    """As `keep_script`, by hash."""
    query = sa.select(script_contents.c.sha256).where(script_contents.c.sha256.in_(bodies))
    known = set(tx.execute(query).scalars())
    fresh = [{"sha256": at, "body": body} for at, body in bodies.items() if at not in known]
    if fresh:
        tx.execute(script_contents.insert(), fresh)


def content(tx: Tx, sha256: str) -> bytes:
    """The bytes of a script that is kept; raises Missing."""
    query = sa.select(script_contents.c.body).where(script_contents.c.sha256 == sha256)
    found: bytes | None = tx.execute(query).scalar_one_or_none()
    if found is None:
        raise Missing(f"no script has the digest {sha256}")
    return found


def open_bodies(tx: Tx, run: int, *, most: int) -> dict[str, bytes]:
    """The scripts of results that have not ended, by hash, each of at most `most` bytes."""
    owed = sa.select(results.c.sha256).where(results.c.run_id == run, results.c.state.in_(OPEN))
    small = sa.func.length(script_contents.c.body) <= most
    query = sa.select(script_contents).where(small, script_contents.c.sha256.in_(owed))
    return {row.sha256: row.body for row in tx.execute(query.limit(64))}


def script_for(tx: Tx, token_hash: str, sha256: str) -> bytes | None:
    """The script's bytes, only when the run of this session, which has not ended, owes it."""
    owed = sa.exists().where(
        boots.c.token_hash == token_hash,
        boots.c.ended_at.is_(None),
        results.c.run_id == boots.c.run_id,
        results.c.sha256 == sha256,
    )
    query = sa.select(script_contents.c.body).where(script_contents.c.sha256 == sha256, owed)
    return tx.execute(query).scalar_one_or_none()


def results_of(tx: Tx, run: int) -> list[Result]:
    """The results of a run in its order."""
    return all_to(Result, tx.execute(_RESULTS_OF, {"this": run}))


def find_result(tx: Tx, result: int) -> Result:
    """By id; raises Missing."""
    found = to(Result, tx.execute(sa.select(results).where(results.c.id == result)).first())
    if found is None:
        raise Missing(f"no result has the number {result}")
    return found


def measured(tx: Tx, name: str, *, limit: int) -> list[Measured]:
    """The newest ended result of a script for each machine and device that has numbers."""
    whose = (runs.c.machine_id, results.c.device)
    rank = sa.func.row_number().over(partition_by=whose, order_by=results.c.id.desc())
    newest = (
        sa.select(results, runs.c.machine_id, rank.label("rank"))
        .join(runs, runs.c.id == results.c.run_id)
        .where(results.c.name == name, results.c.state.in_(("passed", "degraded", "failed")))
        .subquery()
    )
    query = (
        sa.select(newest, machines.c.name.label("machine"), machines.c.vendor, machines.c.product)
        .join(machines, machines.c.id == newest.c.machine_id)
        .where(newest.c.rank == 1)
        .order_by(newest.c.id.desc())
    )
    found = all_to(Measured, tx.execute(query.limit(limit)))
    return [row for row in found if row.values]


def update_result(tx: Tx, result: int, **values: Any) -> None:
    """Change columns of one result."""
    where = results.c.id == result
    changed = tx.execute(results.update().where(where).values(values).returning(results.c.run_id))
    for row in changed:
        tell(tx, "run", row.run_id)


def values_of_model(
    tx: Tx, name: str, vendor: str, product: str, *, limit: int
) -> list[dict[str, Any]]:
    """What a script measured on machines of one model, newest first."""
    query = (
        sa.select(results.c["values"])
        .join(runs, runs.c.id == results.c.run_id)
        .join(machines, machines.c.id == runs.c.machine_id)
        .where(results.c.name == name, results.c.ended_at.is_not(None))
        .where(machines.c.vendor == vendor, machines.c.product == product)
    )
    return [row[0] or {} for row in tx.execute(query.order_by(results.c.id.desc()).limit(limit))]


def end_open_results(tx: Tx, run: int, *, state: str, reason: str, now: datetime) -> None:
    """Every result that has not ended ends so."""
    where = sa.and_(results.c.run_id == run, results.c.state.in_(OPEN))
    tx.execute(results.update().where(where).values(state=state, reason=reason, ended_at=now))
    tell(tx, "run", run)


def interrupted(tx: Tx, run: int) -> list[Result]:
    """The results that were running."""
    query = sa.select(results).where(results.c.run_id == run, results.c.state == "running")
    return all_to(Result, tx.execute(query.order_by(results.c.position)))


def write_results(tx: Tx, changed: Sequence[Result]) -> None:
    """What running them changed, of several at once."""
    if not changed:
        return
    rows = [{f"new_{name}": getattr(result, name) for name in _RAN} | {"this": result.id}
            for result in changed]  # fmt: skip
    tx.execute(_UPDATE_RESULT, rows)
    for run in {result.run_id for result in changed}:
        tell(tx, "run", run)


def append_output(tx: Tx, pieces: Sequence[tuple[int, str, bytes]]) -> None:
    """Store pieces of output (result, stream, bytes) in order; write_results tells how many."""
    press = zstandard.ZstdCompressor(level=3)
    rows = [{"result_id": result, "stream": stream, "size": len(data), "data": press.compress(data)}
            for result, stream, data in pieces]  # fmt: skip
    if rows:
        tx.execute(chunks.insert(), rows)
    for result in {piece[0] for piece in pieces}:
        tell(tx, "output", result)


def output(
    tx: Tx, result: int, *, stream: str = "combined", offset: int = 0, limit: int | None = None
) -> bytes:
    """The raw bytes of one stream from `offset` on, all or at most `limit`.

    Combined is stdout and stderr as they came.
    """
    where = _of_stream(result, stream)
    if offset == 0 and limit is None:
        return _expanded(tx, where)
    sizes = tx.execute(sa.select(chunks.c.id, chunks.c.size).where(where).order_by(chunks.c.id))
    wanted: list[int] = []
    skip, place = offset, 0
    for chunk, size in sizes:
        place += size
        if not wanted and skip >= size:
            skip -= size
            continue
        wanted.append(chunk)
        if limit is not None and place >= offset + limit:
            break
    if not wanted:
        return b""
    part = sa.and_(where, chunks.c.id.between(wanted[0], wanted[-1]))
    found = _expanded(tx, part)
    return found[skip:] if limit is None else found[skip : skip + limit]


def output_size(tx: Tx, result: int, *, stream: str = "combined") -> int:
    """Bytes of one stream so far."""
    query = sa.select(sa.func.sum(chunks.c.size)).where(_of_stream(result, stream))
    return int(tx.execute(query).scalar_one() or 0)


def _of_stream(result: int, stream: str) -> sa.ColumnElement[bool]:
    streams = ("stdout", "stderr") if stream == "combined" else (stream,)
    return sa.and_(chunks.c.result_id == result, chunks.c.stream.in_(streams))


def _expanded(tx: Tx, where: sa.ColumnElement[bool]) -> bytes:
    rows = tx.execute(sa.select(chunks.c.data).where(where).order_by(chunks.c.id))
    expand = zstandard.ZstdDecompressor()
    return b"".join(expand.decompress(row.data) for row in rows)


def add_document(tx: Tx, **values: Any) -> None:
    """A version of the inventory; `body` is compressed here. The caller has locked the machine."""
    newest = sa.select(sa.func.max(documents.c.version))
    last = tx.execute(newest.where(documents.c.machine_id == values["machine_id"])).scalar_one()
    values["version"] = (last or 0) + 1
    values["body"] = zstandard.ZstdCompressor(level=3).compress(values["body"])
    tx.execute(documents.insert().values(values))
