# SPDX-License-Identifier: Apache-2.0
"""The first verb: a machine that we may never have seen boots, and adds itself.

`plan_boot` answers the loader, `hello` answers the agent. Nothing is taken over: enlisting makes
a record in state New and reads the machine, no more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from muster.images.library import Library
from muster.images.manifest import Manifest
from muster.lifecycle import (
    applying,
    choices,
    clashes,
    firmware,
    manifest,
    plan,
    records,
    secrets,
    shelf,
    tags,
    timeline,
)
from muster.lifecycle import runs as run_verbs
from muster.lifecycle.policy import Datasource, Policy, Start
from muster.lifecycle.secrets import Forbidden
from muster.lifecycle.timeline import begin, in_loader, reach
from muster.machine import evidence as weights
from muster.machine import identity
from muster.machine.facts import line
from muster.machine.identity import Claim, Clash, Same, Verdict, usable_mac
from muster.machine.phases import Phase, Purpose
from muster.machine.states import WORKING, State
from muster.store import boots, events, machines, runs
from muster.store.boots import Boot
from muster.store.engine import Store, Tx
from muster.store.machines import Machine
from muster.wire.codec import to_plain
from muster.wire.hello import Hello, Welcome


@dataclass(frozen=True)
class Caller:
    """What the loader says of its machine; all of it is hearsay.

    `how` is how it came here, when no DHCP packet of it was seen. `busid` is iPXE's name of the
    boot NIC's PCI device.
    """

    mac: str = ""
    uuid: str = ""
    serial: str = ""
    architecture: str = ""
    firmware: str = ""
    client_ip: str = ""
    how: str = "answered by another DHCP server"
    busid: str = ""


@dataclass(frozen=True)
class BootPlan:
    """The answer to a loader. `nonce` and `image` are set when the ephemeral OS shall start.

    `with_firmware`: files of the image that go behind its initrd.
    `start` is how; `wait_s`: it may, but not yet; the loader asks again after so many seconds.
    """

    boot: str
    purpose: Purpose
    reason: str
    nonce: str = ""
    start: Start = "cloud-init"
    image: Manifest | None = None
    kernel_options: str = ""
    datasource: Datasource = "nocloud"
    wait_s: float = 0.0
    with_firmware: tuple[str, ...] = ()


def not_yet(wait_s: float, *, boot: str = "", purpose: Purpose = Purpose.ENLIST) -> BootPlan:
    """The answer to a machine whose turn has not come."""
    return BootPlan(boot, purpose, "many machines start; its turn comes", wait_s=wait_s)


def plan_boot(
    store: Store,
    policy: Policy,
    library: Library,
    caller: Caller,
    now: datetime,
    *,
    admit: Callable[[], float] = lambda: 0.0,
) -> BootPlan:
    """Decide what this machine starts; the boot is on record whatever the answer.

    `admit` tells when an image may be fetched: 0, or the seconds to wait. Local disks never wait.
    """
    mac = usable_mac(caller.mac)
    with store.write(first=True) as tx:
        store.one_at_a_time(tx)
        claim = clashes.claim_of(tx, caller.uuid, caller.serial, [caller.mac])
        verdict = identity.match(claim, machines.candidates(tx, claim))
        purpose, reason, machine = _decide(tx, policy, verdict)
        offer = None
        if purpose not in (Purpose.LOCAL, Purpose.REFUSED):
            offer = choices.offer(tx, library, policy, machine, caller.architecture)
            if offer.image is None:
                purpose, reason = Purpose.REFUSED, offer.because
        boot = in_loader(tx, now, mac=mac)
        boot = boot or begin(tx, now, mac=mac, phase=Phase.DHCP, detail=caller.how)
        ephemeral = offer is not None and offer.image is not None
        if ephemeral and (wait_s := admit()):
            timeline.waits(tx, boot, now)
            return not_yet(wait_s, boot=boot.id, purpose=purpose)
        nonce = secrets.new() if ephemeral else ""
        why = f"{reason}; {offer.because}" if nonce and offer else reason
        more = firmware.chosen(tx, library, offer.image if offer else None, machine, caller.busid)
        told = f"boot answer: {purpose}: {why}{firmware.told(more)}"
        reach(tx, boot, Phase.LOADER, now, detail=told, machine_id=machine, purpose=purpose,
              **_said(caller), **_keyed(policy, nonce, now))  # fmt: skip
        if machine:
            machines.update(tx, machine, seen_at=now)
        message = f"boot {boot.id} of {mac or 'a machine without MAC'}: {purpose}: {reason}"
        events.add(tx, now, "boot.answer", message, machine=machine, boot=boot.id)
        if isinstance(verdict, Clash):
            said = {"uuid": line(caller.uuid)[:64], "serial": line(caller.serial)[:256], "mac": mac}
            clashes.keep(tx, boot.id, verdict, said, now)
        start = _start(tx, policy, purpose, machine)
    if not nonce or offer is None:
        return BootPlan(boot.id, purpose, reason)
    return BootPlan(
        boot.id, purpose, reason, nonce, start, offer.image, offer.kernel_options,
        offer.datasource, with_firmware=more,
    )  # fmt: skip


def _said(caller: Caller) -> dict[str, Any]:
    """What a loader says of its machine, within the columns."""
    return {
        "uuid": line(caller.uuid)[:64],
        "serial": line(caller.serial)[:256],
        "architecture": line(caller.architecture)[:32],
        "firmware": line(caller.firmware)[:16],
        "client_ip": caller.client_ip,
    }


def _keyed(policy: Policy, nonce: str, now: datetime) -> dict[str, Any]:
    """Only the nonce's hash is kept. Without one nothing more will be heard of this boot."""
    if not nonce:
        return {"nonce_hash": None, "nonce_expires_at": None, "ended_at": now, "deadline_at": None}
    expires = now + timedelta(seconds=policy.nonce_s)
    return {"nonce_hash": secrets.digest(nonce), "nonce_expires_at": expires}


