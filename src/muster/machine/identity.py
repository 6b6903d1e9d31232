# SPDX-License-Identifier: Apache-2.0
"""Is this the machine we know? Same, New or Clash, each with the reason in words.

UUID first, MAC second, as the trend of the trade goes (the seed document says so of MAAS). Two
records that claim the same evidence are never merged and never robbed: that is a Clash, and a
person decides.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

_UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
_MAC = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")

_NOTES = 8
"""Notes kept: a machine may show 512 NICs."""

DUMMY_UUIDS = frozenset(
    {
        # AMI's unset default, met on many white-box boards.
        "03000200-0400-0500-0006-000700080009",
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "12345678-1234-1234-1234-123456789abc",
        "00020003-0004-0005-0006-000700080009",
        # Supermicro boards shipped without a programmed UUID.
        "49434d53-0200-9033-2500-33902500f9c4",
    }
)

DUMMY_STRINGS = frozenset(
    {
        "", "none", "n/a", "na", "unknown", "default", "default string", "0123456789", "123456789",
        "to be filled by o.e.m.", "to be filled by o.e.m", "not specified", "not available",
        "not applicable", "system serial number", "chassis serial number", "oem", "invalid",
        "empty", "0", "x", "xxxxxxxxxx", ".",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """Evidence in normal form; what is empty says nothing."""

    uuid: str = ""
    serial: str = ""
    macs: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """The evidence on one machine's record."""

    id: str
    name: str
    uuid: str = ""
    serial: str = ""
    macs: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Same:
    """The claim is this machine's."""

    machine: str
    because: str


@dataclass(frozen=True)
class New:
    """Nothing known matches."""

    because: str


@dataclass(frozen=True)
class Clash:
    """The claim contradicts what is on record of `machines`; a person decides.

    `contested` are the (kind, value) pairs that the claim and these records both have.
    """

    machines: tuple[str, ...]
    because: str
    contested: tuple[tuple[str, str], ...] = field(default=(), compare=False)


Verdict = Same | New | Clash


def usable_uuid(text: str) -> tuple[str, str]:
    """The UUID in normal form, or "" and why it says nothing."""
    uuid = text.strip().lower()
    if not uuid:
        return "", "no hardware UUID"
    if not _UUID.match(uuid):
        return "", f"hardware UUID {text[:64]!r} is not a UUID"
    digits = uuid.replace("-", "")
    if len(set(digits)) == 1:
        return "", f"hardware UUID {uuid} is all {digits[0]}: a dummy"
    if uuid in DUMMY_UUIDS:
        return "", f"hardware UUID {uuid} is a known dummy of vendors"
    return uuid, ""


def usable_serial(text: str) -> str:
    """The serial number, or "" when it is a vendor's filler; what cannot be printed is left out."""
    serial = "".join(c for c in text if c.isprintable()).strip()
    filler = serial.lower() in DUMMY_STRINGS or set(serial) <= {"0", "-", "."}
    return "" if filler else serial


def usable_mac(text: str) -> str:
    """The MAC in lower case with colons, or "" for groups, zeros and what is no MAC-48."""
    mac = text.strip().lower().replace("-", ":")
    if not _MAC.match(mac) or mac == "00:00:00:00:00:00" or int(mac[:2], 16) & 1:
        return ""
    return mac


def claim(uuid: str, serial: str, macs: list[str], *, usb: Collection[str] = ()) -> Claim:
    """Put raw evidence into normal form; `notes` say what was refused and why.

    `usb` are the MACs of NICs on USB. A dock or adapter goes from desk to desk, and BMCs show the
    same MAC on many machines (metal3 documents hosts that could not be inspected for that).
    """
    clean, why = usable_uuid(uuid)
    apart = frozenset(filter(None, map(usable_mac, usb)))
    usable = frozenset(filter(None, map(usable_mac, macs))) - apart
    notes = [why] if why else []
    notes += [
        f"MAC {mac} is of a NIC on USB, which may be a dock or a BMC" for mac in sorted(apart)
    ]
    return Claim(clean, usable_serial(serial), usable, tuple(notes[:_NOTES]))


def swapped(uuid: str) -> str:
    """The UUID with its first three fields in the other byte order (SMBIOS 3.7, 7.2.1), or "".

    Some BMCs show it so.
    """
    if not _UUID.match(uuid):
        return ""
    first, second, third, rest = uuid.split("-", 3)
    turned = ("".join(reversed(re.findall("..", part))) for part in (first, second, third))
    return "-".join((*turned, rest))


