# SPDX-License-Identifier: Apache-2.0
"""What takes long, under one roof: a run of scripts, a power goal, a tag's new definition.

Nothing is kept for this: an operation is a way to look at the row that does the work. Its id says
which: run-17, power-MACHINE-GENERATION, tag-NAME.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeVar

from litestar import Response, get
from litestar.params import Parameter

from muster.store import goals, machines, runs, tags
from muster.store.engine import Missing, Store, Tx
from muster.store.goals import Goal
from muster.store.people import User
from muster.store.runs import Run

T = TypeVar("T")
ROOT = "/api/v1"
_STATES = {
    "pending": "waiting",
    "waiting": "waiting",
    "running": "running",
    "sent": "running",
    "passed": "done",
    "reached": "done",
    "failed": "failed",
    "aborted": "aborted",
}
Id = Annotated[str, Parameter(max_length=80, description="run-N, power-MACHINE-N or tag-NAME.")]


@dataclass(frozen=True)
class Progress:
    """`total` is 0 while nobody knows it; `now` is what is being done."""

    done: int
    total: int
    now: str


@dataclass(frozen=True)
class OperationShown:
    """`state`: waiting, running; or at its end done, failed, aborted, replaced (by another goal).

    `outcome` says why it ended so. `links`: what it is about; `next` where it is tried again.
    """

    id: str
    kind: str
    state: str
    progress: Progress
    outcome: str
    machine: str
    requested_by: str
    started_at: datetime | None
    ended_at: datetime | None
    links: dict[str, str]


def started(shown: T, operation: str) -> Response[T]:
    """202, and in Location what to watch; without, when there is nothing to wait for."""
    headers = {"Location": f"{ROOT}/operations/{operation}"} if operation else {}
    return Response(shown, status_code=202, headers=headers)


@get("/operations", sync_to_thread=True)
def list_operations(
    store: Store,
    user: User,
    machine: Annotated[str, Parameter(max_length=63, description="Only this machine's.")] = "",
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 100,
) -> list[OperationShown]:
    """Runs and power goals that have not ended, the newest first."""
    with store.read() as tx:
        of = machines.find(tx, machine).id if machine else ""
        found = [_run(tx, run) for run in runs.unfinished(tx, machine=of, limit=limit)]
        found += [_goal(tx, goal) for goal in goals.unfinished(tx, machine=of, limit=limit)]
    return sorted(found, key=lambda one: str(one.started_at or ""), reverse=True)[:limit]


@get("/operations/{operation:str}", sync_to_thread=True)
def show_operation(operation: Id, store: Store, user: User) -> OperationShown:
    """How far it is, and at its end what came out."""
    kind, _, rest = operation.partition("-")
    with store.read() as tx:
        if kind == "run" and rest.isdecimal() and len(rest) < 17:
            return _run(tx, runs.find(tx, int(rest)))
        machine, _, generation = rest.rpartition("-")
        goal = goals.find(tx, machine) if kind == "power" and generation.isdecimal() else None
        if goal and 0 < int(generation) <= goal.generation:
            return _goal(tx, goal, asked=int(generation))
        if kind == "tag":
            return _tag(tx, rest)
    raise Missing(f"there is no operation {operation!r}; Location of a 202 names one")


def _run(tx: Tx, run: Run) -> OperationShown:
    results = runs.results_of(tx, run.id)
    running = [result.name for result in results if result.state == "running"]
    ended = sum(result.state not in runs.OPEN for result in results)
    links = _links(f"run-{run.id}", machine=f"machines/{run.machine_id}", run=f"runs/{run.id}")
    if again := _again(tx, run):
        links["next"] = f"{ROOT}/operations/run-{again}"
    return OperationShown(
        f"run-{run.id}",
        run.mode,
        _STATES[run.state],
        Progress(ended, len(results), ", ".join(running)),
        run.reason,
        machines.find(tx, run.machine_id).name,
        run.requested_by,
        run.started_at or run.created_at,
        run.ended_at,
        links,
    )


def _again(tx: Tx, run: Run) -> int | None:
    """A lost machine's run is tried again as another one (lifecycle.commission.lost)."""
    if run.state != "failed" or run.mode != "commission":
        return None
    tries = run.options.get("retries", 0) + 1
    later = [r for r in runs.some(tx, run.machine_id) if r.id > run.id]
    return next((r.id for r in reversed(later) if r.options.get("retries") == tries), None)


def _goal(tx: Tx, goal: Goal, *, asked: int = 0) -> OperationShown:
    replaced = 0 < asked < goal.generation
    name = goals.operation(goal.machine_id, asked or goal.generation)
    state = "replaced" if replaced else _STATES[goal.status]
    over = state not in ("waiting", "running")
    links = _links(name, machine=f"machines/{goal.machine_id}",
                   power=f"machines/{goal.machine_id}/power")  # fmt: skip
    if replaced:
        newest = goals.operation(goal.machine_id, goal.generation)
        links["next"] = f"{ROOT}/operations/{newest}"
    told = f"power {goal.goal} is wanted by now" if replaced else goal.detail
    return OperationShown(
        name,
        "power" if replaced else f"power {goal.goal}",
        state,
        Progress(int(state == "done"), 1, "" if over else goal.detail or goal.goal),
        told if over else "",
        machines.find(tx, goal.machine_id).name,
        "",
        None,
        goal.updated_at if over else None,
        links,
    )


def _tag(tx: Tx, name: str) -> OperationShown:
    tag = tags.find(tx, name)
    if tag is None:
        raise Missing(f"there is no tag {name!r}")
    settled = tag.looked_to is None
    return OperationShown(
        f"tag-{name}",
        "tag",
        "done" if settled else "running",
        Progress(int(settled), 1, "" if settled else "its definition is tried on every machine"),
        "",
        "",
        tag.updated_by,
        tag.updated_at,
        None,
        _links(f"tag-{name}", tag=f"tags/{name}"),
    )


def _links(name: str, **more: str) -> dict[str, str]:
    return {word: f"{ROOT}/{path}" for word, path in {"self": f"operations/{name}", **more}.items()}


ROUTES = [list_operations, show_operation]
