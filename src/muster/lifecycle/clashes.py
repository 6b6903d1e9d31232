# SPDX-License-Identifier: Apache-2.0
"""Who is who, where machines contradict the records: kept for a person, decided, taken back.

A decision changes records so that the machine's next hello is no contradiction any more. What it
changed is in its journal, so that it can be undone.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from muster.lifecycle import records, survey
from muster.machine import evidence as weights
from muster.machine import identity
from muster.machine.evidence import Evidence
from muster.machine.identity import Claim, Clash
from muster.machine.states import State
from muster.store import boots, clashes, events, evidence, machines, moves, runs
from muster.store.clashes import ClashRow
from muster.store.engine import Conflict, Missing, Store, Tx
from muster.store.machines import Machine

Decision = Literal["same", "merge", "new", "different"]
"""same: the machine is `keep`, which takes what is contested. merge: and the other records were
that machine too; their history becomes its own. new: a machine not known yet, which takes what is
contested. different: several machines have what is contested; it identifies nobody any more."""

_UNDONE = "undone"
"""What a person did unasked (a split, a merge) and took back."""
_SWALLOWED = ("uuid", "serial", "vendor", "product", "architecture", "firmware", "surveyed_at",
              "summary")  # fmt: skip


def claim_of(
    tx: Tx, uuid: str, serial: str, macs: list[str], *, usb: tuple[str, ...] = ()
) -> Claim:
    """The evidence in normal form, without what people called not identifying."""
    made = identity.claim(uuid, serial, macs, usb=usb)
    pairs = [("uuid", made.uuid), *(("mac", mac) for mac in made.macs)]
    return identity.without(made, evidence.ignored(tx, pairs))


def keep(tx: Tx, boot: str | None, clash: Clash, said: object, now: datetime) -> None:
    """Once for the same evidence, however often the machine tries again."""
    if any(told.evidence == said for told in clashes.because(tx, clash.because)):
        return
    clashes.add(
        tx, boot=boot, now=now, machines=clash.machines, because=clash.because, evidence=said,
        contested=clash.contested,
    )  # fmt: skip
    events.add(tx, now, "machine.clash", clash.because, boot=boot)


def notice(tx: Tx, machine: str, found: Evidence, now: datetime, *, boot: str | None) -> None:
    """Put evidence on a record; what other records have too is shown to a person."""
    evidence.replace(tx, machine, found)
    for (kind, value), others in sorted(evidence.others_with(tx, machine, found).items()):
        involved = sorted([machine, *others[:8]])
        names = [machines.find(tx, one).name for one in involved]
        because = weights.noticed(kind, value, names)
        keep(tx, boot, Clash(tuple(involved), because, ((kind, value),)), {}, now)


def decide(
    store: Store, number: int, decision: Decision, *, keep: str, actor: str, now: datetime
) -> ClashRow:
    """Raises Missing and Conflict; `keep` (id or name) is for same and merge."""
    with store.write() as tx:
        store.one_at_a_time(tx)
        clash = clashes.find(tx, number)
        if clash.decided_at is not None:
            raise Conflict(f"clash {number} was decided already ({clash.decision}); undo it first")
        kept, journal = _carry_out(tx, clash, decision, keep, now)
        clashes.decide(tx, number, decided_at=now, decision=decision, decided_by=actor,
                       kept=kept.id if kept else "", journal=journal)  # fmt: skip
        told = f"clash {number} ({clash.because}): {decision} {kept.name if kept else ''}".rstrip()
        events.add(tx, now, "clash.decided", told[:2048], actor=actor,
                   machine=kept.id if kept else None, boot=clash.boot_id)  # fmt: skip
        return clashes.find(tx, number)


def _carry_out(
    tx: Tx, clash: ClashRow, decision: Decision, reference: str, now: datetime
) -> tuple[Machine | None, dict[str, Any]]:
    machines.lock_all(tx, clash.machines)
    if decision == "different":
        return None, _ignore(tx, clash, now)
    if decision == "new":
        return _new(tx, clash, now)
    kept = machines.find(tx, reference)
    if kept.id not in clash.machines:
        raise Conflict(f"{kept.name} has no part in clash {clash.id}")
    journal: dict[str, Any] = {"before": moves.record(tx, kept.id), "merged": []}
    others = [m for m in _there(tx, clash.machines) if m.id != kept.id]
    if decision == "merge":
        if not others:
            raise Conflict("no other record is left to merge: decide same")
        journal["merged"] = [_merge(tx, other, kept.id) for other in others]
        others = []
    journal["taken"] = _take(tx, clash, kept.id, others)
    journal["learned"] = _learn(tx, kept.id, clash, now)
    journal["after"] = moves.record(tx, kept.id)
    return kept, journal


def _there(tx: Tx, ids: list[str]) -> list[Machine]:
    found = []
    for one in ids:
        try:
            found.append(machines.find(tx, one))
        except Missing:
            continue
    return found


def _merge(tx: Tx, other: Machine, kept_id: str) -> dict[str, Any]:
    """The later survey counts; how the kept machine is switched stays."""
    kept = machines.find(tx, kept_id)
    for one in (other, kept):
        if runs.open_of(tx, one.id) is not None:
            raise Conflict(f"{one.name} is being looked at: wait for the end, or abort it")
    if other.state == State.IN_USE:
        raise Conflict(f"{other.name} is In use: keep it, or take it out of use first")
    newer = _last(other) > _last(kept)
    journal = moves.merge(tx, other.id, kept.id, newer=newer)
    values = {name: getattr(other, name) for name in _SWALLOWED}
    mine = {name: getattr(kept, name) for name in _SWALLOWED}
    first, second = (values, mine) if newer else (mine, values)
    machines.update(tx, kept.id, **{name: first[name] or second[name] for name in _SWALLOWED})
    return journal


def _last(machine: Machine) -> datetime:
    return machine.surveyed_at or machine.created_at


def _take(tx: Tx, clash: ClashRow, kept: str, others: list[Machine]) -> list[list[str]]:
    """What is contested goes from the others to `kept`; returns [kind, value, from whom]."""
    taken = []
    for kind, value in clash.contested:
        for other in others:
            if _lose(tx, kind, value, other, kept):
                taken.append([kind, value, other.id])
    return taken


def _lose(tx: Tx, kind: str, value: str, other: Machine, kept: str) -> bool:
    if kind == "mac":
        return machines.move_mac(tx, value, other.id, kept)
    if kind == "uuid":
        if other.uuid == value:
            machines.update(tx, other.id, uuid="")
        return other.uuid == value
    if evidence.forget(tx, other.id, (kind, value)):
        evidence.give(tx, kept, (kind, value))
        return True
    return False


def _said(tx: Tx, clash: ClashRow) -> tuple[Claim, dict[str, str]]:
    """What the machine of this clash claims, and its MACs with their interfaces' names."""
    said = clash.evidence
    nics = said.get("nics") or [{"mac": said.get("mac", ""), "name": ""}]
    usb = tuple(nic["mac"] for nic in nics if nic.get("bus") == "usb")
    claim = claim_of(
        tx, said.get("uuid", ""), said.get("serial", ""), [nic["mac"] for nic in nics], usb=usb
    )
    named = {identity.usable_mac(nic["mac"]): nic.get("name", "") for nic in nics}
    return claim, {mac: name for mac, name in named.items() if mac in claim.macs}


