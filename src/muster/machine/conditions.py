# SPDX-License-Identifier: Apache-2.0
"""Conditions over a machine's facts, and what they come to: yes, no or not known, and why.

grammar.py reads them from text. What is not known is neither yes nor no (Kleene's logic):
`not memory >= 1GiB` is not known either when the memory is not. `any` of no items is no and
`all` of no items is yes, as everywhere in logic.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from muster.machine.columns import Column, Facts, items
from muster.machine.quantities import Kind, Value, shown, told

BECAUSE_LIMIT = 500
_VALUES_TOLD = 3


@dataclass(frozen=True)
class Verdict:
    """`holds` is None where too little is known; `because` is the reason without full stop."""

    holds: bool | None
    because: str


@dataclass(frozen=True)
class Literal:
    """A value of the condition, and how it was written."""

    value: Value
    text: str


@dataclass(frozen=True)
class Compare:
    """`column operator values`; more than one value only for `in`."""

    column: Column
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class IsKnown:
    """`column is known`, or unknown."""

    column: Column
    known: bool


@dataclass(frozen=True)
class Not:
    """The contrary."""

    inner: "Node"


@dataclass(frozen=True)
class Several:
    """`word` is "and" or "or"."""

    word: str
    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Each:
    """`any(...)`, `all(...)`, or `count(...) >= 2`: of one list, all columns of the same item."""

    quantifier: str
    of: str
    inner: "Node"
    operator: str = ""
    number: Literal | None = None


Node = Compare | IsKnown | Not | Several | Each


def evaluate(node: Node, facts: Facts) -> Verdict:
    """What `node` comes to for a machine; never raises for any facts."""
    found = _evaluate(node, facts, None)
    if len(found.because) > BECAUSE_LIMIT:
        return Verdict(found.holds, found.because[: BECAUSE_LIMIT - 1] + "…")
    return found


def _evaluate(node: Node, facts: Facts, item: Any) -> Verdict:
    if isinstance(node, Not):
        inner = _evaluate(node.inner, facts, item)
        return Verdict(None if inner.holds is None else not inner.holds, inner.because)
    if isinstance(node, Several):
        return _several(node, facts, item)
    if isinstance(node, Each):
        return _each(node, facts)
    if node.column.of and item is None:
        return _some_item(node, facts)
    return _leaf(node, facts if item is None or not node.column.of else item, facts)


def _several(node: Several, facts: Facts, item: Any) -> Verdict:
    """One no decides "and"; one yes decides "or"; else what is not known does."""
    decisive = node.word == "or"
    verdicts = []
    for part in node.parts:
        verdict = _evaluate(part, facts, item)
        if verdict.holds is decisive:
            return verdict
        verdicts.append(verdict)
    unknown = [verdict for verdict in verdicts if verdict.holds is None]
    because = " and ".join(verdict.because for verdict in unknown or verdicts)
    return Verdict(None if unknown else not decisive, because)


def _some_item(node: Compare | IsKnown, facts: Facts) -> Verdict:
    """A list's column outside of any(...) means that at least one item is so."""
    of = node.column.of
    if isinstance(node, IsKnown) and items(facts, of) is None:
        return Verdict(not node.known, _unknown(of, facts))
    return _each(Each("any", of, node), facts)


def _each(node: Each, facts: Facts) -> Verdict:
    found = items(facts, node.of)
    if found is None:
        return Verdict(None, _unknown(node.of, facts))
    if node.quantifier == "count":
        return _count(node, facts, found)
    wanted = node.quantifier == "any"
    others = []
    for item in found:
        verdict = _evaluate(node.inner, facts, item)
        if verdict.holds is wanted:
            return Verdict(wanted, f"{_which(node.of, item)}: {verdict.because}")
        others.append((item, verdict))
    unknown = [(item, verdict) for item, verdict in others if verdict.holds is None]
    if not others:
        return Verdict(not wanted, f"it has no {node.of}")
    holds = None if unknown else not wanted
    return Verdict(holds, _list_of(node.of, unknown or others))


