# SPDX-License-Identifier: Apache-2.0
"""Tags, and which machine has which from whom. A machine may have one tag from several sources."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from muster.store.engine import Tx
from muster.store.rows import all_to, to
from muster.store.schema_record import machine_tags, tags

T = TypeVar("T")
Given = Mapping[tuple[str, str], str]
"""(machine, tag): why."""

_AT_ONCE = 4000
"""Rows of one statement: six values each stay below SQLite's 32,766 parameters."""


@dataclass(frozen=True)
class Tag:
    """What is said of a tag; `kind` "" is by hand. `looked_to` None: every machine was tried."""

    name: str
    comment: str
    kind: str
    definition: str
    looked_to: str | None
    updated_by: str
    updated_at: datetime


@dataclass(frozen=True)
class MachineTag:
    """`source` is hand, script, definition, automatic or rule; `origin` names script or rule."""

    machine_id: str
    tag: str
    source: str
    origin: str
    because: str
    at: datetime


@dataclass(frozen=True)
class Changes:
    """(machine, tag) pairs that this source did not give before, or gives no more."""

    given: list[tuple[str, str]]
    taken: list[tuple[str, str]]


def some(tx: Tx) -> list[Tag]:
    """All of which something is said, by name."""
    return all_to(Tag, tx.execute(sa.select(tags).order_by(tags.c.name)))


def find(tx: Tx, name: str) -> Tag | None:
    """By name, locked until the transaction ends."""
    query = sa.select(tags).where(tags.c.name == name).with_for_update()
    return to(Tag, tx.execute(query).first())


def defined(tx: Tx, names: Iterable[str] | None = None) -> list[Tag]:
    """Those (of `names`) that are given by a definition."""
    query = sa.select(tags).where(tags.c.kind != "").order_by(tags.c.name)
    if names is not None:
        query = query.where(tags.c.name.in_(list(names)))
    return all_to(Tag, tx.execute(query))


def unfinished(tx: Tx) -> Tag | None:
    """One whose definition was not tried on every machine yet, locked."""
    query = sa.select(tags).where(tags.c.looked_to.is_not(None)).order_by(tags.c.updated_at)
    # Another process that is at it goes on; this one has nothing to wait for.
    return to(Tag, tx.execute(query.limit(1).with_for_update(skip_locked=True)).first())


def put(tx: Tx, tag: Tag) -> None:
    """Make it, or say something else of it."""
    values = vars(tag)
    _insert_or(tx, tags, [values], index=["name"], update=[n for n in values if n != "name"])


def looked(tx: Tx, name: str, *, to: str | None) -> None:
    """How far the machines were tried."""
    tx.execute(tags.update().where(tags.c.name == name).values(looked_to=to))


def delete(tx: Tx, name: str) -> int:
    """What is said of it, and the tag on every machine; returns on how many that was."""
    tx.execute(tags.delete().where(tags.c.name == name))
    count = counts(tx).get(name, 0)
    tx.execute(machine_tags.delete().where(machine_tags.c.tag == name))
    return count


def forget_source(tx: Tx, name: str, source: str) -> None:
    """Take the tag from every machine that has it from there."""
    where = sa.and_(machine_tags.c.tag == name, machine_tags.c.source == source)
    tx.execute(machine_tags.delete().where(where))


def sources(tx: Tx, name: str) -> set[str]:
    """Where the tag comes from, over all machines."""
    query = sa.select(machine_tags.c.source).where(machine_tags.c.tag == name).distinct()
    return {str(source) for source in tx.execute(query).scalars()}


def counts(tx: Tx) -> dict[str, int]:
    """On how many machines each tag is."""
    number = sa.func.count(sa.distinct(machine_tags.c.machine_id))
    query = sa.select(machine_tags.c.tag, number).group_by(machine_tags.c.tag)
    return {str(name): int(count) for name, count in tx.execute(query)}


def of(tx: Tx, ids: Sequence[str]) -> dict[str, list[str]]:
    """The tags of each of `ids`, sorted, each once."""
    found: dict[str, list[str]] = {machine: [] for machine in ids}
    for some_ids in _portions(ids):
        query = sa.select(machine_tags.c.machine_id, machine_tags.c.tag).distinct()
        query = query.where(machine_tags.c.machine_id.in_(some_ids))
        for machine, tag in tx.execute(query.order_by(machine_tags.c.tag)):
            found[machine].append(tag)
    return found


def of_machine(tx: Tx, machine: str) -> list[MachineTag]:
    """Every tag of one machine with where it comes from."""
    query = sa.select(machine_tags).where(machine_tags.c.machine_id == machine)
    order = (machine_tags.c.tag, machine_tags.c.source, machine_tags.c.origin)
    return all_to(MachineTag, tx.execute(query.order_by(*order)))


def settle(
    tx: Tx, source: str, origin: str, given: Given, now: datetime, *, ids: Sequence[str],
    only: str = "",
) -> Changes:  # fmt: skip
    """From here on `source` gives the machines `ids` exactly these tags (or, of `only`, that one).

    The caller has locked the machines.
    """
    where = [machine_tags.c.source == source, machine_tags.c.origin == origin]
    where += [machine_tags.c.tag == only] if only else []
    known: dict[tuple[str, str], str] = {}
    for some_ids in _portions(ids):
        query = sa.select(machine_tags).where(*where, machine_tags.c.machine_id.in_(some_ids))
        known |= {(row.machine_id, row.tag): row.because for row in tx.execute(query)}
    taken = [key for key in known if key not in given]
    for some_keys in _portions(taken):
        pair = sa.tuple_(machine_tags.c.machine_id, machine_tags.c.tag)
        tx.execute(machine_tags.delete().where(*where[:2], pair.in_(some_keys)))
    told = [
        {"machine_id": machine, "tag": tag, "source": source, "origin": origin,
         "because": because, "at": now}
        for (machine, tag), because in given.items() if known.get((machine, tag)) != because
    ]  # fmt: skip
    for rows in _portions(told):
        _insert_or(tx, machine_tags, rows, index=["machine_id", "tag", "source", "origin"],
                   update=["because"])  # fmt: skip
    return Changes([key for key in given if key not in known], taken)


def _insert_or(
    tx: Tx, table: sa.Table, rows: Sequence[dict[str, Any]], *, index: list[str], update: list[str]
) -> None:
    """Insert, or update where such a row is: both engines write it alike."""
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table).values(list(rows))
    changed = {name: statement.excluded[name] for name in update}
    tx.execute(statement.on_conflict_do_update(index_elements=index, set_=changed))


def _portions(all_of: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(all_of), _AT_ONCE):
        yield all_of[start : start + _AT_ONCE]
