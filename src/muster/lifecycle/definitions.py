# SPDX-License-Identifier: Apache-2.0
"""The kinds of definitions that give tags, each with how it is checked, tried and renewed.

A new kind is one entry of KINDS: api and cli take it from there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from muster.lifecycle.survey import LSHW, RESOURCES
from muster.lifecycle.xpath import BadXPath, XPath, read_tree
from muster.machine.conditions import Node, Verdict, evaluate
from muster.machine.grammar import BadExpression
from muster.machine.tagging import BadDefinition, definition
from muster.store import facts, findings, runs
from muster.store.engine import Tx
from muster.store.machines import Machine
from muster.wire.codec import BadMessage

AT_ONCE = 500
XPATH_WITHIN_S = 0.25
"""For one machine: its report waits for it."""

Verdicts = Mapping[str, Verdict]
"""By machine id."""


@dataclass(frozen=True)
class Kind:
    """`check` raises BadMessage; `reads` are the scripts whose output makes it worth trying anew.

    `evaluate` takes machines that it may read from the transaction, and leaves none of them out;
    `at_once` is how many of them cost the writer's lock some tens of milliseconds.
    """

    check: Callable[[str], object]
    evaluate: Callable[[Tx, str, Sequence[Machine]], Verdicts]
    reads: frozenset[str]
    at_once: int = AT_ONCE


@lru_cache(maxsize=1024)
def _node(text: str) -> Node:
    try:
        return definition(text)
    except (BadExpression, BadDefinition) as error:
        raise BadMessage("definition", str(error).removeprefix("filter: ")) from error


def _expression(tx: Tx, text: str, machines: Sequence[Machine]) -> Verdicts:
    node = _node(text)
    known = facts.of(tx, machines)
    return {machine.id: evaluate(node, known[machine.id]) for machine in machines}


@lru_cache(maxsize=1024)
def _xpath(text: str) -> XPath:
    try:
        return XPath(text)
    except BadXPath as error:
        raise BadMessage("definition", str(error)) from error


def _of_tree(tx: Tx, text: str, machines: Sequence[Machine]) -> Verdicts:
    """By what lshw printed when it was last read; without that nothing is known."""
    kept = findings.results(tx, [machine.id for machine in machines], "lshw")
    unknown = Verdict(holds=None, because="lshw was never read")
    return {
        machine.id: _ask(_xpath(text), runs.output(tx, kept[machine.id], stream="stdout"))
        if machine.id in kept
        else unknown
        for machine in machines
    }


def _ask(question: XPath, printed: bytes) -> Verdict:
    try:
        return question.ask(read_tree(printed), within_s=XPATH_WITHIN_S)
    except BadXPath as error:
        return Verdict(holds=None, because=str(error))


KINDS: dict[str, Kind] = {
    "expression": Kind(_node, _expression, frozenset({RESOURCES})),
    "xpath": Kind(_xpath, _of_tree, frozenset({LSHW}), at_once=10),
}


def check(kind: str, text: str) -> None:
    """Raises BadMessage for a kind that there is not, or a definition that is none."""
    if not kind:
        if text:
            raise BadMessage("kind", f"a definition needs one of: {', '.join(KINDS)}")
        return
    if kind not in KINDS:
        raise BadMessage("kind", f"{kind!r} must be one of {', '.join(KINDS)}, or empty")
    KINDS[kind].check(text)
