# SPDX-License-Identifier: Apache-2.0
"""Hosts of virtual machines: added, read, their instances taken in, composed and deleted.

Adding a host looks and marks nothing that runs there; removing it deletes no machine. Each
machine keeps its own parameters and goes on being switched without the host's record.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TypeVar

from muster.lifecycle import adopt, secrets
from muster.lifecycle.adopt import Found, Taken
from muster.lifecycle.keyring import Keyring
from muster.machine import identity, names
from muster.machine.identity import Same
from muster.machine.states import WORKING, State
from muster.power import drivers, lxd, lxdhosts
from muster.power.drivers import Known, PowerError
from muster.power.lxdhosts import HostSeen, Instance, Wanted
from muster.store import events, hosts, machines
from muster.store.engine import Conflict, Missing, Store, Tx
from muster.store.hosts import Host
from muster.store.machines import Machine
from muster.wire.resources import BadDocument, read_document, summary

T = TypeVar("T")
DRIVER = "lxd"


@dataclass(frozen=True)
class Desk:
    """What every verb needs: where rows are, how secrets are opened, who asks and when."""

    store: Store
    keyring: Keyring
    actor: str
    now: datetime

    async def write(self, work: Callable[[Tx], T]) -> T:
        """One transaction, alone in its kind, in a thread."""

        def run() -> T:
            with self.store.write() as tx:
                self.store.one_at_a_time(tx)
                return work(tx)

        return await asyncio.to_thread(run)

    async def read(self, work: Callable[[Tx], T]) -> T:
        """One reading transaction, in a thread."""

        def run() -> T:
            with self.store.read() as tx:
                return work(tx)

        return await asyncio.to_thread(run)

    async def find(self, reference: str) -> tuple[Host, dict[str, str]]:
        """A host and its parameters, secrets included; raises Missing or KeyringError."""
        host = await self.read(lambda tx: hosts.find(tx, reference))
        return host, {**host.parameters, **self.keyring.open(host.secret, of=host.id)}


async def add(desk: Desk, name: str, given: dict[str, str]) -> Host:
    """Make its trust, then read it; raises PowerError, Conflict.

    A host that cannot be trusted leaves no record; one that cannot be read leaves the reason.
    """
    if not names.valid(name):
        raise Conflict(f"name {name!r} is no DNS label (a-z, 0-9 and -, at most 63)")
    parameters = lxdhosts.parameters_of(given)
    if lxd.unlearned(parameters):
        # Whom to trust, and a key of our own: kept before a token is used up.
        parameters |= await lxd.learn({**parameters, "instance_name": ""}, Known())
    host = Host(
        secrets.new_id(8), name, DRIVER, {}, "", {}, "", None, None, desk.now, desk.now
    )  # fmt: skip
    host = _with(desk.keyring, host, parameters)
    await desk.write(lambda tx: hosts.add(tx, host))
    try:
        while lxd.unlearned(parameters):
            parameters |= await lxd.learn(parameters, Known())
            host = _with(desk.keyring, host, parameters)
            await desk.write(_saving(host))
    except PowerError:
        await desk.write(lambda tx: hosts.delete(tx, host.id))
        raise
    told = f"host {name} was added: {parameters['power_address']}"
    await desk.write(lambda tx: events.add(tx, desk.now, "host.added", told, actor=desk.actor))
    return await refresh(desk, host.id)


async def refresh(desk: Desk, reference: str) -> Host:
    """Read the host anew; what cannot be read is its `error` and everything else stays."""
    host, parameters = await desk.find(reference)
    try:
        seen = await lxdhosts.look(parameters)
    except PowerError as error:
        why = str(error)
        await desk.write(lambda tx: hosts.update(tx, host.id, error=why, updated_at=desk.now))
        return (await desk.find(host.id))[0]
    await desk.write(lambda tx: _keep(tx, host, seen, desk.now))
    return (await desk.find(host.id))[0]


async def instances(desk: Desk, reference: str) -> list[tuple[Instance, str]]:
    """What is there now, each with the name of its machine or ""."""
    host, parameters = await desk.find(reference)
    found = await lxdhosts.instances(parameters)
    known = await desk.read(lambda tx: {one.name: _machine_of(tx, host, one) for one in found})
    return [(one, machine.name if (machine := known[one.name]) else "") for one in found]


async def take_in(desk: Desk, reference: str, wanted: list[str]) -> list[Taken]:
    """Make machines of these instances, all of them when none is named; one by one."""
    host, parameters = await desk.find(reference)
    there = {one.name: one for one in await lxdhosts.instances(parameters)}
    if missing := sorted(set(wanted) - set(there)):
        raise Missing(f"host {host.name} has no instance {missing[0]!r}")
    chosen = [there[name] for name in (wanted or there)]
    return await desk.write(lambda tx: [_take(tx, desk, host, parameters, one) for one in chosen])


async def compose(desk: Desk, reference: str, wanted: Wanted) -> Taken:
    """Make an instance, stopped, and its machine, New; raises PowerError."""
    host, parameters = await desk.find(reference)
    made = await lxdhosts.compose(parameters, replace(wanted, mac=_new_mac()))
    told = f"{made.kind} {made.name} was composed on host {host.name}"

    def keep(tx: Tx) -> Taken:
        events.add(tx, desk.now, "host.composed", told, actor=desk.actor)
        return _take(tx, desk, host, parameters, made)

    return await desk.write(keep)


async def delete_instance(desk: Desk, reference: str, name: str, *, confirm: str) -> str:
    """Delete what muster composed, disk and all; its machine's record stays, switched by nobody.

    `confirm` is its name again. Returns the machine's name or ""; raises Conflict, also while the
    machine works or is In use.
    """
    host, parameters = await desk.find(reference)
    if confirm != name:
        raise Conflict(f"what is on the disk of {name} would be lost; confirm by confirm={name}")
    machine = await desk.read(lambda tx: _by_switch(tx, host.parameters, name))
    if machine and (machine.state in WORKING or machine.state == State.IN_USE):
        raise Conflict(f"{machine.name} is {machine.state}; it is not deleted now")
    await lxdhosts.remove(parameters, name)

    def keep(tx: Tx) -> None:
        told = f"instance {name} of host {host.name} was deleted"
        key = machine.id if machine else None
        events.add(tx, desk.now, "host.deleted", told, actor=desk.actor, machine=key)
        if machine:
            gone = {"power_driver": "manual", "power_parameters": {}, "power_secret": "", "bmc": ""}
            why = f"its instance on {host.name} was deleted"
            machines.update(tx, machine.id, state_reason=why, updated_at=desk.now, **gone)

    await desk.write(keep)
    return machine.name if machine else ""


async def remove(desk: Desk, reference: str) -> None:
    """Forget the host; its machines stay and are switched as before."""

    def run(tx: Tx) -> None:
        host = hosts.find(tx, reference)
        hosts.delete(tx, host.id)
        told = f"host {host.name} was removed; its machines stay"
        events.add(tx, desk.now, "host.removed", told, actor=desk.actor)

    await desk.write(run)


def _with(keyring: Keyring, host: Host, parameters: dict[str, str]) -> Host:
    plain, secret = drivers.split(DRIVER, parameters)
    return replace(host, parameters=plain, secret=keyring.seal(secret, of=host.id))


def _saving(host: Host) -> Callable[[Tx], bool]:
    return lambda tx: hosts.update(tx, host.id, parameters=host.parameters, secret=host.secret)


def _keep(tx: Tx, host: Host, seen: HostSeen, now: datetime) -> None:
    told = {
        "server": seen.server,
        "version": seen.version,
        "instances": len(seen.instances),
        "pools": seen.pools,
        "networks": seen.networks,
        "sha256": hashlib.sha256(seen.document).hexdigest(),
    }
    error, machine = "", None
    try:
        resources = summary(read_document(seen.document))
        told["resources"] = asdict(resources)
        macs = [nic.mac for nic in resources.nics]
        claim = identity.claim(resources.uuid, resources.serial, macs)
        verdict = identity.match(claim, machines.candidates(tx, claim))
        machine = verdict.machine if isinstance(verdict, Same) else None
    except BadDocument as bad:
        error = f"its resources cannot be read: {bad}"
    values = {"summary": told, "error": error, "seen_at": now, "updated_at": now}
    if hosts.update(tx, host.id, machine_id=machine, **values):
        hosts.keep_document(tx, host.id, seen.document)


def _take(tx: Tx, desk: Desk, host: Host, parameters: dict[str, str], instance: Instance) -> Taken:
    found = Found(
        name=instance.name,
        origin=f"{instance.kind} {instance.name} of host {host.name}",
        driver=DRIVER,
        parameters={**parameters, "instance_name": instance.name},
        uuid=instance.uuid,
        macs=instance.macs,
        architecture=instance.architecture,
    )
    return adopt.adopt(tx, desk.keyring, found, actor=desk.actor, now=desk.now)


def _machine_of(tx: Tx, host: Host, instance: Instance) -> Machine | None:
    """By its switch; else by its evidence: it may have enlisted itself."""
    if by_switch := _by_switch(tx, host.parameters, instance.name):
        return by_switch
    claim = identity.claim(instance.uuid, "", instance.macs)
    verdict = identity.match(claim, machines.candidates(tx, claim))
    return machines.find(tx, verdict.machine) if isinstance(verdict, Same) else None


def _by_switch(tx: Tx, parameters: dict[str, str], instance: str) -> Machine | None:
    bmc = drivers.bmc_of(DRIVER, {**parameters, "instance_name": instance})
    return next(iter(machines.of_bmc(tx, DRIVER, bmc)), None)


def _new_mac() -> str:
    """One of LXD's own prefix; kept, so that the machine is known before it boots."""
    number = secrets.random_number()
    return "00:16:3e:" + ":".join(f"{number >> shift & 0xFF:02x}" for shift in (16, 8, 0))
