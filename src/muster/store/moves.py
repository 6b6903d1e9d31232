# SPDX-License-Identifier: Apache-2.0
"""Moves a record's history to another record, with a journal that moves it back.

Every table with a `machine_id` is moved, also those that are made after this was written: a row
that belongs to somebody's history must not be lost because nobody thought of it here.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.store import racks, traits
from muster.store.engine import Tx
from muster.store.schema import (
    Utc,
    boots,
    documents,
    events,
    machines,
    metadata,
    results,
    runs,
)

Journal = dict[str, Any]
"""{"record": row, "moved": {table: [ids]}, "numbered": int, "rows": {table: [rows of the moved
record]}, "taken": those of them that went over, "replaced": {table: [rows of the kept record that
made way]}}, all as JSON holds them."""

_STAYS = frozenset({"power_goals", "power_states"})
"""How a machine is switched is the kept record's own affair."""

_AT_ONCE = 5000


def merge(tx: Tx, source: str, target: str, *, newer: bool) -> Journal:
    """All of `source` becomes `target`'s and its record goes; both are locked.

    `newer`: where both have what a machine has but once, `source`'s counts.
    """
    journal: Journal = {"record": record(tx, source), "moved": {}, "rows": {}}
    journal |= {"taken": {}, "replaced": {}}
    journal["numbered"] = _renumber(tx, source, target)
    for table in _tables():
        column = table.c.machine_id
        if not column.primary_key:
            journal["moved"][table.name] = _reassign(tx, table, source, target)
            continue
        rows = _rows(tx, table, source)
        journal["rows"][table.name] = rows
        if table.name not in _STAYS:
            taken, replaced = _take(tx, table, rows, target, newer=newer)
            journal["taken"][table.name], journal["replaced"][table.name] = taken, replaced
    tx.execute(machines.delete().where(machines.c.id == source))
    traits.renew(tx, [target])
    racks.settle(tx, [target])
    return journal


def undo(tx: Tx, journal: Journal, target: str) -> None:
    """Give back what is still there; what `target` has got since stays with it."""
    source = journal["record"]["id"]
    tx.execute(machines.insert().values(_revived(machines, journal["record"])))
    for name, ids in journal["moved"].items():
        table = metadata.tables[name]
        key = _key(table)
        for some in _portions(ids):
            where = sa.and_(key.in_(some), table.c.machine_id == target)
            tx.execute(table.update().where(where).values(machine_id=source))
    moved = journal["moved"].get("documents", [])
    for some in _portions(moved):
        _number(tx, documents.c.id.in_(some), -journal["numbered"])
    for name, rows in journal["rows"].items():
        table = metadata.tables[name]
        for row in journal["taken"].get(name, ()):
            _delete_unchanged(tx, table, {**row, "machine_id": target})
        _insert(tx, table, rows)
        replaced = journal["replaced"].get(name, ())
        _insert(tx, table, [row for row in replaced if not _there(tx, table, row)])
    traits.renew(tx, [source, target])
    racks.settle(tx, [source, target])


def _tables() -> Iterator[sa.Table]:
    """What hangs on machines; traits follow from the rest."""
    return (table for table in metadata.sorted_tables
            if "machine_id" in table.c and table.name != "machine_traits")  # fmt: skip


def record(tx: Tx, machine: str) -> dict[str, Any]:
    """A machine's row as JSON holds it."""
    row = tx.execute(sa.select(machines).where(machines.c.id == machine)).one()
    return _plain(row._mapping)


def restore(tx: Tx, row: dict[str, Any], names: Sequence[str]) -> None:
    """Give columns of a machine the values they had in `row`, which `record` made."""
    old = _revived(machines, {name: row[name] for name in names})
    if old:
        tx.execute(machines.update().where(machines.c.id == row["id"]).values(old))
        traits.renew(tx, [row["id"]])
        racks.settle(tx, [row["id"]])


