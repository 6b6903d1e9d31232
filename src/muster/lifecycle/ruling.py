# SPDX-License-Identifier: Apache-2.0
"""What all rules together come to for one machine; nothing is changed here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from muster.machine.conditions import Verdict, evaluate
from muster.machine.rules import Rule, named
from muster.machine.states import State
from muster.store.machines import Machine

Choice = tuple[str, Rule]
"""What was chosen, and by which rule."""


@dataclass
class Ruling:
    """`tags` by rule; of what can be but once the first rule's wins. `passed` says over what."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pool: Choice | None = None
    name: Choice | None = None
    commission: Rule | None = None
    accept: Rule | None = None
    hold: Choice | None = None
    passed: dict[str, list[str]] = field(default_factory=dict)
    before: frozenset[str] = frozenset()

    @property
    def matches(self) -> dict[str, str]:
        """The rules that hold, and why."""
        return {name: verdict.because for name, verdict in self.verdicts.items() if verdict.holds}

    def would(self, rule: str, machine: Machine) -> list[str]:
        """What one rule would do to the machine as it is, in words."""
        new = machine.state == State.NEW
        told = [f"get tag {tag}" for tag in self.tags.get(rule, ()) if tag not in self.before]
        if self._by(self.pool, rule) and self.pool and self.pool[0] != machine.pool:
            told.append(f"go into pool {self.pool[0]}")
        if self._by(self.name, rule) and self.name and new and self.name[0] != machine.name:
            told.append(f"be called {self.name[0]}")
        if self._by(self.hold, rule) and new:
            told.append(f"wait for a person: {self.hold[0] if self.hold else ''}")
        if not self.hold and new:
            if self.commission and self.commission.name == rule:
                told.append("be commissioned")
            elif self.accept and self.accept.name == rule and not machine.permitted:
                told.append("be accepted")
        return told + self.passed.get(rule, [])

    @staticmethod
    def _by(choice: Choice | None, rule: str) -> bool:
        return choice is not None and choice[1].name == rule


def rule_on(order: Sequence[Rule], facts: Mapping[str, Any], others: set[str]) -> Ruling:
    """`others` are the machine's tags from all sources but rules."""
    found = Ruling(before=frozenset(facts["tags"]))
    known = {**facts, "tags": sorted(others)}
    for rule in order:
        verdict = found.verdicts[rule.name] = evaluate(rule.condition, known)
        if verdict.holds:
            _count(found, rule, known)
    return found


def _count(found: Ruling, rule: Rule, known: dict[str, Any]) -> None:
    """What this rule adds; rules behind it see its tags and pool."""
    actions = rule.actions
    if actions.tags:
        found.tags[rule.name] = actions.tags
        known["tags"] = sorted({*known["tags"], *actions.tags})
    if actions.pool and not found.pool:
        found.pool = (actions.pool, rule)
        known["pool"] = actions.pool
    elif found.pool and actions.pool and found.pool[0] != actions.pool:
        _passed(found, rule, f"not go into pool {actions.pool}", found.pool[1])
    if actions.name and (label := named(actions.name, known)):
        if not found.name:
            found.name = (label, rule)
        elif found.name[0] != label:
            _passed(found, rule, f"not be called {label}", found.name[1])
    found.commission = found.commission or (rule if actions.commission else None)
    found.accept = found.accept or (rule if actions.accept or actions.commission else None)
    if actions.hold and not found.hold:
        found.hold = (actions.hold, rule)


def _passed(found: Ruling, rule: Rule, what: str, first: Rule) -> None:
    found.passed.setdefault(rule.name, []).append(f"{what}: rule {first.name} comes first")
