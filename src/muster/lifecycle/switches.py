# SPDX-License-Identifier: Apache-2.0
"""How each machine is switched: driver, parameters, and the secrets among them, sealed at rest."""

from datetime import datetime
from itertools import chain

from muster.lifecycle.keyring import Keyring
from muster.power import drivers
from muster.store import bmc_offers, events, hosts, machines, power_states
from muster.store.engine import Store, Tx
from muster.store.machines import Machine


def parameters_of(keyring: Keyring, machine: Machine) -> dict[str, str]:
    """What the driver is called with, secrets included; raises KeyringError."""
    return {**machine.power_parameters, **keyring.open(machine.power_secret, of=machine.id)}


def set_switch(
    store: Store,
    keyring: Keyring,
    reference: str,
    driver: str,
    given: dict[str, str],
    *,
    actor: str,
    now: datetime,
) -> None:
    """Say how a machine is switched; raises PowerError naming a wrong parameter."""
    with store.write() as tx:
        # A rotation holds the same lock: no secret is sealed with a key that it forgets.
        store.one_at_a_time(tx)
        machine = machines.find_for_update(tx, reference)
        put_switch(tx, keyring, machine, driver, given, actor=actor, now=now)


def put_switch(
    tx: Tx,
    keyring: Keyring,
    machine: Machine,
    driver: str,
    given: dict[str, str],
    *,
    actor: str,
    now: datetime,
) -> None:
    """The caller holds Store.one_at_a_time and the machine; raises PowerError."""
    keep(tx, keyring, machine, driver, drivers.check(driver, given), now=now)
    told = f"{machine.name} is switched by {driver}"
    events.add(tx, now, "machine.power_set", told, actor=actor, machine=machine.id)


def keep(
    tx: Tx,
    keyring: Keyring,
    machine: Machine,
    driver: str,
    parameters: dict[str, str],
    *,
    now: datetime,
) -> None:
    """Parameters that `drivers.check` has passed, its secrets sealed; tells nobody."""
    plain, secret = drivers.split(driver, parameters)
    machines.update(
        tx,
        machine.id,
        power_driver=driver,
        power_parameters=plain,
        power_secret=keyring.seal(secret, of=machine.id),
        bmc=drivers.bmc_of(driver, parameters),
        updated_at=now,
    )
    power_states.renew(tx, machine.id, switched=driver != "manual", now=now)


def rotate(store: Store, keyring: Keyring, *, actor: str, now: datetime) -> tuple[int, int]:
    """Seal every secret with a new key; returns how many secrets, and how many keys went.

    Cut off at any point it is done again: until the last step every key is kept.
    """
    with store.write() as tx:
        store.one_at_a_time(tx)
        key = keyring.add_key()
        sealed = machines.sealed(tx)
        for machine, text in sealed.items():
            again = keyring.seal(keyring.open(text, of=machine), of=machine)
            machines.update(tx, machine, power_secret=again)
        of_hosts = hosts.sealed(tx)
        for host, text in of_hosts.items():
            hosts.update(tx, host, secret=keyring.seal(keyring.open(text, of=host), of=host))
        for machine, text in bmc_offers.sealed(tx).items():
            again = keyring.seal(keyring.open(text, of=machine), of=machine)
            bmc_offers.update(tx, machine, sealed=again)
        events.add(tx, now, "secrets.rotated", f"BMC secrets are sealed with {key}", actor=actor)
    with store.write() as tx:
        store.one_at_a_time(tx)
        left = [noun.sealed(tx).values() for noun in (machines, hosts, bmc_offers)]
        if all(map(keyring.sealed_with_current, chain.from_iterable(left))):
            return len(sealed) + len(of_hosts), keyring.forget_old()
    return len(sealed) + len(of_hosts), 0
