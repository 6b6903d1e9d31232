# SPDX-License-Identifier: Apache-2.0
"""One verb on many machines: each has its own transaction and its own outcome."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from muster.lifecycle import commission, judging, notes, pools, power, tags, test
from muster.lifecycle.commission import Options
from muster.lifecycle.policy import Policy
from muster.machine.states import Refused, State
from muster.power.drivers import PowerError
from muster.store import machines
from muster.store.engine import Conflict, Missing, Store, StoreError, Tx
from muster.store.machines import Machine
from muster.store.tags import of_machine
from muster.wire.codec import BadMessage

MOST = 1000
Action = Literal[
    "commission", "test", "abort", "accept", "deny", "on", "off", "cycle", "tag", "untag", "pool",
    "note", "mark-broken", "mark-fixed", "override", "delete",
]  # fmt: skip


@dataclass(frozen=True)
class How:
    """What an action may be given; `text` is a tag, a pool, a note or a reason."""

    text: str = ""
    options: Options = field(default_factory=Options)
    destroy: Sequence[str] = ()
    boot_device: str = ""


@dataclass(frozen=True)
class Outcome:
    """`outcome`: done, unchanged, refused (`why`) or missing. `operation` is what to wait for."""

    reference: str
    machine: str
    name: str
    outcome: Literal["done", "unchanged", "refused", "missing"]
    why: str = ""
    operation: str = ""


@dataclass(frozen=True)
class One:
    """One machine's turn."""

    store: Store
    policy: Policy
    machine: Machine
    how: How
    who: Mapping[str, Any]

    @property
    def options(self) -> Options:
        """A destructive script needs this machine's own name said again."""
        named = self.machine.name in self.how.destroy or self.machine.id in self.how.destroy
        return replace(self.how.options, destroy=self.machine.id if named else "")


def act(
    store: Store, policy: Policy, action: Action, references: Sequence[str], how: How, *,
    actor: str, now: datetime,
) -> list[Outcome]:  # fmt: skip
    """Each machine by id or name, in this order; one that refuses keeps no other."""
    who = {"actor": actor, "now": now}
    seen: set[str] = set()
    found = []
    for reference in references:
        with store.read() as tx:
            try:
                machine = machines.find(tx, reference)
            except Missing as error:
                found.append(Outcome(reference, "", "", "missing", str(error)))
                continue
            already = "is named twice" if machine.id in seen else _already(tx, action, machine, how)
        seen.add(machine.id)
        if already:
            found.append(Outcome(reference, machine.id, machine.name, "unchanged", already))
        else:
            found.append(_tried(action, reference, One(store, policy, machine, how, who)))
    return found


def _tried(action: Action, reference: str, one: One) -> Outcome:
    machine = one.machine
    try:
        operation = _VERBS[action](one) or ""
    except Missing as error:
        return Outcome(reference, machine.id, machine.name, "missing", str(error))
    except (StoreError, Refused, PowerError, BadMessage) as error:
        return Outcome(reference, machine.id, machine.name, "refused", str(error))
    return Outcome(reference, machine.id, machine.name, "done", operation=operation)


def _already(tx: Tx, action: Action, machine: Machine, how: How) -> str:
    """Why there is nothing to do, or ""."""
    if action == "accept" and machine.permitted:
        return "may send its data already"
    if action == "deny" and machine.denied_reason and not machine.permitted:
        return "is denied already"
    if action == "pool" and machine.pool == how.text:
        return f"is in {how.text or 'no pool'} already"
    if action == "mark-broken" and machine.state == State.BROKEN:
        return "is Broken already"
    if action in ("tag", "untag"):
        given = [row for row in of_machine(tx, machine.id) if row.tag == how.text]
        if action == "tag" and any(row.source == "hand" for row in given):
            return "has it already"
        if action == "untag" and not given:
            return "does not have it"
    return ""


def _commission(one: One) -> str:
    run = commission.start(one.store, one.policy, one.machine.id, one.options, **one.who)
    return f"run-{run}"


def _test(one: One) -> str:
    return f"run-{test.start(one.store, one.policy, one.machine.id, one.options, **one.who)}"


def _power(one: One, goal: str) -> str:
    return power.ask(one.store, one.policy, one.machine.id, goal, boot_device=one.how.boot_device,
                     **one.who)  # fmt: skip


def _tag(one: One, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
    (outcome,) = tags.by_hand(one.store, one.how.text, add=add, remove=remove, **one.who)
    if not outcome.done:
        raise Conflict(outcome.why)


def _note(one: One) -> None:
    notes.add(one.store, one.machine.id, one.how.text, **one.who)


_VERBS: dict[Action, Callable[[One], str | None]] = {
    "commission": _commission,
    "test": _test,
    "abort": lambda one: commission.abort(one.store, one.policy, one.machine.id, **one.who),
    "accept": lambda one: commission.accept(one.store, one.machine.id, **one.who),
    "deny": lambda one: commission.deny(one.store, one.machine.id, reason=one.how.text, **one.who),
    "on": lambda one: _power(one, "on"),
    "off": lambda one: _power(one, "off"),
    "cycle": lambda one: _power(one, "cycle"),
    "tag": lambda one: _tag(one, add=[one.machine.id]),
    "untag": lambda one: _tag(one, remove=[one.machine.id]),
    "pool": lambda one: pools.put(one.store, one.machine.id, one.how.text, **one.who),
    "note": _note,
    "mark-broken": lambda one: judging.broken(
        one.store, one.machine.id, reason=one.how.text, **one.who
    ),
    "mark-fixed": lambda one: judging.fixed(
        one.store, one.machine.id, reason=one.how.text, **one.who
    ),
    "override": lambda one: test.override(
        one.store, one.machine.id, reason=one.how.text, **one.who
    ),
    "delete": lambda one: commission.delete(one.store, one.machine.id, **one.who),
}