def _learn(tx: Tx, machine: str, clash: ClashRow, now: datetime) -> list[str]:
    """Returns the MACs that were on no record."""
    claim, named = _said(tx, clash)
    known = machines.find(tx, machine)
    machines.update(tx, machine, uuid=claim.uuid or known.uuid,
                    serial=claim.serial or known.serial, updated_at=now)  # fmt: skip
    before = machines.macs_of(tx, [machine])[machine]
    machines.learn_macs(tx, machine, named)
    return sorted(set(machines.macs_of(tx, [machine])[machine]) - set(before))


def _new(tx: Tx, clash: ClashRow, now: datetime) -> tuple[Machine, dict[str, Any]]:
    if not clash.evidence:
        raise Conflict("both machines have a record already: decide same, merge or different")
    claim, named = _said(tx, clash)
    boot = _boot(tx, clash.boot_id)
    said = clash.evidence
    made = records.new(
        tx, claim, now, why=f"clash {clash.id} was decided: a machine of its own",
        vendor=said.get("vendor", ""), product=said.get("product", ""),
        architecture=boot.architecture if boot else "", firmware=boot.firmware if boot else "",
    )  # fmt: skip
    taken = _take(tx, clash, made.id, _there(tx, clash.machines))
    machines.learn_macs(tx, made.id, named)
    return made, {"made": made.id, "taken": taken}


