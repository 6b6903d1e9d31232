# SPDX-License-Identifier: Apache-2.0
"""The language of conditions: `memory >= 512GiB and nic.vendor has "Mellanox"`.

    condition   = and-chain { "or" and-chain }
    and-chain   = negation { "and" negation }
    negation    = "not" negation | "(" condition ")" | quantified | test
    quantified  = ("any" | "all") "(" condition ")" | "count" "(" condition ")" operator number
    test        = column | column operator value | column ["not"] "in" "(" value { "," value } ")"
                | column "is" ("known" | "unknown")
    operator    = "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "has" | "matches"

Whoever may list machines may send one: length, tests and depth are limited, and nothing in a
condition can make its evaluation slower than tests times items.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from muster.machine.columns import COLUMNS, Column
from muster.machine.conditions import (
    ORDERED,
    TEXTUAL,
    Compare,
    Each,
    IsKnown,
    Literal,
    Node,
    Not,
    Several,
    columns_of,
)
from muster.machine.quantities import ALL_UNITS, EXAMPLES, Kind, Unfit, number, words

LENGTH = 2000
DEPTH = 20
TESTS = 64

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<moment>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?)
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<word>[A-Za-z_][A-Za-z0-9_./-]*)
      | (?P<sign><=|>=|!=|==|=|<|>|\(|\)|,)""",
    re.ASCII | re.VERBOSE | re.DOTALL,
)
_KEYWORDS = frozenset("and or not any all count is in has matches".split())
_COMPARISONS = ("=", "==", "!=", *ORDERED, *TEXTUAL)


