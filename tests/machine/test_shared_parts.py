"""Identity where parts are shared, move or lie: docks, BMC NICs, boards, duplicates, restores."""

from typing import NamedTuple

import pytest

from muster.machine.identity import Clash, Known, New, Same, Verdict, claim, match

U1 = "4c4c4544-0051-3310-8051-b4c04f4e3331"
U2 = "4c4c4544-0051-3310-8051-b4c04f4e3332"
U3 = "4c4c4544-0051-3310-8051-b4c04f4e3333"
M1, M2, M3, M4 = (f"3c:ec:ef:00:00:0{n}" for n in (1, 2, 3, 4))
DOCK = "00:50:b6:aa:bb:cc"
BMC = "b0:7b:25:00:00:fe"

OTTER = Known("1", "otter", U1, "S1", frozenset({M1, M2}))
CRAB = Known("2", "crab", U2, "S2", frozenset({M3}))
DOCKED = Known("3", "newt", U3, "S3", frozenset({DOCK}))
BY_MAC = Known("4", "mole", "", "", frozenset({M4}))
NOT_KNOWN = "no record has its UUID or one of its MACs"
NEITHER = "the machine shows neither a usable UUID nor a usable MAC"


def usb(mac: str) -> str:
    return f"MAC {mac} is of a NIC on USB, which may be a dock or a BMC"


def moved(name: str, uuid: str) -> str:
    why = "a moved NIC or a changed board"
    return f"a MAC belongs to {name}, which has another hardware UUID ({uuid}): {why}"


class Said(NamedTuple):
    """What a machine says; `usb` are those of `macs` that are on USB."""

    uuid: str = ""
    serial: str = ""
    macs: tuple[str, ...] = ()
    usb: tuple[str, ...] = ()


