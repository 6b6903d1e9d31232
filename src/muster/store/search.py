# SPDX-License-Identifier: Apache-2.0
"""Finds the machines that machine/narrowing.py speaks of, through the indexes of their traits.

Neither database knows how many machines a trait has, and SQLite would walk 100,000 names for a
rare one. So each part is counted first, up to `RARE`; where one is rare its machines are taken and
the other parts tried on them, else names are walked in order until the page is full.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.machine.narrowing import TAG, Combined, Has, Lacks, Narrow, Row, Word
from muster.machine.states import State
from muster.machine.traits import TEXT_MOST, fold, number
from muster.store.engine import StoreError, Tx
from muster.store.schema import machines
from muster.store.schema_record import machine_tags
from muster.store.schema_search import machine_traits, trait_words, traits

RARE = 5000
"""Machines that are rather looked up one by one than met on a walk."""
_VERY = 200
"""So few are taken without counting on whether another part has fewer."""
_FEW = 40
"""Traits that are rather looked up by id than compared anew for each machine."""
_EXACT = 2.0**48
_SLACK = 2.0**-48
"""Relative, above `_EXACT`: numbers of 64 bits are rounded in floating point."""

ORDERS = ("name", "state", "product", "serial", "pool", "rack", "cores", "memory", "seen_at",
          "created_at", "updated_at")  # fmt: skip
"""What a list is sorted by: each has an index."""
_APART = "~"
_READ: dict[str, Callable[[str], Any]] = {
    "cores": int,
    "memory": int,
    **dict.fromkeys(("seen_at", "created_at", "updated_at"), datetime.fromisoformat),
}

Clause = sa.ColumnElement[bool]
_has = machine_traits.c


@dataclass(frozen=True)
class Order:
    """By `column` (of ORDERS) and then by name."""

    column: str = "name"
    descending: bool = False

    @classmethod
    def asked(cls, text: str) -> "Order":
        """As people write it: "memory", and with a minus from the last to the first."""
        return cls(text.removeprefix("-"), text.startswith("-"))

    @property
    def by(self) -> list[sa.ColumnElement[Any]]:
        """What is sorted by; the last part tells any two machines apart."""
        first = machines.c[self.column]
        return [first] if self.column == "name" else [first, machines.c.name]

    def cursor(self, row: Sequence[Any]) -> str:
        """The place behind a row whose first columns are `by`."""
        if self.column == "name":
            return str(row[0])
        key = row[0].isoformat() if isinstance(row[0], datetime) else row[0]
        return f"{key}{_APART}{row[1]}"

    def place(self, cursor: str) -> list[Any]:
        """Values of `by`; raises BadCursor."""
        if self.column == "name":
            return [cursor]
        key, _, name = cursor.rpartition(_APART)
        try:
            return [_READ.get(self.column, str)(key), name]
        except ValueError as error:
            told = f"is no place in a list by {self.column}: take `next` of the page before"
            raise BadCursor(told) from error


class BadCursor(StoreError):
    """`after` is not what an earlier page of the same order said."""


def places(
    tx: Tx, narrow: Narrow | None, *, state: str, order: Order, after: str, limit: int
) -> list[tuple[str, str]]:
    """The next machines, at most `limit`, that `narrow` leaves: the cursor behind each, its id."""
    asked = Row(Has("state", "=", (state,))) if state else None
    parts = [part for part in (asked, narrow) if part is not None]
    whole = Combined("and", tuple(parts)) if parts else None
    rare = _rare(tx, whole) if whole else None
    query = sa.select(*order.by, machines.c.id)
    if whole is not None:
        query = query.where(_clause(tx, whole))
    by = order.by
    if rare is not None:
        query = query.where(machines.c.id.in_(rare))
        # An expression, so that SQLite does not walk the names for their order.
        by[-1] = by[-1].concat("")
    if after:
        place = sa.tuple_(*order.place(after), types=[c.type for c in order.by])
        query = query.where(sa.tuple_(*by) < place if order.descending else sa.tuple_(*by) > place)
    query = query.order_by(*(c.desc() if order.descending else c for c in by))
    return [(order.cursor(row), row.id) for row in tx.execute(query.limit(limit))]


def reasons(tx: Tx, ids: list[str], searched: Iterable[Word]) -> dict[str, list[str]]:
    """For each machine the values in which the words were found: 'serial "s1234"'."""
    found: dict[str, list[str]] = {machine: [] for machine in ids}
    for word in searched:
        rows = _linked(word, _has.machine_id, traits.c.column, traits.c.text)
        query = rows.join(traits, traits.c.id == _has.trait_id).where(_has.machine_id.in_(ids))
        for machine, column, text in tx.execute(query.distinct().order_by(*query.selected_columns)):
            found[machine].append(f'{column} "{text}"')
    return found


def _rare(tx: Tx, narrow: Narrow) -> sa.Select[Any] | None:
    """The ids of at most RARE machines among which all of `narrow` are, or None."""
    very = _few(tx, narrow, _VERY)[1]
    return _few(tx, narrow, RARE)[1] if very is None else very


def _few(tx: Tx, narrow: Narrow, most: int) -> tuple[int, sa.Select[Any] | None]:
    """How many, and the ids of at most `most` machines among which all of `narrow` are; or None."""
    many: tuple[int, None] = (most + 1, None)
    if isinstance(narrow, Combined):
        parts = (_few(tx, part, most) for part in narrow.parts)
        if narrow.word == "and":
            return min(parts, key=lambda part: part[0])
        known = list(parts)
        total = sum(count for count, _ in known)
        if total > most:
            return many
        either = sa.union_all(*(query for _, query in known if query is not None)).subquery()
        return total, sa.select(either.c[0])
    if isinstance(narrow, Row) and narrow.has.column == "state":
        query = sa.select(machines.c.id).where(_row(narrow.has))
    elif isinstance(narrow, Lacks | Row) or (isinstance(narrow, Has) and not narrow.values):
        return many
    else:
        query = _linked(narrow, _has.machine_id)
    seen = sa.select(sa.func.count()).select_from(query.limit(most + 1).subquery())
    count = int(tx.execute(seen).scalar_one())
    return (count, query) if count <= most else many


def _clause(tx: Tx, narrow: Narrow) -> Clause:
    """Whether a row of `machines` is one of them."""
    if isinstance(narrow, Combined):
        parts = [_clause(tx, part) for part in narrow.parts]
        return sa.and_(*parts) if narrow.word == "and" else sa.or_(*parts)
    if isinstance(narrow, Row):
        return _row(narrow.has)
    if isinstance(narrow, Lacks):
        return sa.not_(_exists(tx, narrow.inner, loose=False))
    return _exists(tx, narrow, loose=True)


def _exists(tx: Tx, narrow: Has | Word, *, loose: bool) -> Clause:
    if isinstance(narrow, Has) and narrow.column == TAG:
        tagged = sa.exists().where(machine_tags.c.machine_id == machines.c.id)
        return tagged.where(machine_tags.c.tag.in_(_tags(narrow, loose=loose)))
    own = sa.exists().where(_has.machine_id == machines.c.id)
    if isinstance(narrow, Has):
        own = own.where(_has.column == narrow.column)
        if not narrow.values:
            return own
    ids = list(tx.execute(_trait_ids(narrow, loose=loose).limit(_FEW + 1)).scalars())
    if len(ids) <= _FEW:
        return own.where(_has.trait_id.in_(ids))
    if isinstance(narrow, Word):
        return machines.c.id.in_(_linked(narrow, _has.machine_id))
    return own.where(traits.c.id == _has.trait_id, _value(narrow, loose=loose))


def _trait_ids(narrow: Has | Word, *, loose: bool) -> sa.Select[Any]:
    if isinstance(narrow, Word):
        return sa.select(trait_words.c.trait_id).where(_begins(narrow))
    return sa.select(traits.c.id).where(_value(narrow, loose=loose))


def _linked(narrow: Has | Word, *columns: Any) -> sa.Select[Any]:
    """The machines that have it, joined: unlike a subquery, that ends at a limit."""
    if isinstance(narrow, Word):
        joined = trait_words.join(machine_traits, _has.trait_id == trait_words.c.trait_id)
        return sa.select(*columns).select_from(joined).where(_begins(narrow))
    if narrow.column == TAG:
        tagged = sa.select(machine_tags.c.machine_id)
        return tagged.where(machine_tags.c.tag.in_(_tags(narrow, loose=True)))
    joined = traits.join(machine_traits, _has.trait_id == traits.c.id)
    return sa.select(*columns).select_from(joined).where(_value(narrow, loose=True))


def _tags(has: Has, *, loose: bool) -> sa.Select[Any]:
    """Names of tags: each is looked for behind the one before, not on every machine."""
    first = sa.select(sa.func.min(machine_tags.c.tag).label("tag"))
    each = first.cte(recursive=True)
    behind = sa.select(sa.func.min(machine_tags.c.tag)).where(machine_tags.c.tag > each.c.tag)
    following = sa.select(behind.scalar_subquery()).where(each.c.tag.is_not(None))
    every = each.union_all(following)
    # They are of ASCII, but not folded.
    return sa.select(every.c.tag).where(_text(has, sa.func.lower(every.c.tag), loose=loose))


def _begins(word: Word) -> Clause:
    # No word holds the last code point.
    ranges = (sa.and_(trait_words.c.word >= start, trait_words.c.word < f"{start}\U0010ffff")
              for start in word.starts)  # fmt: skip
    return sa.or_(*ranges)


def _value(has: Has, *, loose: bool) -> Clause:
    """Values that may be so (`loose`), or that surely are."""
    told = (
        _text(has, traits.c.text, loose=loose)
        if isinstance(has.values[0], str)
        else _number(has, loose=loose)
    )
    return sa.and_(traits.c.column == has.column, told)


def _text(has: Has, text: sa.ColumnElement[str], *, loose: bool) -> Clause:
    """What was cut is not known whole: it may hold what its beginning does not."""
    whole = sa.func.length(text) < TEXT_MOST
    wanted = [str(value).casefold() for value in has.values]
    short = [value for value in wanted if len(value) < TEXT_MOST]
    every = [value[:TEXT_MOST] for value in wanted]
    if has.operator == "=":
        if has.holds:
            return text.in_(every if loose else short)
        return text.not_in(short if loose else every)
    if has.operator == "has":
        fits = text.contains(wanted[0], autoescape=True)
        if has.holds:
            return sa.or_(fits, sa.not_(whole)) if loose else fits
        return sa.not_(fits) if loose else sa.and_(sa.not_(fits), whole)
    fits = text.like(_like(wanted[0]), escape="\\")
    told = fits if has.holds else sa.not_(fits)
    return sa.or_(told, sa.not_(whole)) if loose else sa.and_(told, whole)


def _like(pattern: str) -> str:
    escaped = "".join(f"\\{c}" if c in "%_\\" else c for c in pattern)
    return escaped.replace("*", "%").replace("?", "_")


def _number(has: Has, *, loose: bool) -> Clause:
    column = traits.c.number
    found = []
    for value in has.values:
        wanted = number(value)
        large = abs(wanted) > _EXACT
        slack = (abs(wanted) * _SLACK if large else 0) * (1 if loose else -1)
        found.append(_compare(has, column, wanted, slack))
    if has.operator == "=" and not has.holds:
        return sa.and_(*found)
    return sa.or_(*found)


_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def _compare(has: Has, column: sa.ColumnElement[Any], wanted: float, slack: float) -> Clause:
    operator = has.operator
    if operator == "=":
        if has.holds:
            return sa.and_(column >= wanted - slack, column <= wanted + slack)
        return sa.or_(column < wanted + slack, column > wanted - slack)
    if not has.holds:
        operator = _OPPOSITE[operator]
    if operator in (">", ">="):
        return column >= wanted - slack if operator == ">=" else column > wanted - slack
    return column <= wanted + slack if operator == "<=" else column < wanted + slack


def _row(has: Has) -> Clause:
    """Columns of the record's row, compared as conditions do."""
    if has.column == "state":
        folded = {fold(str(value)) for value in has.values}
        known = [state for state in State if _state(has, state, folded) is has.holds]
        return machines.c.state.in_(known)
    column = machines.c[has.column]
    if has.column == "permitted":
        return column.is_(bool(has.values[0]) is has.holds)
    moments = [value for value in has.values if isinstance(value, datetime)]
    if has.operator == "=":
        return column.in_(moments) if has.holds else column.not_in(moments)
    operator = has.operator if has.holds else _OPPOSITE[has.operator]
    told: Clause = column.op(operator)(moments[0])
    return told


def _state(has: Has, state: State, folded: set[str]) -> bool:
    """ "has" and "matches" are left to conditions.py: there are ten states."""
    return fold(state) in folded if has.operator == "=" else has.holds
