# SPDX-License-Identifier: Apache-2.0
"""Tries what a machine says of its BMC from outside; what does not answer is never kept."""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from muster.lifecycle.bmc import USER
from muster.lifecycle.keyring import Keyring, KeyringError
from muster.lifecycle.power import Switchboard
from muster.lifecycle.switches import parameters_of, put_switch
from muster.power import drivers
from muster.power.drivers import Known, PowerError
from muster.store import bmc_offers, events, machines
from muster.store.bmc_offers import Offer
from muster.store.engine import Missing, Store, Tx
from muster.store.machines import Machine

_TRIES = 6
_AT_ONCE = 20
_LEASE = timedelta(seconds=120)


@dataclass(frozen=True)
class _Tried:
    """What answered with the password: a driver and all its parameters; or why nothing did."""

    driver: str = ""
    parameters: dict[str, str] | None = None
    why: str = ""
    permanent: bool = False


async def verify(board: Switchboard) -> int:
    """Try every claimed password that is due from outside; returns how many there were."""
    due = await asyncio.to_thread(_claim, board)
    await asyncio.gather(*(_verify(board, offer) for offer in due))
    return len(due)


def _claim(board: Switchboard) -> list[Offer]:
    with board.store.write() as tx:
        return bmc_offers.claim_due(tx, now=board.clock(), lease=_LEASE, limit=_AT_ONCE)


def _machine(store: Store, offer: Offer) -> Machine:
    with store.read() as tx:
        return machines.find(tx, offer.machine_id)


async def _verify(board: Switchboard, offer: Offer) -> None:
    try:
        machine = await asyncio.to_thread(_machine, board.store, offer)
        opened = board.keyring.open(offer.sealed, of=offer.machine_id)
        passwords = json.loads(opened["passwords"])
        tried = await _try(offer.claim, passwords, Known(machine.uuid, machine.serial))
    except Missing:
        return
    except (KeyringError, IndexError) as error:
        tried = _Tried(why=str(error), permanent=True)
    await asyncio.to_thread(_settle, board, offer, tried, board.clock())


async def _try(claim: dict[str, Any], passwords: list[str], known: Known) -> _Tried:
    if not claim["addresses"]:
        return _Tried(why="its BMC has no address that can be reached from here", permanent=True)
    login = {"power_user": USER, "power_pass": passwords[claim["password"]]}
    refused = _Tried()
    for address in claim["addresses"]:
        for driver in ("redfish", "ipmi") if claim["redfish"] else ("ipmi",):
            try:
                given = _given(driver, address, claim) | login
                return _Tried(driver, await _reached(driver, given, known))
            except PowerError as error:
                refused = _Tried(why=str(error), permanent=error.permanent)
    return refused


def _given(driver: str, address: str, claim: dict[str, Any]) -> dict[str, str]:
    if driver == "redfish":
        return {"power_address": f"[{address}]" if ":" in address else address}
    kind = "efi" if claim["firmware"] == "uefi" else "auto"
    return {"power_address": address, "mac_address": claim["mac"], "power_boot_type": kind}


async def _reached(driver: str, given: dict[str, str], known: Known) -> dict[str, str]:
    """The parameters with what the first contact teaches, after the BMC has told its state."""
    module = drivers.load(driver)
    parameters = drivers.check(driver, given)
    if learner := drivers.learning(module, parameters):
        parameters |= await learner.learn(parameters, known)
    await module.state(parameters)
    return parameters


def _settle(board: Switchboard, offer: Offer, tried: _Tried, now: datetime) -> None:
    with board.store.write() as tx:
        board.store.one_at_a_time(tx)
        current = bmc_offers.find(tx, offer.machine_id)
        if current is None or current.run_id != offer.run_id or current.state != "claimed":
            return
        machine = machines.find_for_update(tx, offer.machine_id)
        if tried.parameters is None:
            _refuse(tx, offer, machine, tried, now)
            return
        ours = machine.power_parameters.get("power_user") == USER
        if machine.power_driver != "manual" and not ours:
            why = f"{machine.name} got another switch meanwhile; its BMC's user {USER} is not used"
            events.add(tx, now, "bmc.left", why, machine=machine.id)
        elif not _same(board.keyring, machine, tried):
            put_switch(
                tx, board.keyring, machine, tried.driver, tried.parameters, actor=USER, now=now
            )
        bmc_offers.forget(tx, machine.id)
        told = f"{machine.name}: its BMC answers {USER} by {tried.driver} at " + str(
            tried.parameters["power_address"]
        )
        events.add(tx, now, "bmc.verified", told, machine=machine.id)


def _same(keyring: Keyring, machine: Machine, tried: _Tried) -> bool:
    known = parameters_of(keyring, machine)
    names = ("power_address", "power_user", "power_pass")
    assert tried.parameters is not None
    same = all(known.get(name) == tried.parameters.get(name) for name in names)
    return machine.power_driver == tried.driver and same


def _refuse(tx: Tx, offer: Offer, machine: Machine, tried: _Tried, now: datetime) -> None:
    attempts = offer.attempts + 1
    over = tried.permanent or attempts >= _TRIES
    bmc_offers.update(
        tx, machine.id, attempts=attempts, detail=tried.why[:2048], updated_at=now,
        state="refused" if over else "claimed",
        due_at=None if over else now + timedelta(seconds=5 * 2**attempts),
    )  # fmt: skip
    if over:
        told = (
            f"{machine.name}: its BMC made the user {USER} and does not answer it from here, so it"
            f" is not used: {tried.why}"
        )
        events.add(tx, now, "bmc.unverified", told, machine=machine.id)
