# SPDX-License-Identifier: Apache-2.0
"""Writes what a boot does onto its timeline, from its first DHCP packet to its end.

Everything before the hello is only shown, never trusted: whoever can send a DHCP packet can
forge these lines, so nothing is decided by them.
"""

from datetime import datetime, timedelta
from typing import Any

from muster.lifecycle import secrets
from muster.lifecycle.secrets import Forbidden
from muster.machine.identity import usable_mac
from muster.machine.phases import AFTER, Phase, later
from muster.store import boots, events
from muster.store.boots import Boot
from muster.store.engine import Missing, Store, Tx
from muster.wire.events import PhaseReport

SAME_ATTEMPT = timedelta(minutes=10)
"""A loader that asks again within this time is still the same attempt to start."""

COMES_BACK = timedelta(minutes=30)
"""A machine that reboots during its run may take so long to its next hello."""

MARKS_LIMIT = 500
"""Lines of one timeline; a machine that reports more is broken or hostile."""


def reach(
    tx: Tx, boot: Boot, phase: Phase, now: datetime, *, status: str = "done", detail: str = "",
    **more: Any,
) -> None:  # fmt: skip
    """Write a mark; the deadline of what comes next starts here. `more` changes too of the boot."""
    if boots.count_marks(tx, boot.id) >= MARKS_LIMIT:
        if more:
            boots.update(tx, boot.id, **more)
        return
    boots.mark(tx, boot.id, now, phase, status, detail[:2048])
    if status == "failed":
        boots.update(tx, boot.id, failure=f"{phase}: {detail}"[:2048], **more)
        return
    values = {"phase_at": now, "deadline_at": _deadline(phase, now, status), "failure": ""}
    if status == "done" and (later(phase, Phase(boot.phase)) or phase == boot.phase):
        values["phase"] = phase
    boots.update(tx, boot.id, **{"ended_at": None, **values, **more})


def _deadline(phase: Phase, now: datetime, status: str = "done") -> datetime | None:
    wait = AFTER.get(phase if status == "done" else _before(phase))
    return now + timedelta(seconds=wait.seconds) if wait else None


def _before(phase: Phase) -> Phase:
    """The phase whose end this one waits for."""
    order = tuple(Phase)
    return order[max(0, order.index(phase) - 1)]


def begin(tx: Tx, now: datetime, *, mac: str, phase: Phase, detail: str) -> Boot:
    """A new boot; what this MAC left unfinished ends here."""
    close_open(tx, now, mac=mac)
    boot = secrets.new_id(12)
    boots.add(tx, boot, mac=mac, phase=phase, phase_at=now, started_at=now,
              deadline_at=_deadline(phase, now))  # fmt: skip
    boots.mark(tx, boot, now, phase, "done", detail[:2048])
    return boots.find(tx, boot)


def close_open(tx: Tx, now: datetime, *, mac: str) -> None:
    """The machine starts anew: what it did before the hello is over.

    After the hello only time decides: a script may have rebooted the machine on purpose, and
    whoever can forge a DHCP packet must not end a run. The next hello takes the run over.
    """
    open_boot = boots.open_for_mac(tx, mac, since=now - timedelta(days=7)) if mac else None
    if open_boot is None:
        return
    if open_boot.token_hash is not None:
        boots.update(tx, open_boot.id, deadline_at=now + COMES_BACK)
        return
    boots.update(tx, open_boot.id, ended_at=now, deadline_at=None)
    boots.mark(tx, open_boot.id, now, Phase.END, "failed", "the machine started again")


def in_loader(tx: Tx, now: datetime, *, mac: str) -> Boot | None:
    """The attempt to start that this MAC is making, when no kernel of it was heard yet."""
    boot = boots.open_for_mac(tx, mac, since=now - SAME_ATTEMPT) if mac else None
    return boot if boot and not later(Phase(boot.phase), Phase.LOADER) else None


def dhcp_seen(tx: Tx, now: datetime, *, mac: str, detail: str) -> None:
    """A network boot client asked for an address: a boot begins."""
    mac = usable_mac(mac)
    if not mac:
        return
    boot = in_loader(tx, now, mac=mac)
    if boot is None:
        begin(tx, now, mac=mac, phase=Phase.DHCP, detail=detail)
    elif _is_news(tx, boot, detail):
        # The same DISCOVER is repeated for seconds; one line says it.
        reach(tx, boot, Phase.DHCP, now, detail=detail)


def _is_news(tx: Tx, boot: Boot, detail: str) -> bool:
    last = boots.last_mark(tx, boot.id)
    return last is None or last.detail != detail


def unserved(tx: Tx, now: datetime, *, mac: str, detail: str) -> None:
    """A machine of a kind that nothing here can start asked for an address: it stays where it is.

    Its boot waits for nothing more, so that it is not called late as well.
    """
    mac = usable_mac(mac)
    if not mac:
        return
    boot = in_loader(tx, now, mac=mac)
    if boot is None:
        boot = begin(tx, now, mac=mac, phase=Phase.DHCP, detail="asked for an address")
    if _is_news(tx, boot, detail):
        reach(tx, boot, Phase.DHCP, now, status="failed", detail=detail, deadline_at=None)
        message = f"boot {boot.id} of {mac} failed at {Phase.DHCP}: {detail}"
        events.add(tx, now, "boot.failed", message, boot=boot.id)