SITUATIONS: dict[str, tuple[Said, list[Known], Verdict]] = {
    "a dock that another machine had at its enlistment": (
        Said(U1, "S1", (M1, DOCK), (DOCK,)),
        [OTTER, DOCKED],
        Same("1", "same hardware UUID"),
    ),
    "a new machine on a known machine's dock": (
        Said("4c4c4544-0051-3310-8051-b4c04f4e3399", "S9", ("3c:ec:ef:00:00:99", DOCK), (DOCK,)),
        [DOCKED],
        New(f"{usb(DOCK)}; {NOT_KNOWN}"),
    ),
    "a laptop whose only NIC is its dock": (
        Said(U1, "S1", (DOCK,), (DOCK,)),
        [OTTER],
        Same("1", "same hardware UUID"),
    ),
    "a new laptop whose only NIC is its dock": (
        Said(U3, "S3", (DOCK,), (DOCK,)),
        [OTTER],
        New(f"{usb(DOCK)}; {NOT_KNOWN}"),
    ),
    "only a dock and a dummy UUID": (
        Said("00000000-0000-0000-0000-000000000000", "", (DOCK,), (DOCK,)),
        [DOCKED],
        Clash((), NEITHER),
    ),
    "the BMC's USB NIC has the same MAC on every machine of the model": (
        Said(U2, "S2", (M3, BMC), (BMC,)),
        [OTTER, CRAB, Known("5", "wren", U3, "S5", frozenset({BMC}))],
        Same("2", "same hardware UUID"),
    ),
    "a second new machine with the BMC's USB MAC of the first": (
        Said(U3, "S5", (M4, BMC), (BMC,)),
        [OTTER, Known("5", "wren", U1, "S1", frozenset({BMC}))],
        New(f"{usb(BMC)}; {NOT_KNOWN}"),
    ),
    "a USB NIC in upper case with dashes": (
        Said(U3, "", (DOCK.upper().replace(":", "-"),), (DOCK.upper().replace(":", "-"),)),
        [DOCKED],
        Same("3", "same hardware UUID"),
    ),
    "a USB NIC with a MAC cloned from the board's": (
        # Pass-through of the host's MAC: the same address on the dock and on the board.
        Said(U1, "S1", (M1, M1), (M1,)),
        [OTTER],
        Same("1", "same hardware UUID"),
    ),
    "two docks": (
        Said(U3, "", (DOCK, BMC), (DOCK, BMC)),
        [],
        New(f"{usb(DOCK)}; {usb(BMC)}; {NOT_KNOWN}"),
    ),
    "a NIC sold from one machine to another that is known": (
        Said(U2, "S2", (M3, M1), ()),
        [OTTER, CRAB],
        Clash(("2", "1"), "hardware UUID is crab's, but a MAC belongs to otter"),
    ),
    "NICs of two others in a known machine": (
        Said(U2, "S2", (M3, M1, M4), ()),
        [OTTER, CRAB, BY_MAC],
        Clash(("2", "1", "4"), "hardware UUID is crab's, but a MAC belongs to otter and mole"),
    ),
    "two machines exchanged their NICs: the first": (
        Said(U1, "S1", (M3,)),
        [OTTER, CRAB],
        Clash(("1", "2"), "hardware UUID is otter's, but a MAC belongs to crab"),
    ),
    "two machines exchanged their NICs: the second": (
        Said(U2, "S2", (M1, M2)),
        [OTTER, CRAB],
        Clash(("2", "1"), "hardware UUID is crab's, but a MAC belongs to otter"),
    ),
    "the board was swapped for a spare with a dummy serial number": (
        Said(U3, "To be filled by O.E.M.", (M1,)),
        [OTTER],
        Clash(("1",), moved("otter", U1)),
    ),
    "the board was swapped with on-board NICs, the serial number was written again": (
        Said(U3, "S1", ("3c:ec:ef:00:00:99",)),
        [OTTER],
        New(NOT_KNOWN),
    ),
    "the board of a known machine was put into another known chassis": (
        Said(U1, "S2", (M1, M2)),
        [OTTER, CRAB],
        Same("1", "same hardware UUID"),
    ),
    "a board and NICs of two known machines in one chassis": (
        Said(U1, "S2", (M3,)),
        [OTTER, CRAB],
        Clash(("1", "2"), "hardware UUID is otter's, but a MAC belongs to crab"),
    ),
    "a firmware update turned the first three groups of the UUID around": (
        Said("44454c4c-5100-1033-8051-b4c04f4e3331", "S1", (M1, M2)),
        [OTTER],
        Same("1", "same MAC and serial number; the hardware UUID was changed"),
    ),
    "a firmware update lost the UUID": (
        Said("", "S1", (M1,)),
        [OTTER],
        Same("1", "no hardware UUID; same MAC"),
    ),
    "a virtual machine was cloned with its UUID and given new MACs": (
        Said(U1, "", ("3c:ec:ef:00:00:99",)),
        [Known("1", "otter", U1, "", frozenset({M1}))],
        Clash(
            ("1",),
            "hardware UUID is otter's, but no MAC and no serial number agrees:"
            " a duplicate UUID or exchanged parts",
        ),
    ),
    "a virtual machine was restored with its MAC under a new UUID": (
        Said(U3, "", (M4,)),
        [BY_MAC],
        Same("4", "same MAC; its hardware UUID is new to us"),
    ),
    "a machine known by its MAC gets a UUID that another one has": (
        Said(U1, "S1", (M4,)),
        [OTTER, BY_MAC],
        Clash(("1", "4"), "hardware UUID is otter's, but a MAC belongs to mole"),
    ),
    "a serial number alone agrees: a chassis with other contents": (
        Said(U3, "S1", ("3c:ec:ef:00:00:99",)),
        [],
        New(NOT_KNOWN),
    ),
    "four nodes in one chassis share its serial number": (
        Said(U3, "S1", (M4,)),
        [OTTER],
        New(NOT_KNOWN),
    ),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_identity_with_shared_parts(situation: str) -> None:
    said, known, verdict = SITUATIONS[situation]
    made = claim(said.uuid, said.serial, list(said.macs), usb=said.usb)
    # The store looks up who shares the UUID or a MAC; others do not decide.
    assert match(made, known) == verdict


def test_a_machine_with_hundreds_of_usb_nics_gets_a_short_sentence() -> None:
    macs = [f"02:00:00:00:{n // 256:02x}:{n % 256:02x}" for n in range(512)]
    made = claim(U1, "", macs, usb=macs)
    assert made.macs == frozenset()
    assert len(match(made, []).because) < 800
