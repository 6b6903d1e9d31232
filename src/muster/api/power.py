# SPDX-License-Identifier: Apache-2.0
"""Power: how a machine is switched, what is wanted, what was seen."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from litestar import Response, get, post, put
from litestar.params import QueryParameter

from muster.api.access import role
from muster.api.machines import PATH, Reference, machine_shown
from muster.api.operations import started
from muster.api.shapes import MachineShown, shown
from muster.lifecycle import adding, bmclogs, power, switches
from muster.lifecycle.bmclogs import BmcLog
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.policy import Policy
from muster.store import findings, goals, machines, power_states
from muster.store.engine import Store
from muster.store.people import User
from muster.store.power_states import PowerState
from muster.wire.codec import Limited, limited


@dataclass(frozen=True)
class PowerSwitch(Limited):
    """A driver's name and its parameters, as MAAS names them."""

    driver: str
    parameters: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A parameter is text that every database keeps."""
        super().__post_init__()
        for name, value in self.parameters.items():
            if "\0" in name or "\0" in value:
                raise ValueError(f"parameters.{name}: holds a NUL")


@dataclass(frozen=True)
class GoalShown:
    """What is wanted; `status`: waiting, sent, reached, failed."""

    goal: str
    status: str
    detail: str
    attempts: int
    due_at: datetime | None
    deadline_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True)
class PowerShown:
    """`secrets` are the names of those that are set; their values are never shown.

    `state`: on, off or unknown, as seen at `seen_at`; `error` says why it cannot be seen now.
    `log` sums up the BMC's event log, at most some hours old.
    """

    driver: str
    parameters: dict[str, str]
    secrets: list[str]
    state: str
    health: str
    seen_at: datetime | None
    error: str
    log: BmcLog | None
    wanted: GoalShown | None


@get(PATH + "/power", sync_to_thread=True)
def show_power(reference: Reference, store: Store, keyring: Keyring, user: User) -> PowerShown:
    """How this machine is switched, and how far what is wanted has come."""
    return _shown(store, keyring, reference)


@put(PATH + "/power", sync_to_thread=True, dependencies=role("operator"))
def set_power(
    reference: Reference,
    data: PowerSwitch,
    store: Store,
    keyring: Keyring,
    user: User,
    now: datetime,
) -> MachineShown:
    """How this machine is switched from outside; secrets go in and never come out."""
    given = data.parameters
    switches.set_switch(store, keyring, reference, data.driver, given, actor=user.name, now=now)
    return machine_shown(store, reference)


@dataclass(frozen=True)
class Adding(PowerSwitch):
    """A machine that was never on, known by its MACs or UUID; `name` "": one is made up."""

    name: str = limited(most=63, default="")
    macs: list[str] = limited(most=64, factory=list)
    uuid: str = limited(most=64, default="")
    serial: str = limited(most=256, default="")

    def __post_init__(self) -> None:
        """As long as a MAC is, and text that every database keeps."""
        super().__post_init__()
        for place, mac in enumerate(self.macs):
            if len(mac) > 64 or not mac.isprintable():
                raise ValueError(f"macs[{place}]: {mac[:40]!r} is no MAC of a NIC")


@post("/machines", sync_to_thread=True, dependencies=role("operator"))
def add_machine(
    data: Adding, store: Store, keyring: Keyring, user: User, now: datetime
) -> MachineShown:
    """Add a machine by hand, with its BMC; nothing is switched until somebody commissions it."""
    wanted = adding.Wanted(
        data.name, data.macs, data.uuid, data.serial, data.driver, data.parameters
    )
    made = adding.add(store, keyring, wanted, actor=user.name, now=now)
    return machine_shown(store, made.id)


@post(
    PATH + "/power/{goal:str}",
    status_code=202,
    sync_to_thread=True,
    dependencies=role("operator"),
)
def ask_power(
    reference: Reference,
    goal: Literal["on", "off", "cycle"],
    store: Store,
    policy: Policy,
    user: User,
    now: datetime,
    boot: Annotated[
        Literal["pxe", "http", "disk", "cd"] | None,
        QueryParameter(description="What it boots from, this once; needs a BMC that can choose."),
    ] = None,
) -> Response[MachineShown]:
    """Switch a machine; without a driver a person is told to, and there is nothing to wait for."""
    operation = power.ask(
        store, policy, reference, goal, actor=user.name, now=now, boot_device=boot or ""
    )
    return started(machine_shown(store, reference), operation)


def _shown(store: Store, keyring: Keyring, reference: str) -> PowerShown:
    with store.read() as tx:
        machine = machines.find(tx, reference)
        goal = goals.find(tx, machine.id)
        seen = power_states.find(tx, machine.id) or PowerState(machine.id)
        log = findings.body(tx, machine.id, bmclogs.FINDING)
    return PowerShown(
        machine.power_driver,
        machine.power_parameters,
        sorted(keyring.open(machine.power_secret, of=machine.id)),
        seen.state or "unknown",
        seen.health,
        seen.seen_at,
        seen.error,
        BmcLog(**log) if log else None,
        shown(GoalShown, goal) if goal else None,
    )


ROUTES = [add_machine, show_power, set_power, ask_power]
