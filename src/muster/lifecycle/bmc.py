# SPDX-License-Identifier: Apache-2.0
"""A user for muster in a machine's own BMC: passwords out, and tried from outside before kept.

The server makes the passwords; the machine, which must set one, gets them when its script asks and
never sends any back. Only a commissioning of an accepted machine gets them, when its operator
allowed it, and only for a machine that nobody has given another switch.
"""

import json
import secrets as stdlib_secrets
import string
from datetime import datetime
from typing import Any

from muster.lifecycle.keyring import Keyring
from muster.lifecycle.secrets import Forbidden, digest
from muster.lifecycle.switches import parameters_of
from muster.store import bmc_offers, boots, events, machines, power_states, runs
from muster.store.engine import Store, Tx
from muster.store.machines import Machine
from muster.store.runs import Run

USER = "muster"
_OPERATOR = 3
_OURS = ("ipmi", "redfish")
_SPECIAL = "-_.+="
# IPMI 1.5 has room for 16 bytes, which every BMC takes; some ask for special characters, some
# refuse them, and some ask for more than 16 (Launchpad 1621175, 1758760, 1993916, 2130621).
_SHAPES = ((16, _SPECIAL), (16, ""), (20, _SPECIAL))


def new_password(length: int, special: str) -> str:
    """From the operating system's generator: each kind of character, a letter first."""
    kinds = [string.ascii_lowercase, string.ascii_uppercase, string.digits]
    kinds += [special] if special else []
    rest = [stdlib_secrets.choice(kind) for kind in kinds]
    rest += [stdlib_secrets.choice("".join(kinds)) for _ in range(length - 1 - len(kinds))]
    stdlib_secrets.SystemRandom().shuffle(rest)
    return stdlib_secrets.choice(string.ascii_letters) + "".join(rest)


def secret(
    store: Store, keyring: Keyring, token: str, result: int, now: datetime
) -> dict[str, Any]:
    """What the script of this result may set in its BMC; {}: it may only look.

    Asked again within a run, it is the same. Raises Forbidden and KeyringError.
    """
    with store.write() as tx:
        # A rotation holds the same lock: no secret is sealed with a key that it forgets.
        store.one_at_a_time(tx)
        boot = boots.by_token(tx, digest(token)) if token else None
        if boot is None or boot.run_id is None:
            raise Forbidden("unknown session token", status=401)
        run = runs.find(tx, boot.run_id)
        owed = next((one for one in runs.results_of(tx, run.id) if one.id == result), None)
        if boot.ended_at is not None or owed is None or owed.state not in runs.OPEN:
            told = f"the secret of result {result} is not for boot {boot.id}'s run"
            raise Forbidden(told, status=403)
        if not owed.spec.get("secret") or not _allowed(run):
            return {}
        machine = machines.find_for_update(tx, run.machine_id)
        known = _answers(tx, machine)
        passwords = _passwords(tx, keyring, machine, run, now)
        if not passwords:
            driver = machine.power_driver
            told = f"{machine.name} is switched by {driver}: its BMC is only looked at"
            events.add(tx, now, "bmc.left", told, machine=machine.id, boot=boot.id)
            return {}
        told = f"{machine.name} may make the user {USER} in its BMC"
        events.add(tx, now, "bmc.offered", told, machine=machine.id, boot=boot.id)
        return {"user": USER, "passwords": passwords, "privilege": _OPERATOR, "known": known}


def _answers(tx: Tx, machine: Machine) -> bool:
    """Whether its BMC let muster in when it was asked last."""
    seen = power_states.find(tx, machine.id)
    ours = machine.power_parameters.get("power_user") == USER
    return ours and seen is not None and seen.seen_at is not None and not seen.error


def _allowed(run: Run) -> bool:
    return run.mode == "commission" and run.options["asked"].get("bmc_config") == "configure"


def _passwords(tx: Tx, keyring: Keyring, machine: Machine, run: Run, now: datetime) -> list[str]:
    """Those offered before, so that a second run changes nothing; [] for another's switch."""
    known: list[str] = []
    if machine.power_driver in _OURS and machine.power_parameters.get("power_user") == USER:
        known = [parameters_of(keyring, machine).get("power_pass", "")]
    elif machine.power_driver != "manual":
        return []
    elif old := bmc_offers.find(tx, machine.id):
        known = json.loads(keyring.open(old.sealed, of=machine.id)["passwords"])
    passwords = [*filter(None, known)] or [new_password(*shape) for shape in _SHAPES]
    sealed = keyring.seal({"passwords": json.dumps(passwords)}, of=machine.id)
    bmc_offers.put(tx, machine.id, run=run.id, sealed=sealed, now=now)
    return passwords


def claimed(
    tx: Tx, run: Run, told: dict[str, Any], before: dict[str, Any] | None, now: datetime
) -> None:
    """The machine says what its BMC has; it is tried from outside soon.

    `before`: what it said last; a weakness is an event once.
    """
    machine = machines.find(tx, run.machine_id)
    known = before["weak"] if before else []
    for weakness in [text for text in told["weak"] if text not in known]:
        events.add(tx, now, "bmc.weak", f"{machine.name}: {weakness}", machine=machine.id)
    for weakness in told["closed"]:
        events.add(
            tx, now, "bmc.closed", f"{machine.name}: no more: {weakness}", machine=machine.id
        )
    offer = bmc_offers.find(tx, machine.id)
    if told["user"] != USER or offer is None or offer.run_id != run.id:
        return
    claim = {name: told[name] for name in ("addresses", "redfish", "firmware", "password")}
    claim["mac"] = next((lan["mac"] for lan in told["lan"] if lan.get("mac")), "")
    bmc_offers.update(
        tx, machine.id, state="claimed", claim=claim, attempts=0, detail="", due_at=now,
        updated_at=now,
    )  # fmt: skip
