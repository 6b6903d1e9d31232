# SPDX-License-Identifier: Apache-2.0
"""What a person asks of a machine's BMC beside power: its event log, its virtual drive."""

from collections.abc import Callable
from datetime import datetime

from muster.lifecycle import contact
from muster.lifecycle.contact import Contact
from muster.lifecycle.hosts import Desk
from muster.power import drivers
from muster.power.drivers import LogLine
from muster.store import events, machines
from muster.store.machines import Machine


async def read_log(desk: Desk, reference: str) -> list[LogLine]:
    """The newest lines, newest first; raises PowerError, KeyringError or Missing."""
    machine, reached = await _reach(desk, reference, drivers.logging)
    return await drivers.logging(machine.power_driver).log(reached.parameters)


async def insert(desk: Desk, reference: str, image: str) -> str:
    """Put the image at a URL into the machine's virtual drive; returns the machine's name."""
    machine, reached = await _reach(desk, reference, drivers.loading)
    await drivers.loading(machine.power_driver).insert(reached.parameters, image)
    return await _told(desk, machine, f"{image} is in the virtual drive of {machine.name}")


async def eject(desk: Desk, reference: str) -> str:
    """Empty the machine's virtual drive; returns the machine's name."""
    machine, reached = await _reach(desk, reference, drivers.loading)
    await drivers.loading(machine.power_driver).eject(reached.parameters)
    return await _told(desk, machine, f"the virtual drive of {machine.name} is empty")


async def _reach(
    desk: Desk, reference: str, able: Callable[[str], object]
) -> tuple[Machine, Contact]:
    machine = await desk.read(lambda tx: machines.find(tx, reference))
    able(machine.power_driver)
    return machine, await contact.reach(desk.store, desk.keyring, machine, _at(desk.now))


def _at(now: datetime) -> Callable[[], datetime]:
    return lambda: now


async def _told(desk: Desk, machine: Machine, message: str) -> str:
    await desk.write(
        lambda tx: events.add(
            tx, desk.now, "bmc.media", message, actor=desk.actor, machine=machine.id
        )
    )
    return machine.name
