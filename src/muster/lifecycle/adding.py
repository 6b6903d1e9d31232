# SPDX-License-Identifier: Apache-2.0
"""A person adds a machine that was never on: by its MAC, UUID or serial number, and its BMC."""

from dataclasses import dataclass, field
from datetime import datetime

from muster.lifecycle import records
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.switches import put_switch
from muster.machine import identity, names
from muster.store import events, machines
from muster.store.engine import Conflict, Store, Tx
from muster.store.machines import Machine
from muster.wire.codec import BadMessage


@dataclass(frozen=True)
class Wanted:
    """`name` "": one is made up. The evidence is what its first boot is known by."""

    name: str = ""
    macs: list[str] = field(default_factory=list)
    uuid: str = ""
    serial: str = ""
    driver: str = "manual"
    parameters: dict[str, str] = field(default_factory=dict)


def add(store: Store, keyring: Keyring, wanted: Wanted, *, actor: str, now: datetime) -> Machine:
    """A record in state New; nothing is switched. Raises BadMessage, Conflict and PowerError."""
    claim = identity.claim(wanted.uuid, wanted.serial, wanted.macs)
    bad = [mac for mac in wanted.macs if not identity.usable_mac(mac)]
    if bad:
        raise BadMessage("macs", f"{bad[0]!r} is no MAC of a NIC (aa:bb:cc:dd:ee:ff)")
    if wanted.uuid and not claim.uuid:
        raise BadMessage("uuid", f"{'; '.join(claim.notes) or 'is no UUID'}; leave it out")
    if not claim.uuid and not claim.macs:
        raise BadMessage("macs", "say one, or a uuid: else its first boot cannot be known")
    with store.write() as tx:
        # As enlisting does: the same machine may be booting at this moment.
        store.one_at_a_time(tx)
        if known := machines.candidates(tx, claim):
            one = known[0]
            shared = sorted(one.macs & claim.macs) or [claim.uuid]
            raise Conflict(f"{one.name} has {shared[0]} already; nothing was added")
        _check_name(tx, wanted.name)
        # Whoever adds a machine wants its data.
        machine = records.new(
            tx, claim, now, why="added by hand, never seen", wanted=wanted.name, permitted=True,
            named=dict.fromkeys(claim.macs, ""),
        )  # fmt: skip
        told = f"{machine.name} was added by hand"
        events.add(tx, now, "machine.added", told, actor=actor, machine=machine.id)
        put_switch(tx, keyring, machine, wanted.driver, wanted.parameters, actor=actor, now=now)
        return machines.find(tx, machine.id)


def _check_name(tx: Tx, name: str) -> None:
    if name and not names.valid(name):
        raise BadMessage("name", f"{name!r} is no DNS label (a-z, 0-9 and -, at most 63)")
    if name and machines.name_taken(tx, name):
        raise Conflict(f"name: {name!r} is taken by another machine")
