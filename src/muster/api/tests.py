# SPDX-License-Identifier: Apache-2.0
"""Commissioning and testing a machine, and a person's judgement of what came out."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from litestar import Response, get, post
from litestar.params import Parameter

from muster.api import shapes
from muster.api.access import role
from muster.api.operations import started
from muster.api.shapes import MachineShown, ResultShown, RunShown
from muster.lifecycle import commission, judging, test
from muster.lifecycle.commission import Options
from muster.lifecycle.policy import Policy
from muster.store import findings, machines, runs
from muster.store.engine import Store
from muster.store.findings import Finding
from muster.store.people import User
from muster.wire.codec import Limited, limited

Reference = Annotated[str, Parameter(max_length=63, description="A machine's id or name.")]
PATH = "/machines/{reference:str}"
Number = Annotated[int, Parameter(ge=1, le=2**53)]


@dataclass(frozen=True)
class Choice(Limited):
    """`enable_ssh` keeps the machine on afterwards, open to the operator's SSH keys.

    `scripts` and `tests` are names and tags; no scripts: all but those tagged noauto; tests
    ["none"]: none. `parameters` by script ("*": every) and name. `skip_bmc_config` leaves the BMC
    alone altogether; `bmc_config`: make a user for muster in it, or not (without: as the server's
    settings say).
    """

    enable_ssh: bool = False
    scripts: list[str] = limited(most=500, factory=list)
    tests: list[str] = limited(most=500, factory=lambda: ["commissioning"])
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    skip_bmc_config: bool = False
    bmc_config: bool | None = None

    def __post_init__(self) -> None:
        """Texts that every database keeps."""
        super().__post_init__()
        if self.skip_bmc_config and self.bmc_config:
            raise ValueError("skip_bmc_config: contradicts bmc_config")
        for name, texts in (("scripts", self.scripts), ("tests", self.tests)):
            for text in texts:
                _check_line(name, text)
        for script, given in self.parameters.items():
            for name, value in given.items():
                for text in (script, name, value):
                    _check_line(f"parameters.{script}.{name}", text)


@dataclass(frozen=True)
class Commissioning(Choice):
    """What is run. `destroy`: the machine's name again, when a chosen script is destructive."""

    destroy: str = limited(most=63, default="")


def _check_line(name: str, text: str) -> None:
    if not text.isprintable():
        raise ValueError(f"{name}: {text[:40]!r} must be one line of text")


def options_of(asked: Choice, *, destroy: str = "") -> Options:
    """What lifecycle calls it."""
    told = {None: "", True: "configure", False: "look"}[asked.bmc_config]
    return Options(
        asked.enable_ssh,
        asked.scripts,
        asked.tests,
        asked.parameters,
        destroy,
        "skip" if asked.skip_bmc_config else told,
    )


def _options(data: Commissioning | None) -> Options:
    asked = data or Commissioning()
    return options_of(asked, destroy=asked.destroy)


@post(PATH + "/commission", status_code=202, sync_to_thread=True, dependencies=role("operator"))
def start_commissioning(
    reference: Reference,
    store: Store,
    policy: Policy,
    user: User,
    now: datetime,
    data: Commissioning | None = None,
) -> Response[RunShown]:
    """Accept a machine, switch it on, run every commissioning script, then the tests."""
    run = commission.start(store, policy, reference, _options(data), actor=user.name, now=now)
    return started(_run(store, run), f"run-{run}")


@post(PATH + "/test", status_code=202, sync_to_thread=True, dependencies=role("operator"))
def start_testing(
    reference: Reference,
    store: Store,
    policy: Policy,
    user: User,
    now: datetime,
    data: Commissioning | None = None,
) -> Response[RunShown]:
    """Switch a machine on and run the chosen tests."""
    run = test.start(store, policy, reference, _options(data), actor=user.name, now=now)
    return started(_run(store, run), f"run-{run}")


def _run(store: Store, run: int) -> RunShown:
    with store.read() as tx:
        return shapes.run(runs.find(tx, run), runs.results_of(tx, run))


@dataclass(frozen=True)
class Judgement(Limited):
    """Why; it stays on the record."""

    reason: str = limited(most=2000)


@post(PATH + "/override", status_code=200, sync_to_thread=True, dependencies=role("operator"))
def override_tests(
    reference: Reference, data: Judgement, store: Store, user: User, now: datetime
) -> MachineShown:
    """Call a machine that failed its tests Ready, for a reason."""
    test.override(store, reference, reason=data.reason, actor=user.name, now=now)
    with store.read() as tx:
        return shapes.machines(tx, [machines.find(tx, reference)])[0]


@dataclass(frozen=True)
class Remark(Limited):
    """Why, if there is anything to say."""

    reason: str = limited(most=2000, default="")


@post(PATH + "/mark-broken", status_code=200, sync_to_thread=True, dependencies=role("operator"))
def mark_broken(
    reference: Reference, data: Remark, store: Store, user: User, now: datetime
) -> MachineShown:
    """Call a machine Broken."""
    judging.broken(store, reference, reason=data.reason, actor=user.name, now=now)
    with store.read() as tx:
        return shapes.machines(tx, [machines.find(tx, reference)])[0]


@post(PATH + "/mark-fixed", status_code=200, sync_to_thread=True, dependencies=role("operator"))
def mark_fixed(
    reference: Reference, data: Remark, store: Store, user: User, now: datetime
) -> MachineShown:
    """Call a Broken machine Ready."""
    judging.fixed(store, reference, reason=data.reason, actor=user.name, now=now)
    with store.read() as tx:
        return shapes.machines(tx, [machines.find(tx, reference)])[0]


@post(
    "/results/{result:int}/suppress",
    status_code=200,
    sync_to_thread=True,
    dependencies=role("operator"),
)
def suppress_result(
    result: Number, data: Judgement, store: Store, user: User, now: datetime
) -> ResultShown:
    """Do not count a result; an empty reason counts it again."""
    test.suppress(store, result, reason=data.reason, actor=user.name, now=now)
    with store.read() as tx:
        return shapes.shown(ResultShown, runs.find_result(tx, result))


@get(PATH + "/findings", sync_to_thread=True)
def machine_findings(reference: Reference, store: Store, user: User) -> list[Finding]:
    """What scripts found beside the document: LLDP neighbours, subnets, modaliases ..."""
    with store.read() as tx:
        return findings.of_machine(tx, machines.find(tx, reference).id)


ROUTES = [
    start_commissioning,
    start_testing,
    override_tests,
    mark_broken,
    mark_fixed,
    suppress_result,
    machine_findings,
]