def _boot(tx: Tx, boot: str | None) -> boots.Boot | None:
    try:
        return boots.find(tx, boot) if boot else None
    except Missing:
        return None


def _ignore(tx: Tx, clash: ClashRow, now: datetime) -> dict[str, Any]:
    """And every other clash that is about nothing else is decided with it."""
    if not clash.contested:
        raise Conflict(
            "nothing is contested: the machine shows nothing to know it by; give it a NIC or UUID"
        )
    evidence.ignore(tx, [(kind, value) for kind, value in clash.contested], clash.id)
    closed = []
    for other in clashes.some(tx, limit=1000):
        pairs = [(kind, value) for kind, value in other.contested]
        if other.id != clash.id and pairs and set(evidence.ignored(tx, pairs)) == set(pairs):
            told = {"decided_at": now, "decision": "different", "decided_by": f"clash {clash.id}"}
            clashes.decide(tx, other.id, **told)
            closed.append(other.id)
    return {"closed": closed}


def undo(store: Store, number: int, *, actor: str, now: datetime) -> ClashRow:
    """Everything as it was before the decision, but for what has come since; raises Conflict."""
    with store.write() as tx:
        store.one_at_a_time(tx)
        clash = clashes.find(tx, number)
        if clash.decided_at is None:
            raise Conflict(f"clash {number} is not decided: there is nothing to undo")
        if clash.decision == _UNDONE:
            raise Conflict(f"clash {number} was undone already")
        if clash.decided_by.startswith("clash "):
            raise Conflict(f"clash {number} was decided with {clash.decided_by}: undo that one")
        journal = clashes.journal(tx, number)
        machines.lock_all(tx, [*clash.machines, clash.kept])
        _UNDO[clash.decision](tx, clash, journal, now)
        open_again: dict[str, Any]
        open_again = {"decided_at": None, "decision": "", "decided_by": "", "kept": ""}
        if not clash.evidence and not journal.get("asked", True):
            # Nobody asked who is who: there is nothing left to decide.
            open_again |= {"decided_at": now, "decision": _UNDONE, "decided_by": actor}
        for one in [number, *journal.get("closed", [])]:
            clashes.decide(tx, one, journal=None, **open_again)
        told = f"clash {number}: the decision {clash.decision!r} was undone"
        events.add(tx, now, "clash.undone", told, actor=actor, boot=clash.boot_id)
        return clashes.find(tx, number)


def _undo_kept(tx: Tx, clash: ClashRow, journal: dict[str, Any], now: datetime) -> None:
    kept = machines.find(tx, clash.kept)
    _give_back(tx, journal, kept.id)
    before, after = journal["before"], journal["after"]
    now_there = moves.record(tx, kept.id)
    changed = [name for name in _SWALLOWED if before[name] != after[name] == now_there[name]]
    moves.restore(tx, before, changed)
    for merged in reversed(journal["merged"]):
        if machines.name_taken(tx, merged["record"]["name"]):
            raise Conflict(f"the name {merged['record']['name']!r} is taken meanwhile: rename that")
        moves.undo(tx, merged, kept.id)
    machines.forget_macs(tx, kept.id, journal["learned"])
    machines.update(tx, kept.id, updated_at=now)


def _give_back(tx: Tx, journal: dict[str, Any], kept: str) -> None:
    for kind, value, owner in journal["taken"]:
        if not _there(tx, [owner]):
            continue
        if kind == "mac":
            machines.move_mac(tx, value, kept, owner)
        elif kind == "uuid":
            machines.update(tx, owner, uuid=value)
        elif evidence.forget(tx, kept, (kind, value)):
            evidence.give(tx, owner, (kind, value))


def _undo_new(tx: Tx, clash: ClashRow, journal: dict[str, Any], now: datetime) -> None:
    made = machines.find(tx, journal["made"])
    if runs.some(tx, made.id, limit=1):
        raise Conflict(
            f"{made.name} has been looked at since: muster clash merge KEEP {made.name} makes it"
            " one record with another"
        )
    _give_back(tx, journal, made.id)
    machines.delete(tx, made.id)