def waits(tx: Tx, boot: Boot, now: datetime) -> None:
    """Many machines start: the loader was told to ask again, which it may do for minutes."""
    told = "told to wait: more machines start than may fetch at once (setting: boots_at_once)"
    reach(tx, boot, Phase.LOADER, now, status="started", detail=told)
    boots.update(tx, boot.id, deadline_at=now + SAME_ATTEMPT)


def crowded(store: Store, now: datetime, *, waiting: int, at_once: int) -> None:
    """Machines began to wait for their turn to fetch, or none does any more."""
    told = (
        f"many machines start: {at_once} fetch at once (setting: boots_at_once), others wait"
        if waiting
        else "no machine waits for its turn to fetch any more"
    )
    with store.write() as tx:
        events.add(tx, now, "boot.crowd", told)


def loader_sent(tx: Tx, now: datetime, *, mac: str, detail: str, failed: bool = False) -> None:
    """TFTP sent a loader to the machine with this MAC, or could not."""
    boot = in_loader(tx, now, mac=usable_mac(mac))
    # UEFI asks for the size first, which dnsmasq calls sent too.
    if boot is not None and _is_news(tx, boot, detail):
        status = "failed" if failed else "started"
        reach(tx, boot, Phase.LOADER, now, status=status, detail=detail)


def file_fetched(
    store: Store, now: datetime, *, boot_id: str, detail: str, failed: bool = False
) -> None:
    """The loader fetched a boot file over HTTP, or did not take all of it."""
    with store.write() as tx:
        try:
            boot = boots.find(tx, boot_id)
        except Missing:
            return
        if boot.ended_at is None and not later(Phase(boot.phase), Phase.LOADER):
            status = "failed" if failed else "started"
            reach(tx, boot, Phase.KERNEL, now, status=status, detail=detail)


def reported(store: Store, now: datetime, *, nonce: str, report: PhaseReport) -> None:
    """The initrd says how far it is; raises Forbidden for a nonce that is unknown or has ended.

    After the hello it is still heard (a swift start fetches its root then), but the agent's own
    signs of life alone move deadlines.
    """
    with store.write() as tx:
        spoken = boots.by_nonce(tx, secrets.digest(nonce))
        if spoken and spoken.key_hash and spoken.ended_at is None and report.phase in _BESIDE:
            beside(tx, spoken, Phase(report.phase), now, status=report.status, detail=report.detail)
            return
        boot = _unused(spoken, now, what="a phase report")
        if report.phase == "drivers":
            raise Forbidden("drivers come behind the hello", status=403)
        reach(tx, boot, Phase(report.phase), now, status=report.status, detail=report.detail)
        if report.status == "failed":
            message = f"boot {boot.id} failed at {report.phase}: {report.detail}"
            events.add(tx, now, "boot.failed", message, machine=boot.machine_id, boot=boot.id)


_BESIDE = ("firmware", "swift", "root", "drivers")


def beside(tx: Tx, boot: Boot, phase: Phase, now: datetime, *, status: str, detail: str) -> None:
    """What is fetched while the agent works: a mark that moves nothing.

    What came does not hide what failed beside it.
    """
    if boots.count_marks(tx, boot.id) >= MARKS_LIMIT:
        return
    boots.mark(tx, boot.id, now, phase, status, detail[:2048])
    if status == "failed":
        boots.update(tx, boot.id, failure=f"{phase}: {detail}"[:2048])
    elif boot.failure.startswith(f"{phase}: "):
        boots.update(tx, boot.id, failure="")


def seed_served(store: Store, now: datetime, *, nonce: str, user_data: bool = False) -> Boot:
    """The boot that may read this seed; raises Forbidden. User data is what cloud-init acts on."""
    with store.write() as tx:
        boot = nonce_boot(tx, nonce, now, what="the seed")
        if user_data:
            told = "cloud-init has its user-data"
            reach(tx, boot, Phase.AGENT, now, status="started", detail=told)
        return boot


def nonce_boot(tx: Tx, nonce: str, now: datetime, *, what: str) -> Boot:
    """The boot of a nonce that is alive and not consumed; raises Forbidden."""
    return _unused(boots.by_nonce(tx, secrets.digest(nonce)), now, what=what)


def _unused(boot: Boot | None, now: datetime, *, what: str) -> Boot:
    if boot is None:
        raise Forbidden(f"unknown nonce for {what}", status=401)
    if boot.nonce_expires_at is None or boot.nonce_expires_at <= now:
        raise Forbidden(f"the nonce for {what} of boot {boot.id} has expired", status=403)
    if boot.key_hash is not None:
        raise Forbidden(f"the nonce for {what} of boot {boot.id} was already used", status=403)
    return boot


def segment_changed(store: Store, now: datetime, message: str) -> None:
    """Another DHCP server came or went."""
    with store.write() as tx:
        events.add(tx, now, "dhcp.server", message[:2048])


def audit(store: Store, now: datetime, message: str, *, actor: str) -> None:
    """Write a refusal down, in a transaction of its own: the refused one was rolled back."""
    with store.write() as tx:
        events.add(tx, now, "audit.refused", message[:2048], actor=actor)