def boots_with(tx: Tx, leaving: Sequence[str], source: str, target: str) -> None:
    """Boots that came from these MACs become `target`'s, with their runs and documents."""
    where = sa.and_(boots.c.machine_id == source, boots.c.mac.in_(leaving))
    found = list(tx.execute(sa.select(boots.c.id, boots.c.run_id).where(where)))
    run_ids = [row.run_id for row in found if row.run_id is not None]
    for some in _portions(row.id for row in found):
        tx.execute(boots.update().where(boots.c.id.in_(some)).values(machine_id=target))
        tx.execute(events.update().where(events.c.boot_id.in_(some)).values(machine_id=target))
    for some in _portions(run_ids):
        tx.execute(runs.update().where(runs.c.id.in_(some)).values(machine_id=target))
        told = sa.select(results.c.id).where(results.c.run_id.in_(some))
        tx.execute(
            documents.update().where(documents.c.result_id.in_(told)).values(machine_id=target)
        )


def _rows(tx: Tx, table: sa.Table, machine: str) -> list[dict[str, Any]]:
    query = sa.select(table).where(table.c.machine_id == machine)
    return [_plain(row._mapping) for row in tx.execute(query)]


def _reassign(tx: Tx, table: sa.Table, source: str, target: str) -> list[Any]:
    key = _key(table)
    where = table.c.machine_id == source
    ids = list(tx.execute(sa.select(key).where(where).order_by(key)).scalars())
    tx.execute(table.update().where(where).values(machine_id=target))
    return ids


def _renumber(tx: Tx, source: str, target: str) -> int:
    """`target`'s documents keep their numbers, `source`'s follow behind; returns by how much."""
    newest = sa.select(sa.func.max(documents.c.version))
    last = tx.execute(newest.where(documents.c.machine_id == target)).scalar_one() or 0
    _number(tx, documents.c.machine_id == source, last)
    return int(last)


def _number(tx: Tx, where: sa.ColumnElement[bool], by: int) -> None:
    tx.execute(documents.update().where(where).values(version=documents.c.version + by))


def _take(
    tx: Tx, table: sa.Table, rows: list[dict[str, Any]], target: str, *, newer: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows that went over to `target`, and those of `target` that made way."""
    taken, replaced = [], []
    for row in rows:
        mine = {**row, "machine_id": target}
        there = _there(tx, table, mine)
        if there and not newer:
            continue
        if there:
            replaced.append(there)
            tx.execute(table.delete().where(_same(table, mine)))
        tx.execute(table.delete().where(_same(table, row)))
        _insert(tx, table, [mine])
        taken.append(row)
    return taken, replaced


def _same(table: sa.Table, row: dict[str, Any]) -> sa.ColumnElement[bool]:
    return sa.and_(*(column == row[column.name] for column in table.primary_key.columns))


def _there(tx: Tx, table: sa.Table, row: dict[str, Any]) -> dict[str, Any] | None:
    found = tx.execute(sa.select(table).where(_same(table, row))).first()
    return _plain(found._mapping) if found else None


def _delete_unchanged(tx: Tx, table: sa.Table, row: dict[str, Any]) -> None:
    """What has changed since is the target's own."""
    if _there(tx, table, row) == row:
        tx.execute(table.delete().where(_same(table, row)))


def _insert(tx: Tx, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        tx.execute(table.insert().values(_revived(table, row)))


def _key(table: sa.Table) -> sa.Column[Any]:
    (key,) = table.primary_key.columns
    return key


def _plain(row: Any) -> dict[str, Any]:
    return {name: _told(value) for name, value in row.items()}


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _revived(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(table.c[name], value) for name, value in row.items() if name in table.c}


def _value(column: sa.Column[Any], value: Any) -> Any:
    if value is not None and isinstance(column.type, Utc):
        return datetime.fromisoformat(value)
    if value is not None and isinstance(column.type, sa.LargeBinary):
        return base64.b64decode(value)
    return value


def _portions(all_of: Iterable[Any]) -> Iterator[list[Any]]:
    whole = list(all_of)
    for start in range(0, len(whole), _AT_ONCE):
        yield whole[start : start + _AT_ONCE]