class BadExpression(ValueError):
    """A condition that cannot be read: where, why, and the remedy."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int

    def is_(self, *texts: str) -> bool:
        lower = self.text.lower() if self.kind == "word" else self.text
        return self.kind in ("word", "sign") and lower in texts


def parse(text: str) -> Node:
    """The condition in `text`; raises BadExpression."""
    if len(text) > LENGTH:
        raise BadExpression(f"filter: {len(text)} characters long, the limit is {LENGTH}")
    return _Parser(list(_tokens(text))).whole()


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            why = "a quoted text that does not end: close its quote"
            if text[at] not in "\"'":
                why = f"{text[at]!r} is no part of a condition: put texts in quotes"
            raise BadExpression(f"filter: character {at + 1}: {why}")
        if found.lastgroup != "space":
            yield _Token(found.lastgroup or "", found[0], at + 1)
        at = found.end()
    yield _Token("end", "", len(text) + 1)


class _Parser:
    """Reads one condition, token by token; knows how deep it is and in whose any(...)."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._tests = 0
        self._in_block = False

    def whole(self) -> Node:
        if self._peek().kind == "end":
            raise BadExpression('filter: is empty: write a condition, as state = "Ready"')
        node = self._either()
        if self._peek().kind != "end":
            self._fail("expected and, or, or the end")
        return node

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def _accept(self, *texts: str) -> bool:
        found = self._peek().is_(*texts)
        self._next += found
        return found

    def _expect(self, text: str, remedy: str) -> None:
        if not self._accept(text):
            self._fail(f"expected {text!r}{remedy}")

    def _fail(self, why: str) -> NoReturn:
        token = self._peek()
        met = f"at {token.text[:40]!r}" if token.text else "at the end"
        raise BadExpression(f"filter: character {token.at}, {met}: {why}")

    def _either(self) -> Node:
        return self._chain("or", self._both)

    def _both(self) -> Node:
        return self._chain("and", self._negation)

    def _chain(self, word: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self._accept(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Several(word, tuple(parts))

    def _negation(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH:
            self._fail(f"nested deeper than {DEPTH}: take parentheses out")
        node = self._one()
        self._depth -= 1
        return node

    def _one(self) -> Node:
        if self._accept("not"):
            return Not(self._negation())
        if self._accept("("):
            node = self._either()
            self._expect(")", " for the parenthesis that was opened")
            return node
        if self._peek().is_("any", "all", "count"):
            return self._quantified()
        return self._test()

    def _quantified(self) -> Node:
        word = self._take().text.lower()
        if self._in_block:
            self._fail(f"{word}(...) cannot stand in another any, all or count: put it outside")
        self._expect("(", f": write {word}(disk.size >= 1TB)")
        self._in_block = True
        inner = self._either()
        self._in_block = False
        self._expect(")", f" for the one of {word}")
        of = self._one_list(word, inner)
        if word != "count":
            return Each(word, of, inner)
        sign = self._take()
        if not sign.is_("=", "==", "!=", *ORDERED):
            raise BadExpression(f"filter: count({of}...): compare it, as count(...) >= 2")
        value = self._value(Column("count", Kind.NUMBER, (), ""))
        return Each(word, of, inner, sign.text.replace("==", "="), value)

    def _one_list(self, word: str, inner: Node) -> str:
        lists = sorted({column.of for column in columns_of(inner) if column.of})
        if not lists:
            self._fail(f"{word}(...) needs a column of a list, as disk.size or nic.speed")
        if len(lists) > 1:
            told = " and ".join(lists)
            self._fail(f"{word}(...) is about one list, not {told}: write one for each")
        return lists[0]

    def _test(self) -> Node:
        self._tests += 1
        if self._tests > TESTS:
            self._fail(f"more than {TESTS} tests: ask in several conditions")
        column = self._column()
        if self._accept("is"):
            return self._is_known(column)
        negative = self._peek().is_("not") and self._tokens[self._next + 1].is_("in")
        self._next += negative
        if self._accept("in"):
            node: Node = Compare(column, "in", self._values(column))
            return Not(node) if negative else node
        sign = self._peek()
        if not sign.is_(*_COMPARISONS):
            return self._flag(column)
        self._take()
        operator = "=" if sign.text == "==" else sign.text.lower()
        self._check_operator(column, operator)
        return Compare(column, operator, (self._value(column),))

    def _column(self) -> Column:
        token = self._peek()
        if token.kind != "word" or token.text.lower() in _KEYWORDS:
            self._fail("expected a column, as memory, state or nic.vendor")
        column = COLUMNS.get(token.text.lower())
        if column is None:
            near = get_close_matches(token.text.lower(), COLUMNS, n=3, cutoff=0.5)
            remedy = f"did you mean {' or '.join(near)}?" if near else "see docs/filter.md"
            raise BadExpression(
                f"filter: character {token.at}: there is no column {token.text[:40]!r}; {remedy}"
            )
        self._take()
        return column

    def _is_known(self, column: Column) -> Node:
        token = self._take()
        if not token.is_("known", "unknown"):
            raise BadExpression(
                f'filter: {column.name}: after "is" comes known or unknown;'
                f" to compare write {column.name} = {EXAMPLES[column.kind]}"
            )
        return IsKnown(column, token.is_("known"))

    def _flag(self, column: Column) -> Node:
        if column.kind is not Kind.FLAG:
            self._fail(
                f"{column.name} is {column.kind}: compare it, as {column.name}"
                f" {'has' if column.kind is Kind.TEXT else '>='} {EXAMPLES[column.kind]}"
            )
        return Compare(column, "=", (Literal(value=True, text="yes"),))

    def _check_operator(self, column: Column, operator: str) -> None:
        why = ""
        if operator in TEXTUAL and column.kind is not Kind.TEXT:
            why = f"is {column.kind}: {operator!r} is for text; use = or >="
        if operator in ORDERED and column.kind in (Kind.TEXT, Kind.FLAG):
            why = f"is {column.kind}: it has no order; use =, !=, in, has or matches"
        if operator == "!=" and column.of and not self._in_block:
            why = (
                f"is one of each {column.of}: write any({column.name} != ...) or"
                f" not {column.name} = ..."
            )
        if why:
            raise BadExpression(f"filter: {column.name} {why}")

    def _values(self, column: Column) -> tuple[Literal, ...]:
        self._expect("(", f': write {column.name} in ("one", "other")')
        values = [self._value(column)]
        while self._accept(","):
            values.append(self._value(column))
        self._expect(")", " or a comma")
        return tuple(values)

    def _value(self, column: Column) -> Literal:
        token = self._peek()
        if token.kind not in ("number", "text", "word", "moment") or (
            token.kind == "word" and token.text.lower() in _KEYWORDS
        ):
            self._fail(f"expected a value for {column.name}, as {EXAMPLES[column.kind]}")
        self._take()
        try:
            if token.kind == "number":
                unit = self._unit()
                return Literal(
                    number(token.text, unit, column.kind), f"{token.text} {unit}".strip()
                )
            text = _unquoted(token.text) if token.kind == "text" else token.text
            return Literal(words(text, column.kind), text)
        except Unfit as error:
            raise BadExpression(f"filter: {column.name} {error}") from error

    def _unit(self) -> str:
        """The word behind a number, unless it is apart from it and no unit at all."""
        before, token = self._tokens[self._next - 1], self._peek()
        if token.kind != "word":
            return ""
        touches = before.at + len(before.text) == token.at
        return self._take().text if touches or token.text.lower() in ALL_UNITS else ""


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
