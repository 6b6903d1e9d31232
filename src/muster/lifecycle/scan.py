# SPDX-License-Identifier: Apache-2.0
"""Looks for BMCs at addresses that an operator named, and makes machines of what they control.

Without credentials it only tells what is there. With them it reads identity and inventory and
takes each machine in, New, with its BMC; the credentials go to what answers in these ranges and
nowhere else. Nothing is switched.
"""

import asyncio
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from muster.lifecycle import adopt, outside
from muster.lifecycle.adopt import Found, Taken
from muster.lifecycle.hosts import Desk
from muster.power import discovery, drivers, https, ipmi, redfish, redfishtree
from muster.power.discovery import Answer
from muster.power.drivers import Known, PowerError
from muster.power.ipmi import Identity
from muster.power.redfishsession import signed_in
from muster.store import events, machines
from muster.store.engine import Tx
from muster.wire.resources import BadDocument

AT_ONCE = 32
INVENTORY_S = 90.0


@dataclass(frozen=True)
class Wanted:
    """Where to look, and as whom; `k_g` is IPMI's."""

    ranges: list[str]
    power_user: str = ""
    power_pass: str = field(default="", repr=False)
    k_g: str = field(default="", repr=False)
    redfish_port: int = 443
    ipmi_port: int = 623


@dataclass(frozen=True)
class Seen:
    """What is at an address; `machines` are those that it was taken in as, `error` why not."""

    answer: Answer
    machines: list[Taken] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class _Inventory:
    found: Found
    document: dict[str, Any] | None


def addresses_of(wanted: Wanted, *, most: int) -> list[str]:
    """Every address once, in order; raises PowerError for a wrong range or too many."""
    found = list(dict.fromkeys(a for text in wanted.ranges for a in discovery.addresses(text)))
    if len(found) > most:
        wrong = f"ranges: {len(found)} addresses; at most {most} in one request"
        raise PowerError(wrong, permanent=True)
    return found


async def scan(desk: Desk, wanted: Wanted, addresses: list[str]) -> list[Seen]:
    """What answers, in order of the addresses; silent ones are left out."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(address: str) -> Seen | None:
        async with gate:
            answer = await discovery.ask(
                address, redfish_port=wanted.redfish_port, ipmi_port=wanted.ipmi_port
            )
            if not answer.redfish and not answer.ipmi:
                return None
            return await _enter(desk, wanted, answer) if wanted.power_user else Seen(answer)

    found = [seen for seen in await asyncio.gather(*map(one, addresses)) if seen]
    told = f"{', '.join(wanted.ranges)[:200]}: {len(addresses)} addresses asked, {len(found)} BMCs"
    await desk.write(lambda tx: events.add(tx, desk.now, "bmc.scanned", told, actor=desk.actor))
    return found


async def _enter(desk: Desk, wanted: Wanted, answer: Answer) -> Seen:
    try:
        read = _by_redfish if answer.redfish else _by_ipmi
        inventories = await read(wanted, answer)
        taken = await desk.write(lambda tx: [_take(tx, desk, one) for one in inventories])
    except PowerError as error:
        return Seen(answer, error=str(error))
    except BadDocument as error:
        return Seen(answer, error=f"what its BMC says cannot be read: {error}")
    return Seen(answer, taken)


async def _by_redfish(wanted: Wanted, answer: Answer) -> list[_Inventory]:
    assert answer.redfish is not None
    parameters = {
        "power_address": _where(answer.address, wanted.redfish_port, usual=443),
        "power_user": wanted.power_user,
        "power_pass": wanted.power_pass,
        "tls_fingerprint": answer.redfish.fingerprint,
    }
    peer = https.peer_of(drivers.check("redfish", parameters))
    found = []
    async with https.connect(peer, seconds=INVENTORY_S) as link, signed_in(link):
        for node, system in await redfish.systems_of(link):
            document = await redfishtree.document(link, system)
            found.append(_of_system(answer, {**parameters, "node_id": node}, document))
    if not found:
        raise PowerError("its BMC switches no system: none has a Reset action", permanent=True)
    return found


def _of_system(answer: Answer, parameters: dict[str, str], document: dict[str, Any]) -> _Inventory:
    resources = document["resources"]
    system = resources["system"]
    ports = (port for card in resources["network"]["cards"] for port in card["ports"])
    return _Inventory(
        Found(
            name=system["serial"] or f"bmc-{answer.address}",
            origin=f"behind the BMC at {answer.address}",
            driver="redfish",
            parameters=parameters,
            uuid=system["uuid"],
            serial=system["serial"],
            macs=[port["address"] for port in ports],
            vendor=system["vendor"],
            product=system["product"],
            architecture=resources["cpu"]["architecture"],
        ),
        document,
    )


async def _by_ipmi(wanted: Wanted, answer: Answer) -> list[_Inventory]:
    driver = drivers.load("ipmi")
    given = {
        "power_address": _where(answer.address, wanted.ipmi_port, usual=623),
        "power_user": wanted.power_user,
        "power_pass": wanted.power_pass,
        "k_g": wanted.k_g,
    }
    parameters = drivers.check("ipmi", given)
    if learner := drivers.learning(driver, parameters):
        # Also shows that the password is right.
        parameters |= await learner.learn(parameters, Known())
    await driver.state(parameters)
    told = await ipmi.identity(parameters)
    found = Found(
        name=told.serial or f"bmc-{answer.address}",
        origin=f"behind the BMC at {answer.address}",
        driver="ipmi",
        parameters=parameters,
        uuid=told.uuid,
        serial=told.serial,
        vendor=told.vendor,
        product=told.product,
    )
    return [_Inventory(found, _identity_only(told))]


def _identity_only(told: Identity) -> dict[str, Any] | None:
    """A document of who the machine is and nothing that it has; None when its BMC knows nothing."""
    if told == Identity():
        return None
    system = asdict(told)
    system["motherboard"] = system.pop("board")
    system["chassis"] = {"serial": system.pop("chassis")}
    return {
        "api_version": "1.0",
        "environment": {"server": "ipmi", "source": "out-of-band"},
        "resources": {"system": {**system, "type": "physical"}},
        "missing": [],
    }


def _take(tx: Tx, desk: Desk, inventory: _Inventory) -> Taken:
    taken = adopt.adopt(tx, desk.keyring, inventory.found, actor=desk.actor, now=desk.now)
    if not taken.machine or inventory.document is None:
        return taken
    machine = machines.find(tx, taken.machine)
    outside.keep(tx, machine.id, inventory.document, desk.now)
    missing = inventory.document["missing"]
    more = (
        f"; {len(missing)} parts of its inventory cannot be read: {missing[0]}" if missing else ""
    )
    return replace(taken, reason=taken.reason + more)


def _where(address: str, port: int, *, usual: int) -> str:
    if port == usual:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