def _undo_different(tx: Tx, clash: ClashRow, journal: dict[str, Any], now: datetime) -> None:
    evidence.heed(tx, clash.id)


def _undo_split(tx: Tx, clash: ClashRow, journal: dict[str, Any], now: datetime) -> None:
    made = machines.find(tx, journal["made"])
    _merge(tx, made, journal["from"])
    survey.again(tx, journal["from"], now)


_UNDO: Mapping[str, Any] = {
    "same": _undo_kept,
    "merge": _undo_kept,
    "new": _undo_new,
    "different": _undo_different,
    "split": _undo_split,
}


def split(
    store: Store, reference: str, *, macs: list[str], uuid: str, actor: str, now: datetime
) -> tuple[Machine, int]:
    """A record that holds two machines becomes two: these MACs, this UUID and their boots go.

    Returns the new record and the decision's number; raises Missing and Conflict.
    """
    with store.write() as tx:
        store.one_at_a_time(tx)
        machine = machines.find_for_update(tx, reference)
        known = set(machines.macs_of(tx, [machine.id])[machine.id])
        leaving = [identity.usable_mac(mac) for mac in macs]
        if strange := set(leaving) - known:
            raise Conflict(f"{machine.name} has no MAC {min(strange) or macs[0]}")
        if not leaving or set(leaving) == known:
            raise Conflict("name some of its MACs, not all: the other machine needs one too")
        if runs.open_of(tx, machine.id) is not None:
            raise Conflict(f"{machine.name} is being looked at: wait for the end, or abort it")
        claim = identity.claim(uuid, "", leaving)
        made = records.new(tx, claim, now, why=f"split from {machine.name} by {actor}")
        for mac in leaving:
            machines.move_mac(tx, mac, machine.id, made.id)
        if claim.uuid and claim.uuid == machine.uuid:
            machines.update(tx, machine.id, uuid="")
        moves.boots_with(tx, leaving, machine.id, made.id)
        for one in (machine.id, made.id):
            survey.again(tx, one, now)
        because = f"{machine.name} was split: {', '.join(leaving)} became {made.name}"
        pairs = [("mac", mac) for mac in leaving]
        number = clashes.add(tx, boot=None, now=now, machines=[machine.id, made.id],
                             because=because, evidence={}, contested=pairs)  # fmt: skip
        clashes.decide(tx, number, decided_at=now, decision="split", decided_by=actor,
                       kept=machine.id,
                       journal={"made": made.id, "from": machine.id, "asked": False})  # fmt: skip
        events.add(tx, now, "clash.decided", because, actor=actor, machine=machine.id)
        return machines.find(tx, made.id), number


def merge(store: Store, reference: str, other: str, *, actor: str, now: datetime) -> int:
    """Two records of one machine become one, `reference`'s; returns the decision's number.

    Raises Missing and Conflict.
    """
    with store.write() as tx:
        store.one_at_a_time(tx)
        kept, gone = machines.find(tx, reference), machines.find(tx, other)
        if kept.id == gone.id:
            raise Conflict(f"{kept.name} is one record already")
        machines.lock_all(tx, [kept.id, gone.id])
        for clash in clashes.some(tx, limit=1000):
            if {kept.id, gone.id} <= set(clash.machines):
                told = f"muster clash decide {clash.id} merge {kept.name}"
                raise Conflict(f"clash {clash.id} waits about these two: {told}")
        journal: dict[str, Any] = {"before": moves.record(tx, kept.id), "asked": False,
                                   "taken": [], "learned": []}  # fmt: skip
        journal["merged"] = [_merge(tx, gone, kept.id)]
        journal["after"] = moves.record(tx, kept.id)
        because = f"{gone.name} was {kept.name}: two records of one machine"
        number = clashes.add(tx, boot=None, now=now, machines=[kept.id, gone.id],
                             because=because, evidence={})  # fmt: skip
        clashes.decide(tx, number, decided_at=now, decision="merge", decided_by=actor,
                       kept=kept.id, journal=journal)  # fmt: skip
        events.add(tx, now, "clash.decided", because, actor=actor, machine=kept.id)
        return number
