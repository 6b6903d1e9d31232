# SPDX-License-Identifier: Apache-2.0
"""Rules: kept, tried on the whole fleet, enabled."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import delete, get, post, put
from litestar.params import Parameter

from muster.api.access import role
from muster.api.shapes import shown
from muster.lifecycle import rules as verbs
from muster.lifecycle.rules import Trial
from muster.machine.grammar import LENGTH
from muster.machine.tagging import NAME
from muster.store import rules
from muster.store.engine import Store, Tx
from muster.store.people import User
from muster.store.rules import RuleRow
from muster.wire.codec import Limited, limited

Name = Annotated[str, Parameter(max_length=64, pattern=NAME, description="A rule.")]


@dataclass(frozen=True)
class RuleShown:
    """A rule; `machines` is for how many it holds, `tried_at` when a dry run had seen all."""

    name: str
    priority: int
    condition: str
    actions: dict[str, Any]
    comment: str
    enabled: bool
    machines: int
    tried_at: datetime | None
    updated_by: str
    updated_at: datetime


@dataclass(frozen=True)
class Ruled(Limited):
    """A rule. `name` is a pattern ("web-{serial}") and, as commission and hold, for New machines.

    A lower `priority` comes first.
    """

    condition: str = limited(most=LENGTH)
    priority: int = 100
    tags: list[str] = limited(most=32, factory=list)
    pool: str = limited(most=64, default="")
    name: str = limited(most=128, default="")
    accept: bool = False
    commission: bool = False
    scripts: list[str] = limited(most=100, factory=list)
    tests: list[str] = limited(most=100, factory=lambda: ["commissioning"])
    hold: str = limited(most=500, default="")
    notify: bool = False
    comment: str = limited(most=2000, default="")

    def __post_init__(self) -> None:
        """Numbers and texts that every database keeps."""
        super().__post_init__()
        if not 0 <= self.priority <= 10_000:
            raise ValueError("priority: must be 0 to 10000")
        for name, texts in (("tags", self.tags), ("scripts", self.scripts), ("tests", self.tests)):
            for text in texts:
                if len(text) > 255 or not text.isprintable():
                    raise ValueError(f"{name}: {text[:80]!r} must be one short line of text")


@get("/rules", sync_to_thread=True)
def list_rules(store: Store, user: User) -> list[RuleShown]:
    """All rules in their order."""
    with store.read() as tx:
        counts = rules.counts(tx)
        return [_of(row, counts.get(row.name, 0)) for row in rules.some(tx)]


@get("/rules/{rule:str}", sync_to_thread=True)
def show_rule(rule: Name, store: Store, user: User) -> RuleShown:
    """One rule."""
    with store.read() as tx:
        return _shown(tx, rule)


@put("/rules/{rule:str}", sync_to_thread=True, dependencies=role("operator"))
def put_rule(rule: Name, data: Ruled, store: Store, user: User, now: datetime) -> RuleShown:
    """Make or change a rule; it is off until a dry run has seen every machine and it is enabled."""
    given = asdict(data)
    words = {name: given.pop(name) for name in ("condition", "priority", "comment")}
    actions = verbs.actions_of(given)
    verbs.put(store, rule, actions=actions, actor=user.name, now=now, **words)
    with store.read() as tx:
        return _shown(tx, rule)


@delete("/rules/{rule:str}", sync_to_thread=True, dependencies=role("operator"))
def delete_rule(rule: Name, store: Store, user: User, now: datetime) -> None:
    """Off and gone; the tags it gave go too."""
    verbs.delete(store, rule, actor=user.name, now=now)


@post(
    "/rules/{rule:str}/dry-run", status_code=200, sync_to_thread=True, dependencies=role("operator")
)
def dry_run_rule(
    rule: Name,
    store: Store,
    user: User,
    now: datetime,
    after: Annotated[str, Parameter(max_length=32)] = "",
) -> Trial:
    """What the rule would do to each machine and why, a page at a time; nothing is changed."""
    return verbs.try_out(store, rule, after=after, now=now)


@post(
    "/rules/{rule:str}/enable", status_code=200, sync_to_thread=True, dependencies=role("operator")
)
def enable_rule(rule: Name, store: Store, user: User, now: datetime) -> RuleShown:
    """On, for stored machines too; refused before a dry run has seen every machine."""
    verbs.enable(store, rule, actor=user.name, now=now)
    with store.read() as tx:
        return _shown(tx, rule)


@post(
    "/rules/{rule:str}/disable", status_code=200, sync_to_thread=True, dependencies=role("operator")
)
def disable_rule(rule: Name, store: Store, user: User, now: datetime) -> RuleShown:
    """Off; the tags it gave are taken back."""
    verbs.disable(store, rule, actor=user.name, now=now)
    with store.read() as tx:
        return _shown(tx, rule)


def _shown(tx: Tx, name: str) -> RuleShown:
    return _of(rules.find(tx, name), rules.counts(tx).get(name, 0))


def _of(row: RuleRow, count: int) -> RuleShown:
    return shown(RuleShown, row, machines=count)


ROUTES = [
    list_rules,
    show_rule,
    put_rule,
    delete_rule,
    dry_run_rule,
    enable_rule,
    disable_rule,
]
