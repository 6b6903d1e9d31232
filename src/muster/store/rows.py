# SPDX-License-Identifier: Apache-2.0
"""A database row as a frozen dataclass: the columns whose names the dataclass has."""

import dataclasses
from collections.abc import Callable
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar

import sqlalchemy as sa

T = TypeVar("T")


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@cache
def _picked(kind: type[Any], given: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Takes the dataclass's fields from a row with the columns `given`, in their order."""
    places = [given.index(name) for name in _names(kind)]  # type: ignore[arg-type] # hashable
    if len(places) == 1:
        return lambda row: (row[places[0]],)
    return itemgetter(*places)


def columns(kind: type[Any], table: sa.Table) -> list[sa.Column[Any]]:
    """The columns of `table` that `kind` has fields for."""
    names = _names(kind)  # type: ignore[arg-type] # as above
    return [table.c[name] for name in names if name in table.c]


def to(kind: type[T], row: sa.Row[Any] | None) -> T | None:
    """The row as `kind`, or None."""
    if row is None:
        return None
    pick = _picked(kind, row._fields)  # type: ignore[arg-type] # as above
    return kind(*pick(row))


def all_to(kind: type[T], rows: sa.CursorResult[Any]) -> list[T]:
    """Every row as `kind`."""
    pick = _picked(kind, tuple(rows.keys()))  # type: ignore[arg-type] # as above
    return [kind(*pick(row)) for row in rows]
