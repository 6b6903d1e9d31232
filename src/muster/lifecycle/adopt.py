# SPDX-License-Identifier: Apache-2.0
"""Takes in a machine that was found from outside: an instance of a host, what is behind a BMC.

It becomes a record in state New, or the record it belongs to learns how it is switched. Nothing
is switched, booted or marked.
"""

from dataclasses import dataclass, field
from datetime import datetime

from muster.lifecycle import records, switches
from muster.lifecycle.keyring import Keyring
from muster.machine import identity, names
from muster.machine.identity import Clash, Same
from muster.power import drivers
from muster.store import events, machines
from muster.store.engine import Tx

# Which of several machines behind one address a driver's parameters mean.
_PLACES = ("node_id", "instance_name")


@dataclass(frozen=True)
class Found:
    """Evidence seen from outside; `origin` in words, as "an instance of lxd1"."""

    name: str
    origin: str
    driver: str
    parameters: dict[str, str]
    uuid: str = ""
    serial: str = ""
    macs: list[str] = field(default_factory=list)
    vendor: str = ""
    product: str = ""
    architecture: str = ""


@dataclass(frozen=True)
class Taken:
    """`outcome`: created, switched (a known machine got its switch), known, refused."""

    found: str
    machine: str
    outcome: str
    reason: str


def adopt(tx: Tx, keyring: Keyring, found: Found, *, actor: str, now: datetime) -> Taken:
    """The caller holds `Store.one_at_a_time`, as enlisting does; raises PowerError."""
    parameters = drivers.check(found.driver, found.parameters)
    for machine in machines.of_bmc(tx, found.driver, drivers.bmc_of(found.driver, parameters)):
        if _place(machine.power_parameters) == _place(parameters):
            return Taken(found.name, machine.name, "known", "is switched so already")
    claim = identity.claim(found.uuid, found.serial, found.macs)
    verdict = identity.match(claim, machines.candidates(tx, claim))
    if isinstance(verdict, Clash) and verdict.machines:
        told = f"{found.origin} clashes: {verdict.because}; a person must decide"
        events.add(tx, now, "machine.clash", told, actor=actor)
        return Taken(found.name, "", "refused", verdict.because)
    if isinstance(verdict, Same):
        return _attach(tx, keyring, found, parameters, verdict, actor=actor, now=now)
    # Without UUID and MAC it is known by its BMC alone until it boots.
    machine = records.new(
        tx, claim, now, why="; ".join((found.origin, *claim.notes)), vendor=found.vendor,
        product=found.product, architecture=found.architecture, wanted=names.label(found.name),
        named=dict.fromkeys(claim.macs, ""),
    )  # fmt: skip
    switches.keep(tx, keyring, machine, found.driver, parameters, now=now)
    told = f"{machine.name} was taken in: {found.origin}"
    events.add(tx, now, "machine.taken_in", told, actor=actor, machine=machine.id)
    return Taken(found.name, machine.name, "created", found.origin)


def _attach(
    tx: Tx,
    keyring: Keyring,
    found: Found,
    parameters: dict[str, str],
    same: Same,
    *,
    actor: str,
    now: datetime,
) -> Taken:
    machine = machines.find_for_update(tx, same.machine)
    if machine.power_driver != "manual":
        why = f"{same.because}; it is switched by {machine.power_driver} and that was left so"
        return Taken(found.name, machine.name, "known", why)
    switches.keep(tx, keyring, machine, found.driver, parameters, now=now)
    told = f"{machine.name} is {found.origin} ({same.because}); switched by {found.driver} now"
    events.add(tx, now, "machine.power_set", told, actor=actor, machine=machine.id)
    return Taken(found.name, machine.name, "switched", same.because)


def _place(parameters: dict[str, str]) -> list[str]:
    return [parameters.get(name, "") for name in _PLACES]