def _count(node: Each, facts: Facts, found: list[Any]) -> Verdict:
    """Not known when the items of which too little is known could change the answer."""
    verdicts = [_evaluate(node.inner, facts, item).holds for item in found]
    least = verdicts.count(True)
    most = least + verdicts.count(None)
    assert node.number is not None
    compare = _OPERATORS[node.operator]
    # Every operator but = and != is monotone, and for these the numbers between matter too.
    answers = {compare(number, (node.number.value,)) for number in range(least, most + 1)}
    because = f"{least} of {len(found)} {node.of}s are so"
    if len(answers) > 1:
        return Verdict(None, f"{because} and of {most - least} too little is known")
    return Verdict(answers.pop(), because)


def _leaf(node: Compare | IsKnown, where: Any, facts: Facts) -> Verdict:
    column = node.column
    value = _read(column, where)
    if isinstance(node, IsKnown):
        known = value is not None
        return Verdict(known is node.known, f"{column.label} is {'' if known else 'not '}known")
    if value is None:
        return Verdict(None, _unknown(column.label, facts))
    holds = _OPERATORS[node.operator](value, tuple(literal.value for literal in node.values))
    seen = told(value, column.kind, decimal=column.of == "disk")
    because = f"{column.label} is {seen}"
    if not holds and column.kind is not Kind.FLAG:
        wanted = ", ".join(literal.text for literal in node.values[:_VALUES_TOLD])
        more = ", …" if len(node.values) > _VALUES_TOLD else ""
        because += f", not {node.operator} {shown(wanted)}{more}"
    return Verdict(holds, because)


def _read(column: Column, where: Any) -> Any:
    if not column.path:
        return where if isinstance(where, str) and where else None
    return column.read(where)


def _unknown(what: str, facts: Facts) -> str:
    why = "its document does not state it"
    if not facts.get("hardware"):
        why = "it has sent no resources document that could be read"
    return f"{what} is not known: {why}"


def _which(of: str, item: Any) -> str:
    """A name for an item: that of the interface, disk or slot."""
    named = item
    if isinstance(item, dict):
        named = item.get("name") or item.get("slot") or item.get("product") or ""
    return f"{of} {shown(named)}".rstrip()


def _list_of(of: str, others: list[tuple[Any, Verdict]]) -> str:
    told = [f"{_which(of, item)}: {verdict.because}" for item, verdict in others[:_VALUES_TOLD]]
    more = len(others) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def _equal(value: Any, wanted: tuple[Value, ...]) -> bool:
    return any(_fold(value) == _fold(one) for one in wanted)


def _fold(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _has(value: Any, wanted: tuple[Value, ...]) -> bool:
    return bool(_fold(wanted[0]) in _fold(value))


def _matches(value: Any, wanted: tuple[Value, ...]) -> bool:
    """`*` any characters, `?` one. Two fingers, so that no pattern takes long."""
    text, pattern = _fold(value), str(_fold(wanted[0]))
    at = on = mark = 0
    star = -1
    while at < len(text):
        if on < len(pattern) and pattern[on] == "*":
            star, mark = on, at
            on += 1
        elif on < len(pattern) and pattern[on] in ("?", text[at]):
            at, on = at + 1, on + 1
        elif star >= 0:
            mark += 1
            at, on = mark, star + 1
        else:
            return False
    return not pattern[on:].strip("*")


_OPERATORS: dict[str, Callable[[Any, tuple[Any, ...]], bool]] = {
    "=": _equal,
    "!=": lambda value, wanted: not _equal(value, wanted),
    "in": _equal,
    "<": lambda value, wanted: bool(value < wanted[0]),
    "<=": lambda value, wanted: bool(value <= wanted[0]),
    ">": lambda value, wanted: bool(value > wanted[0]),
    ">=": lambda value, wanted: bool(value >= wanted[0]),
    "has": _has,
    "matches": _matches,
}

ORDERED = ("<", "<=", ">", ">=")
TEXTUAL = ("has", "matches")


def columns_of(node: Node) -> Iterator[Column]:
    """Every column that a condition asks for."""
    if isinstance(node, Compare | IsKnown):
        yield node.column
    elif isinstance(node, Several):
        for part in node.parts:
            yield from columns_of(part)
    else:
        yield from columns_of(node.inner)
