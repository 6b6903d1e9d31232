# SPDX-License-Identifier: Apache-2.0
"""Which machines a condition can hold for at all, in terms that a database has indexes for.

The answer is never too narrow, and often exact. Whether the condition holds, and why, is then
said by `conditions.evaluate` for these few; so a database's idea of text, numbers and what is not
known can differ from ours without changing an answer.
"""

from dataclasses import dataclass

from muster.machine.conditions import Compare, Each, IsKnown, Node, Not, Several
from muster.machine.quantities import Value
from muster.machine.traits import COVERED, KNOWN_LISTS

RECORD = ("state", "permitted", "created_at", "updated_at", "surveyed_at")
"""Columns that are asked of the record's own row."""

TAG = "tag"
"""A list that is always known and has a table of its own."""


@dataclass(frozen=True)
class Has:
    """Some value of `column` for which `operator values` comes to `holds`; "known" takes any."""

    column: str
    operator: str = "known"
    values: tuple[Value, ...] = ()
    holds: bool = True


@dataclass(frozen=True)
class Lacks:
    """No such value."""

    inner: Has


@dataclass(frozen=True)
class Row:
    """As Has, of a column of the record's own row."""

    has: Has


@dataclass(frozen=True)
class Word:
    """Some value with a word that begins with one of these."""

    starts: tuple[str, ...]


@dataclass(frozen=True)
class Combined:
    """`word` is "and" or "or"."""

    word: str
    parts: tuple["Narrow", ...]


Narrow = Has | Lacks | Row | Word | Combined


def narrow(node: Node, *, wanted: bool = True) -> Narrow | None:
    """Machines for which `node` may come to `wanted`; None is all of them."""
    if isinstance(node, Not):
        return narrow(node.inner, wanted=not wanted)
    if isinstance(node, Several):
        parts = [narrow(part, wanted=wanted) for part in node.parts]
        return combined("and" if (node.word == "and") is wanted else "or", parts)
    if isinstance(node, Each):
        return _each(node, wanted=wanted)
    if node.column.of:
        return _outside(node, wanted=wanted)
    return _test(node, wanted=wanted)


def combined(word: str, parts: list[Narrow | None]) -> Narrow | None:
    """All of `parts`, or any of them."""
    known = tuple(part for part in parts if part is not None)
    if not known or (word == "or" and len(known) < len(parts)):
        return None
    return known[0] if len(known) == 1 else Combined(word, known)


def _test(node: Compare | IsKnown, *, wanted: bool) -> Narrow | None:
    name = node.column.name
    if isinstance(node, IsKnown):
        if name not in COVERED:
            return None
        return Has(name) if node.known is wanted else Lacks(Has(name))
    has = _has(node, wanted=wanted)
    if name in RECORD:
        return Row(has)
    return has if name in COVERED or name == TAG else None


def _has(node: Compare, *, wanted: bool) -> Has:
    values = tuple(literal.value for literal in node.values)
    if node.operator == "!=":
        return Has(node.column.name, "=", values, holds=not wanted)
    operator = "=" if node.operator == "in" else node.operator
    return Has(node.column.name, operator, values, holds=wanted)


def _outside(node: Compare | IsKnown, *, wanted: bool) -> Narrow | None:
    """A list's column outside of any(...)."""
    if isinstance(node, IsKnown):
        # An item that does not state it and a list that is not known are both "unknown".
        return _item(node, wanted=True) if node.known and wanted else None
    return _each(Each("any", node.column.of, node), wanted=wanted)


def _each(node: Each, *, wanted: bool) -> Narrow | None:
    some = _item(node.inner, wanted=True)
    if node.quantifier == "count":
        at_least_one = node.operator in (">", ">=", "=") and node.number is not None
        if wanted and at_least_one and _needs_one(node):
            return some
        return _known(node.of)
    if node.quantifier == "any":
        return some if wanted else _no_item(node, holds=True)
    if wanted:
        return _no_item(node, holds=False)
    return _item(node.inner, wanted=False)


def _needs_one(node: Each) -> bool:
    assert node.number is not None
    least = node.number.value
    assert not isinstance(least, str)
    return bool(least >= 0 if node.operator == ">" else least > 0)  # type: ignore[operator]


def _no_item(node: Each, *, holds: bool) -> Narrow | None:
    """Machines without an item for which the one test inside comes to `holds`."""
    known = _known(node.of)
    inner = _item(node.inner, wanted=holds)
    if not isinstance(node.inner, Compare) or not isinstance(inner, Has):
        return known
    return combined("and", [part for part in (known, Lacks(inner)) if part])


def _item(node: Node, *, wanted: bool) -> Narrow | None:
    """Machines with an item for which `node` may come to `wanted`."""
    if isinstance(node, Not):
        return _item(node.inner, wanted=not wanted)
    if isinstance(node, Several):
        parts = [_item(part, wanted=wanted) for part in node.parts]
        return combined("and" if (node.word == "and") is wanted else "or", parts)
    assert not isinstance(node, Each)
    if isinstance(node, IsKnown) and node.column.of:
        covered = node.column.name in COVERED
        return Has(node.column.name) if covered and node.known is wanted else None
    return _test(node, wanted=wanted)


def _known(of: str) -> Narrow | None:
    """Machines whose list is known; traits.py says so by a trait of the list's own name."""
    return Has(of) if of in KNOWN_LISTS else None