def _start(tx: Tx, policy: Policy, purpose: Purpose, machine: str | None) -> Start:
    """Swift, unless something needs systemd or cloud-init: a script, SSH, the clock's setting."""
    if policy.start != "swift":
        return policy.start
    if purpose == Purpose.ENLIST:
        system = any(offer.needs == "system" for offer in shelf.for_enlist(tx))
        return "cloud-init" if system else "swift"
    run = runs.open_of(tx, machine) if machine else None
    if run is None or policy.ntp_servers or run.options.get("enable_ssh"):
        return "cloud-init"
    return "cloud-init" if plan.needs_system(tx, run) else "swift"


def _decide(tx: Tx, policy: Policy, verdict: Verdict) -> tuple[Purpose, str, str | None]:
    if isinstance(verdict, Clash):
        # A machine that may be another one's double must not be touched, nor run anything.
        return Purpose.REFUSED, f"clash: {verdict.because}; a person must decide", None
    if not isinstance(verdict, Same):
        if policy.enlist == "deny":
            return Purpose.REFUSED, "the policy denies unknown machines", None
        return Purpose.ENLIST, verdict.because, None
    machine = machines.find(tx, verdict.machine)
    if machine.state in WORKING and (run := runs.open_of(tx, machine.id)):
        return Purpose(run.mode), f"{machine.name} is {machine.state}", machine.id
    if machine.state != State.NEW or machine.surveyed_at is not None:
        return Purpose.LOCAL, f"{machine.name} is {machine.state}: {verdict.because}", machine.id
    if machine.denied_reason:
        return Purpose.REFUSED, machine.denied_reason, machine.id
    return Purpose.ENLIST, f"{machine.name} was never surveyed", machine.id


def hello(store: Store, policy: Policy, message: Hello, now: datetime) -> Welcome:
    """Identify the machine and give it its run; raises Forbidden for a bad nonce.

    The nonce is consumed by the first hello and bound to its key: the same key may ask again
    (an answer was lost, a person had to say yes first), any other one is a replay.
    """
    with store.write() as tx:
        store.one_at_a_time(tx)
        boot = _boot_of(tx, message, now)
        if boot.key_hash is None:
            reach(
                tx,
                boot,
                Phase.AGENT,
                now,
                detail=f"agent {message.agent_version}, kernel {message.kernel}",
                key_hash=secrets.digest(message.key),
                evidence=to_plain(message.evidence),
            )
        # Whose run it is was decided when the run was given; other evidence does not move it.
        known = machines.find(tx, boot.machine_id) if boot.run_id and boot.machine_id else None
        machine = known or _identify(tx, boot, message, now)
        if isinstance(machine, Clash):
            boots.update(tx, boot.id, deadline_at=None, last_heard_at=now)
            return Welcome("hold", f"clash: {machine.because}", retry_s=policy.hold_s)
        boots.update(tx, boot.id, machine_id=machine.id, last_heard_at=now)
        machines.update(tx, machine.id, seen_at=now)
        machine = manifest.arrive(tx, policy, machine, now)
        return _permit(tx, policy, boot, machine, now)