def without(claim: Claim, ignored: Mapping[tuple[str, str], int]) -> Claim:
    """The claim without what people called not identifying, with a note for each.

    `ignored`: the number of the decision by ("uuid" or "mac", value).
    """
    notes = [*claim.notes]
    uuid = claim.uuid
    if decision := ignored.get(("uuid", uuid)):
        notes.append(f"hardware UUID {uuid} is on several machines (decision {decision})")
        uuid = ""
    apart = {mac: ignored["mac", mac] for mac in sorted(claim.macs) if ("mac", mac) in ignored}
    notes += [f"MAC {mac} is on several machines (decision {n})" for mac, n in apart.items()]
    return replace(claim, uuid=uuid, macs=claim.macs - set(apart), notes=tuple(notes[:_NOTES]))


def match(claim: Claim, known: list[Known]) -> Verdict:
    """Compare a claim with every record that shares its UUID or one of its MACs, or that is known

    by the same serial number alone: a BMC told it, and the machine has not booted yet.
    """
    verdict = _match(claim, known)
    if not isinstance(verdict, Clash):
        return verdict
    involved = [k for k in known if k.id in verdict.machines]
    contested = [("uuid", claim.uuid)] if any(k.uuid == claim.uuid for k in involved) else []
    theirs = frozenset().union(*(k.macs for k in involved))
    contested += [("mac", mac) for mac in sorted(claim.macs & theirs)]
    return replace(verdict, contested=tuple(pair for pair in contested if pair[1]))


def _match(claim: Claim, known: list[Known]) -> Verdict:
    known = sorted(known, key=lambda k: k.id)
    by_uuid = [k for k in known if claim.uuid and k.uuid == claim.uuid]
    by_mac = [k for k in known if claim.macs & k.macs]
    if len(by_uuid) > 1:
        return Clash(_ids(by_uuid), f"hardware UUID {claim.uuid} is on {_names(by_uuid)}")
    if by_uuid:
        return _match_uuid(claim, by_uuid[0], [k for k in by_mac if k != by_uuid[0]])
    if by_mac:
        return _match_mac(claim, by_mac)
    bare = [k for k in known if claim.serial and k.serial == claim.serial and not k.macs]
    bare = [k for k in bare if not k.uuid or k.uuid == swapped(claim.uuid)]
    if len(bare) == 1:
        return Same(bare[0].id, "same serial number; no more was known of it")
    if len(bare) > 1:
        return Clash(_ids(bare), f"serial number {claim.serial} is on {_names(bare)}")
    if not claim.uuid and not claim.macs:
        return Clash((), "the machine shows neither a usable UUID nor a usable MAC")
    return New("; ".join((*claim.notes, "no record has its UUID or one of its MACs")))


def _match_uuid(claim: Claim, owner: Known, others: list[Known]) -> Verdict:
    if others:
        return Clash(
            _ids([owner, *others]),
            f"hardware UUID is {owner.name}'s, but a MAC belongs to {_names(others)}",
        )
    if not owner.macs or not claim.macs or claim.macs & owner.macs:
        return Same(owner.id, "same hardware UUID")
    if owner.serial and owner.serial == claim.serial:
        return Same(owner.id, "same hardware UUID and serial number; every NIC was changed")
    return Clash(
        (owner.id,),
        f"hardware UUID is {owner.name}'s, but no MAC and no serial number agrees:"
        " a duplicate UUID or exchanged parts",
    )


def _match_mac(claim: Claim, owners: list[Known]) -> Verdict:
    if len(owners) > 1:
        return Clash(_ids(owners), f"its MACs belong to {_names(owners)}")
    (owner,) = owners
    if not claim.uuid:
        return Same(owner.id, "; ".join((*claim.notes, "same MAC")))
    if not owner.uuid:
        return Same(owner.id, "same MAC; its hardware UUID is new to us")
    if owner.serial and owner.serial == claim.serial:
        return Same(owner.id, "same MAC and serial number; the hardware UUID was changed")
    if owner.uuid == swapped(claim.uuid):
        return Same(owner.id, "same MAC, and the hardware UUID in its other byte order")
    return Clash(
        (owner.id,),
        f"a MAC belongs to {owner.name}, which has another hardware UUID ({owner.uuid}):"
        " a moved NIC or a changed board",
    )


def _ids(known: list[Known]) -> tuple[str, ...]:
    return tuple(k.id for k in known)


def _names(known: list[Known]) -> str:
    return " and ".join(k.name for k in known)
