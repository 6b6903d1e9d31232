# SPDX-License-Identifier: Apache-2.0
"""What a rule may do, which rules wait for others, and which cannot stand beside each other."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from muster.machine import names
from muster.machine.conditions import Compare, Each, IsKnown, Node, Not, Several
from muster.machine.tagging import REMEDY, valid

_WORDS = ("serial", "uuid", "mac", "id", "vendor", "product")
_PLACE = re.compile(r"\{([a-z]*)\}")


class BadRule(ValueError):
    """A rule that cannot be; `field` and why, with the remedy."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


@dataclass(frozen=True)
class Actions:
    """What happens to a machine for which the condition holds.

    `accept`: it may send its data. `commission`: and a New machine is commissioned, with
    `scripts` and `tests`. `hold`, a reason: it waits for a person, whatever other rules say.
    `name`: a pattern as "web-{serial}", for New machines. `notify`: an event when it begins.
    """

    tags: tuple[str, ...] = ()
    pool: str = ""
    name: str = ""
    accept: bool = False
    commission: bool = False
    scripts: tuple[str, ...] = ()
    tests: tuple[str, ...] = ("commissioning",)
    hold: str = ""
    notify: bool = False


@dataclass(frozen=True)
class Rule:
    """A lower `priority` comes first and decides where two rules want what can be but once."""

    name: str
    priority: int
    condition: Node
    actions: Actions = field(default_factory=Actions)


def check(actions: Actions) -> None:
    """Raises BadRule for actions that can never be carried out."""
    if actions == Actions():
        raise BadRule("actions", "a rule must do something: tags, pool, name, commission, hold ...")
    for tag in (*actions.tags, *([actions.pool] if actions.pool else [])):
        if not valid(tag):
            raise BadRule("tags" if tag in actions.tags else "pool",
                          f"{tag[:80]!r} is no name: {REMEDY}")  # fmt: skip
    if actions.name:
        words = _PLACE.findall(actions.name)
        if not words or set(words) - set(_WORDS):
            told = ", ".join(f"{{{word}}}" for word in _WORDS)
            raise BadRule("name", f"a pattern needs one of {told}, or all would be called the same")
        if not names.valid(_PLACE.sub("x", actions.name)):
            raise BadRule("name", f"{actions.name!r} makes no DNS label (a-z, 0-9 and -)")
    if actions.hold and (actions.accept or actions.commission):
        raise BadRule("hold", "a rule that holds cannot accept or commission: make two rules")
    if not actions.commission and (actions.scripts or actions.tests != ("commissioning",)):
        raise BadRule("scripts", "scripts and tests are chosen for a commissioning: add commission")


def named(pattern: str, facts: Mapping[str, Any]) -> str:
    """The name that `pattern` makes for a machine; "" where it states too little."""
    words = {word: str(facts.get(word) or "") for word in _WORDS}
    words["mac"] = next(iter(facts.get("macs") or ()), "").replace(":", "")
    if any(not words[word] for word in _PLACE.findall(pattern)):
        return ""
    return names.label(_PLACE.sub(lambda found: words[found[1]], pattern))


def asks(node: Node) -> Iterator[tuple[str, str]]:
    """(column, value) that a condition asks for and rules write; value "" means any."""
    if isinstance(node, Compare | IsKnown):
        exact = isinstance(node, Compare) and node.operator in ("=", "in")
        if node.column.name in ("tag", "pool", "name"):
            values = [str(v.value).casefold() for v in node.values] if exact else [""]  # type: ignore[union-attr]
            yield from ((node.column.name, value) for value in values)
    elif isinstance(node, Several):
        for part in node.parts:
            yield from asks(part)
    elif isinstance(node, Not | Each):
        yield from asks(node.inner)


def writes(actions: Actions) -> Iterator[tuple[str, str]]:
    """(column, value) that a rule gives; value "" means any."""
    yield from (("tag", tag.casefold()) for tag in actions.tags)
    if actions.pool:
        yield "pool", actions.pool.casefold()
    if actions.name:
        yield "name", ""


def waits(one: Rule, other: Rule) -> str:
    """What `one` asks for that `other` gives ("tag spare"), or ""."""
    for column, value in asks(one.condition):
        for given, what in writes(other.actions):
            if column == given and (not value or not what or value == what):
                return f"{column} {what or value}".rstrip()
    return ""


def ordered(rules: Iterable[Rule]) -> list[Rule]:
    """By priority, each after those whose work it asks for; raises BadRule for a ring."""
    left = sorted(rules, key=lambda rule: (rule.priority, rule.name))
    found: list[Rule] = []
    while left:
        ready = next((r for r in left if not any(waits(r, other) for other in left)), None)
        if ready is None:
            raise BadRule("condition", f"the rules go round: {_ring(left)}")
        found.append(ready)
        left.remove(ready)
    return found


def _ring(left: list[Rule]) -> str:
    walk = [left[0]]
    while True:
        behind = next(other for other in left if waits(walk[-1], other))
        if behind in walk:
            ring = [*walk[walk.index(behind) :], behind]
            break
        walk.append(behind)
    told = [
        f"{other.name} gives {waits(one, other)}, which {one.name} asks for"
        for one, other in pairwise(ring)
    ]
    return "; ".join(told)


def refuse_conflicts(rules: Iterable[Rule], defined: Iterable[str]) -> None:
    """Raises BadRule when two rules of one priority want different things that can be but once,

    or a rule gives a tag of `defined`, which only a definition gives.
    """
    known = sorted(rules, key=lambda rule: rule.name)
    taken = set(defined)
    for rule in known:
        if wrong := taken & set(rule.actions.tags):
            raise BadRule("tags", f"tag {min(wrong)} is given by its definition only")
    for number, one in enumerate(known):
        for other in known[number + 1 :]:
            if one.priority == other.priority and (what := _disagree(one.actions, other.actions)):
                raise BadRule(
                    "priority",
                    f"{one.name} and {other.name} both have {one.priority} and want another"
                    f" {what}: give them different priorities",
                )


def _disagree(one: Actions, other: Actions) -> str:
    for what in ("pool", "name"):
        if (
            getattr(one, what)
            and getattr(other, what)
            and getattr(one, what) != getattr(other, what)
        ):
            return what
    if one.commission and other.commission:
        return "" if (one.scripts, one.tests) == (other.scripts, other.tests) else "commissioning"
    return ""
