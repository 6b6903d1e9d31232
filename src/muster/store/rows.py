# SPDX-License-Identifier: Apache-2.0
"""A database row as a frozen dataclass: the columns whose names the dataclass has."""

import dataclasses
from typing import Any, TypeVar

import sqlalchemy as sa

T = TypeVar("T")


def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def columns(kind: type[Any], table: sa.Table) -> list[sa.Column[Any]]:
    """The columns of `table` that `kind` has fields for."""
    return [table.c[name] for name in _names(kind) if name in table.c]


def to(kind: type[T], row: sa.Row[Any] | None) -> T | None:
    """The row as `kind`, or None."""
    return kind(**{n: row._mapping[n] for n in _names(kind)}) if row is not None else None


def all_to(kind: type[T], rows: sa.CursorResult[Any]) -> list[T]:
    """Every row as `kind`."""
    names = _names(kind)
    return [kind(**{n: row._mapping[n] for n in names}) for row in rows]
