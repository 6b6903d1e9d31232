# SPDX-License-Identifier: Apache-2.0
"""The kinds of definitions that give tags, each with how it is checked, tried and renewed.

A new kind is one entry of KINDS: api and cli take it from there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from muster.lifecycle.survey import RESOURCES
from muster.machine.conditions import Node, Verdict, evaluate
from muster.machine.grammar import BadExpression
from muster.machine.tagging import BadDefinition, definition
from muster.store import facts
from muster.store.engine import Tx
from muster.store.machines import Machine
from muster.wire.codec import BadMessage

Verdicts = Mapping[str, Verdict]
"""By machine id."""


@dataclass(frozen=True)
class Kind:
    """`check` raises BadMessage; `reads` are the scripts whose output makes it worth trying anew.

    `evaluate` takes machines that it may read from the transaction, and leaves none of them out.
    """

    check: Callable[[str], object]
    evaluate: Callable[[Tx, str, Sequence[Machine]], Verdicts]
    reads: frozenset[str]


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


KINDS: dict[str, Kind] = {
    "expression": Kind(_node, _expression, frozenset({RESOURCES})),
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
