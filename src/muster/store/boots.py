# SPDX-License-Identifier: Apache-2.0
"""Boots: attempts of machines to start, with their timelines and one-time secrets (hashed)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.store.engine import Missing, Tx
from muster.store.notices import tell
from muster.store.rows import all_to, to
from muster.store.schema import boots, marks


@dataclass(frozen=True)
class Boot:
    """One boot. `phase` is the last one reached; secrets are SHA-256 hashes."""

    id: str
    machine_id: str | None
    mac: str
    uuid: str
    serial: str
    architecture: str
    firmware: str
    client_ip: str
    purpose: str
    phase: str
    phase_at: datetime
    deadline_at: datetime | None
    started_at: datetime
    ended_at: datetime | None
    failure: str
    nonce_expires_at: datetime | None
    key_hash: str | None
    token_hash: str | None
    acked_seq: int
    last_heard_at: datetime | None
    run_id: int | None
    evidence: dict[str, Any] | None


@dataclass(frozen=True)
class Mark:
    """One line of a timeline."""

    id: int
    boot_id: str
    at: datetime
    phase: str
    status: str
    detail: str


# Made once: SQLAlchemy takes longer to put a statement together than SQLite to answer it.
_THIS: sa.BindParameter[Any] = sa.bindparam("this")
_BY_ID = sa.select(boots).where(boots.c.id == _THIS)
_BY_NONCE = sa.select(boots).where(boots.c.nonce_hash == _THIS).with_for_update()
_BY_TOKEN = sa.select(boots).where(boots.c.token_hash == _THIS).with_for_update()
_UPDATE = boots.update().where(boots.c.id == _THIS)
_SINCE: sa.BindParameter[Any] = sa.bindparam("since", type_=boots.c.started_at.type)
_OPEN_OF_MAC = (
    sa.select(boots)
    .where(boots.c.mac == _THIS, boots.c.started_at >= _SINCE, boots.c.ended_at.is_(None))
    .order_by(boots.c.started_at.desc())
    .limit(1)
)
_LAST_MARK = sa.select(marks).where(marks.c.boot_id == _THIS).order_by(marks.c.id.desc()).limit(1)
_MARKS_OF = sa.select(sa.func.count()).select_from(marks).where(marks.c.boot_id == _THIS)

_SHOWN = frozenset({"machine_id", "purpose", "phase", "ended_at", "failure", "run_id"})


def add(tx: Tx, boot: str, **values: Any) -> None:
    """A new boot."""
    tx.execute(boots.insert(), {"id": boot, **values})
    tell(tx, "boot", boot)


def update(tx: Tx, boot: str, **values: Any) -> None:
    """Change columns of one boot."""
    tx.execute(_UPDATE, {"this": boot, **values})
    # A heartbeat is no news to anybody.
    if values.keys() & _SHOWN:
        tell(tx, "boot", boot)


def find(tx: Tx, boot: str) -> Boot:
    """By id; raises Missing."""
    found = to(Boot, tx.execute(_BY_ID, {"this": boot}).first())
    if found is None:
        raise Missing(f"no boot has the id {boot!r}")
    return found


def by_nonce(tx: Tx, nonce_hash: str) -> Boot | None:
    """The boot that this nonce was made for; locked until the transaction ends."""
    return to(Boot, tx.execute(_BY_NONCE, {"this": nonce_hash}).first())


def by_token(tx: Tx, token_hash: str) -> Boot | None:
    """The boot that this session token was given to; locked until the transaction ends."""
    return to(Boot, tx.execute(_BY_TOKEN, {"this": token_hash}).first())


def open_for_mac(tx: Tx, mac: str, *, since: datetime) -> Boot | None:
    """The newest boot of this MAC that began after `since` and has not ended."""
    return to(Boot, tx.execute(_OPEN_OF_MAC, {"this": mac, "since": since}).first())


def some(
    tx: Tx, *, machine: str = "", limit: int = 100, before: datetime | None = None
) -> list[Boot]:
    """Boots, newest first."""
    query = sa.select(boots).order_by(boots.c.started_at.desc(), boots.c.id)
    if machine:
        query = query.where(boots.c.machine_id == machine)
    if before:
        query = query.where(boots.c.started_at < before)
    return all_to(Boot, tx.execute(query.limit(limit)))


def overdue(tx: Tx, now: datetime) -> list[Boot]:
    """Boots whose deadline has passed; rows that another process handles are left out."""
    query = (
        sa.select(boots)
        .where(boots.c.deadline_at <= now, boots.c.ended_at.is_(None))
        .with_for_update(skip_locked=True)
    )
    return all_to(Boot, tx.execute(query.limit(200)))


def of_run(tx: Tx, run: int) -> list[Boot]:
    """The boots that worked on a run, newest first."""
    query = sa.select(boots).where(boots.c.run_id == run).order_by(boots.c.started_at.desc())
    return all_to(Boot, tx.execute(query))


def lock_of_machine(tx: Tx, machine: str) -> None:
    """Other processes wait with these boots until this transaction ends."""
    query = sa.select(boots.c.id).where(boots.c.machine_id == machine).order_by(boots.c.id)
    tx.execute(query.with_for_update())


def open_of_machine(tx: Tx, machine: str) -> list[Boot]:
    """Boots of a machine that have not ended."""
    query = sa.select(boots).where(boots.c.machine_id == machine, boots.c.ended_at.is_(None))
    return all_to(Boot, tx.execute(query))


def heard(tx: Tx, ids: Sequence[str]) -> dict[str, tuple[datetime, datetime]]:
    """Machines whose agent was heard in an open boot: when that began, when it was heard."""
    query = sa.select(boots.c.machine_id, boots.c.started_at, boots.c.last_heard_at).where(
        boots.c.machine_id.in_(ids), boots.c.ended_at.is_(None), boots.c.last_heard_at.is_not(None)
    )
    return {row.machine_id: (row.started_at, row.last_heard_at) for row in tx.execute(query)}


def mark(tx: Tx, boot: str, at: datetime, phase: str, status: str, detail: str) -> None:
    """Add a line to the timeline."""
    line = {"boot_id": boot, "at": at, "phase": phase, "status": status, "detail": detail}
    tx.execute(marks.insert(), line)
    tell(tx, "boot", boot)


def add_marks(
    tx: Tx, boot: str, at: datetime, phase: str, told: Sequence[tuple[str, str]], most: int
) -> None:
    """Lines (status, detail) of one phase; a timeline of `most` lines grows no more."""
    if told and (room := most - count_marks(tx, boot)) > 0:
        rows = [{"boot_id": boot, "at": at, "phase": phase, "status": status, "detail": detail}
                for status, detail in told[:room]]  # fmt: skip
        tx.execute(marks.insert(), rows)
        tell(tx, "boot", boot)


def last_mark(tx: Tx, boot: str) -> Mark | None:
    """The newest line of a timeline."""
    return to(Mark, tx.execute(_LAST_MARK, {"this": boot}).first())


def count_marks(tx: Tx, boot: str) -> int:
    """How long a timeline is."""
    return int(tx.execute(_MARKS_OF, {"this": boot}).scalar_one())


def timeline(tx: Tx, ids: list[str]) -> dict[str, list[Mark]]:
    """The timelines of several boots, oldest line first."""
    found: dict[str, list[Mark]] = {boot: [] for boot in ids}
    query = sa.select(marks).where(marks.c.boot_id.in_(ids)).order_by(marks.c.id)
    for line in all_to(Mark, tx.execute(query)):
        found[line.boot_id].append(line)
    return found
