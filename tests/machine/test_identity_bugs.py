"""Who is who in situations that the trade has reported as bugs; with test_identity.py over 70."""

import pytest

from muster.machine.identity import (
    Claim,
    Clash,
    Known,
    New,
    Same,
    Verdict,
    claim,
    match,
    swapped,
    without,
)

U1 = "4c4c4544-0051-3310-8051-b4c04f4e3331"
U2 = "4c4c4544-0051-3310-8051-b4c04f4e3332"
U9 = "4c4c4544-0051-3310-8051-b4c04f4e3399"
M1, M2, M3, M9 = (f"b8:59:9f:00:00:0{n}" for n in (1, 2, 3, 9))
DOCK = "00:e0:4c:68:00:01"
RANDOM = "02:9a:11:22:33:44"
OTTER = Known("1", "otter", U1, "S1", frozenset({M1, M2}))
CRAB = Known("2", "crab", U2, "S2", frozenset({M3}))
BOTH = [OTTER, CRAB]

NOT_KNOWN = "no record has its UUID or one of its MACs"
ON_USB = f"MAC {DOCK} is of a NIC on USB, which may be a dock or a BMC"
NOTHING = "the machine shows neither a usable UUID nor a usable MAC"
DUPLICATE = (
    "hardware UUID is otter's, but no MAC and no serial number agrees:"
    " a duplicate UUID or exchanged parts"
)


def moved(uuid: str) -> str:
    told = f"a MAC belongs to otter, which has another hardware UUID ({uuid})"
    return f"{told}: a moved NIC or a changed board"


def dummy(uuid: str) -> str:
    return f"hardware UUID {uuid} is a known dummy of vendors"


SUPERMICRO = "49434d53-0200-9033-2500-33902500f9c4"
TEMPLATE = "12345678-1234-1234-1234-123456789abc"

