# SPDX-License-Identifier: Apache-2.0
"""One action on many machines that are named one by one, each with its own outcome."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from litestar import post
from litestar.params import Parameter

from muster.api.access import role
from muster.api.tests import Choice, options_of
from muster.lifecycle import bulk
from muster.lifecycle.bulk import MOST, Action, How, Outcome
from muster.lifecycle.policy import Policy
from muster.store.engine import Store
from muster.store.people import User
from muster.wire.codec import BadMessage, limited

# What each action may be given beside the machines; "!" marks what it must be given.
_TAKES: dict[str, tuple[str, ...]] = {
    "commission": ("enable_ssh", "scripts", "tests", "parameters", "destroy", "skip_bmc_config",
                   "bmc_config"),
    "test": ("enable_ssh", "tests", "parameters", "destroy"),
    "deny": ("reason",),
    "on": ("boot",),
    "off": (),
    "cycle": ("boot",),
    "tag": ("tag!",),
    "untag": ("tag!",),
    "pool": ("pool",),
    "note": ("text!",),
    "mark-broken": ("reason",),
    "mark-fixed": ("reason",),
    "override": ("reason!",),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Acting(Choice):
    """Machines by id or name, at most 1000, and what the action takes: docs/api.md has the table.

    `destroy` says again the names of machines whose disks a chosen script may overwrite.
    """

    machines: list[str] = limited(most=MOST)
    destroy: list[str] = limited(most=MOST, factory=list)
    tag: str = limited(most=64, default="")
    pool: str = limited(most=64, default="")
    text: str = limited(most=10_000, default="")
    reason: str = limited(most=2000, default="")
    boot: Literal["pxe", "http", "disk", "cd"] | None = field(default=None)

    def __post_init__(self) -> None:
        """Machines, and each a line of text."""
        super().__post_init__()
        if not self.machines:
            raise ValueError("machines: names none")
        for name, references in (("machines", self.machines), ("destroy", self.destroy)):
            for reference in references:
                if len(reference) > 63 or not reference.isprintable():
                    raise ValueError(f"{name}: {reference[:80]!r} is no machine's id or name")


@dataclass(frozen=True)
class Outcomes:
    """One for each machine, in the order of the request; `counts` by outcome."""

    action: str
    outcomes: list[Outcome]
    counts: dict[str, int]


@post("/bulk/{action:str}", status_code=200, sync_to_thread=True, dependencies=role("operator"))
def act_on_many(
    action: Annotated[Action, Parameter(description="What is done to each machine.")],
    data: Acting,
    store: Store,
    policy: Policy,
    user: User,
    now: datetime,
) -> Outcomes:
    """Do it to each machine: done, unchanged, refused with the reason, or missing."""
    _check(action, data)
    text = data.tag or data.pool or data.text or data.reason
    how = How(text, options_of(data), data.destroy, data.boot or "")
    found = bulk.act(store, policy, action, data.machines, how, actor=user.name, now=now)
    counts: dict[str, int] = {}
    for one in found:
        counts[one.outcome] = counts.get(one.outcome, 0) + 1
    return Outcomes(action, found, counts)


def _check(action: str, data: Acting) -> None:
    """Nothing is taken in silence that the action does not use."""
    takes = _TAKES.get(action, ())
    plain = Acting(machines=["x"])
    for name in vars(plain).keys() - {"machines", *(word.rstrip("!") for word in takes)}:
        if getattr(data, name) != getattr(plain, name):
            raise BadMessage(name, f"is nothing that {action} takes; leave it out")
    for name in (word.rstrip("!") for word in takes if word.endswith("!")):
        if not getattr(data, name).strip():
            raise BadMessage(name, f"is missing: {action} needs it")


ROUTES = [act_on_many]