def _boot_of(tx: Tx, message: Hello, now: datetime) -> Boot:
    boot = boots.by_nonce(tx, secrets.digest(message.nonce))
    if boot is None:
        raise Forbidden("hello with an unknown nonce", status=401)
    if boot.key_hash is not None:
        if boot.key_hash != secrets.digest(message.key):
            raise Forbidden(f"hello with the used nonce of boot {boot.id}", status=403)
        if boot.ended_at is not None:
            raise Forbidden(f"hello for boot {boot.id}, which has ended", status=403)
    elif boot.nonce_expires_at is None or boot.nonce_expires_at <= now:
        raise Forbidden(f"hello with the expired nonce of boot {boot.id}", status=403)
    return boot


def _identify(tx: Tx, boot: Boot, message: Hello, now: datetime) -> Machine | Clash:
    evidence = message.evidence
    claim = clashes.claim_of(
        tx,
        evidence.uuid,
        evidence.serial,
        [nic.mac for nic in evidence.nics],
        usb=tuple(nic.mac for nic in evidence.nics if nic.bus == "usb"),
    )
    verdict = identity.match(claim, machines.candidates(tx, claim))
    if isinstance(verdict, Clash):
        clashes.keep(tx, boot.id, verdict, to_plain(evidence), now)
        return verdict
    if isinstance(verdict, Same):
        machine = machines.find(tx, verdict.machine)
        _learn(tx, machine, claim, message, now)
        _notice(tx, machine, boot, message, now)
        return machines.find(tx, machine.id)
    machine = records.new(
        tx, claim, now, why="; ".join(("enlisted itself", *claim.notes)),
        vendor=evidence.vendor, product=evidence.product,
        architecture=message.architecture, firmware=message.firmware,
        named=_named(claim, message),
    )  # fmt: skip
    told = f"{machine.name} enlisted itself: {verdict.because}"
    events.add(tx, now, "machine.enlisted", told, machine=machine.id, boot=boot.id)
    _notice(tx, machine, boot, message, now)
    return machine


def _notice(tx: Tx, machine: Machine, boot: Boot, message: Hello, now: datetime) -> None:
    """Weaker evidence than UUID and MACs, which other records may have too."""
    said = message.evidence
    found = weights.told("", said.serial, said.vendor, said.product, said.board_serial)
    clashes.notice(tx, machine.id, found, now, boot=boot.id)


def _learn(tx: Tx, machine: Machine, claim: Claim, message: Hello, now: datetime) -> None:
    """Put what is new onto the record; what contradicts it would have been a Clash."""
    values = {
        "uuid": claim.uuid or machine.uuid,
        "serial": claim.serial or machine.serial,
        "vendor": message.evidence.vendor or machine.vendor,
        "product": message.evidence.product or machine.product,
        "architecture": message.architecture or machine.architecture,
        "firmware": message.firmware or machine.firmware,
    }
    machines.learn_macs(tx, machine.id, _named(claim, message))
    if any(getattr(machine, name) != value for name, value in values.items()):
        machines.update(tx, machine.id, updated_at=now, **values)
        tags.reconsider(tx, machine.id, now)


def _named(claim: Claim, message: Hello) -> dict[str, str]:
    macs = {usable_mac(nic.mac): nic.name for nic in message.evidence.nics}
    return {mac: name for mac, name in macs.items() if mac in claim.macs}


def _permit(tx: Tx, policy: Policy, boot: Boot, machine: Machine, now: datetime) -> Welcome:
    if machine.denied_reason:
        boots.update(tx, boot.id, ended_at=now, deadline_at=None)
        return Welcome("denied", machine.denied_reason, machine=machine.name)
    if not machine.permitted:
        if policy.enlist == "deny":
            return Welcome("denied", "the policy denies unknown machines", machine=machine.name)
        held, accepted = applying.at_hello(tx, machine)
        if held or (policy.enlist == "hold" and not accepted):
            boots.update(tx, boot.id, deadline_at=None)
            reason = f"{machine.name} asks to send its data; somebody must accept it first"
            reason = f"{reason} ({held})" if held else reason
            return Welcome("hold", reason, retry_s=policy.hold_s, machine=machine.name)
        machines.update(tx, machine.id, permitted=True, updated_at=now)
    return run_verbs.welcome(tx, policy, boot, machine, now)