SITUATIONS: dict[str, tuple[Claim, list[Known], Verdict]] = {
    "a dock that was at another machine is plugged into a new one": (
        claim(U9, "S9", [M9, DOCK], usb=[DOCK]),
        [Known("1", "otter", U1, "S1", frozenset({M1, DOCK}))],
        New(f"{ON_USB}; {NOT_KNOWN}"),
    ),
    "a dock that was at another machine is plugged into a known one": (
        claim(U2, "S2", [M3, DOCK], usb=[DOCK]),
        [Known("1", "otter", U1, "S1", frozenset({M1, DOCK})), CRAB],
        Same("2", "same hardware UUID"),
    ),
    "a laptop without a NIC boots by a dock and is known by its UUID": (
        claim(U1, "S1", [DOCK], usb=[DOCK]), BOTH, Same("1", "same hardware UUID"),
    ),
    "nothing but a dock": (claim("", "", [DOCK], usb=[DOCK]), BOTH, Clash((), NOTHING)),
    "a dock and a dummy UUID": (
        claim(SUPERMICRO, "", [DOCK], usb=[DOCK]), BOTH, Clash((), NOTHING),
    ),
    "the BMC's USB NIC has one MAC on all machines (metal3-docs 595), the first": (
        claim(U1, "S1", [M1, DOCK], usb=[DOCK]), [], New(f"{ON_USB}; {NOT_KNOWN}"),
    ),
    "the BMC's USB NIC has one MAC on all machines (metal3-docs 595), the second": (
        claim(U2, "S2", [M3, DOCK], usb=[DOCK]), [OTTER], New(f"{ON_USB}; {NOT_KNOWN}"),
    ),
    "a bond shows one MAC on both of its NICs": (
        claim(U1, "S1", [M1, M1]), BOTH, Same("1", "same hardware UUID"),
    ),
    "a bond of which one NIC was replaced": (
        claim(U1, "S1", [M1, M9]), BOTH, Same("1", "same hardware UUID"),
    ),
    "a MAC made up at every boot, UUID and serial number agree": (
        claim(U1, "S1", [RANDOM]), BOTH,
        Same("1", "same hardware UUID and serial number; every NIC was changed"),
    ),
    "a MAC made up at every boot, and no serial number": (
        claim(U1, "", [RANDOM]), BOTH, Clash(("1",), DUPLICATE),
    ),
    "a MAC made up at every boot, and no UUID": (
        claim("", "S1", [RANDOM]), BOTH, New(f"no hardware UUID; {NOT_KNOWN}"),
    ),
    "a virtual function's MAC beside the card's": (
        claim(U1, "S1", [M1, RANDOM]), BOTH, Same("1", "same hardware UUID"),
    ),
    "a cloned virtual machine that kept its UUID (LP 1893690)": (
        claim(U1, "VMware-9", [M9]), BOTH, Clash(("1",), DUPLICATE),
    ),
    "a cloned virtual machine that kept its serial number": (
        claim(U9, "S1", [M9]), BOTH, New(NOT_KNOWN),
    ),
    "nodes of one chassis share its serial number": (
        claim(U9, "S2", [M9]), BOTH, New(NOT_KNOWN),
    ),
    "a filler serial number that another record has too (Razor's dummy asset tags)": (
        claim(U9, "Default string", [M9]),
        [Known("1", "otter", U1, "", frozenset({M1}))], New(NOT_KNOWN),
    ),
    "a board with its NICs was changed, the serial number was written again": (
        claim(U9, "S1", [M9]), BOTH, New(NOT_KNOWN),
    ),
    "a board was changed, the card stayed, nobody wrote the serial number": (
        claim(U9, "", [M1]), BOTH, Clash(("1",), moved(U1)),
    ),
    "a board was changed for one with a dummy UUID": (
        claim(TEMPLATE, "S1", [M1]), BOTH, Same("1", f"{dummy(TEMPLATE)}; same MAC"),
    ),
    "a firmware update gave another UUID (LP 2137492)": (
        claim(U9, "S1", [M1, M2]), BOTH,
        Same("1", "same MAC and serial number; the hardware UUID was changed"),
    ),
    "a firmware update lost the UUID": (
        claim("00000000-0000-0000-0000-000000000000", "S1", [M1]), BOTH,
        Same("1", "hardware UUID 00000000-0000-0000-0000-000000000000 is all 0: a dummy; same MAC"),
    ),
    "a firmware update turned the UUID's byte order, no serial number": (
        claim(swapped(U1), "", [M1]), BOTH,
        Same("1", "same MAC, and the hardware UUID in its other byte order"),
    ),
    "a card went from one known machine to another (MAAS takes it silently)": (
        claim(U2, "S2", [M3, M1]), BOTH,
        Clash(("2", "1"), "hardware UUID is crab's, but a MAC belongs to otter"),
    ),
    "two machines exchanged all their cards": (
        claim(U1, "S1", [M3]), BOTH,
        Clash(("1", "2"), "hardware UUID is otter's, but a MAC belongs to crab"),
    ),
    "a card went to a machine not known without a UUID": (
        claim("", "S9", [M1]), BOTH, Same("1", "no hardware UUID; same MAC"),
    ),
    "a card of a machine that was taken apart, in a new one": (
        claim(U9, "S9", [M9, M2]), BOTH, Clash(("1",), moved(U1)),
    ),
    "a BMC scan told the serial number only, and the machine boots": (
        claim(U9, "S7", [M9]), [Known("3", "bare", "", "S7"), *BOTH],
        Same("3", "same serial number; no more was known of it"),
    ),
    "a BMC scan told the UUID in its other byte order": (
        claim(U9, "S7", [M9]), [Known("3", "bare", swapped(U9), "S7")],
        Same("3", "same serial number; no more was known of it"),
    ),
    "two nodes behind one chassis BMC are known by one serial number": (
        claim(U9, "S7", [M9]), [Known("3", "left", "", "S7"), Known("4", "right", "", "S7")],
        Clash(("3", "4"), "serial number S7 is on left and right"),
    ),
    "a UUID that a person called shared does not decide any more": (
        without(claim(U1, "S9", [M9]), {("uuid", U1): 7}), BOTH,
        New(f"hardware UUID {U1} is on several machines (decision 7); {NOT_KNOWN}"),
    ),
    "a MAC that a person called shared does not decide any more": (
        without(claim(U9, "S9", [M1, M9]), {("mac", M1): 8}), BOTH,
        New(f"MAC {M1} is on several machines (decision 8); {NOT_KNOWN}"),
    ),
    "a card whose vendor programmed ff:ff:ff:ff:ff:ff": (
        claim(U1, "S1", ["ff:ff:ff:ff:ff:ff", M2]), BOTH, Same("1", "same hardware UUID"),
    ),
    "an IPoIB interface beside Ethernet": (
        claim(U1, "S1", ["80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:00:00:01", M1]), BOTH,
        Same("1", "same hardware UUID"),
    ),
    "no SMBIOS at all (a board of ARM), known by its MAC": (
        claim("", "", [M3]), BOTH, Same("2", "no hardware UUID; same MAC"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS)
def test_who_is_who(situation: str) -> None:
    said, known, verdict = SITUATIONS[situation]
    for records in (known, known[::-1]):
        found = match(said, records)
        assert found == verdict
        assert found.because == verdict.because


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_is_contested_is_on_the_records_of_the_clash(situation: str) -> None:
    said, known, _ = SITUATIONS[situation]
    found = match(said, known)
    if isinstance(found, Clash):
        there = {("uuid", k.uuid) for k in known if k.id in found.machines}
        there |= {("mac", mac) for k in known if k.id in found.machines for mac in k.macs}
        assert set(found.contested) <= there
