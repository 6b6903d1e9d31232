import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.machine.identity import (
    DUMMY_UUIDS,
    Clash,
    Known,
    New,
    Same,
    Verdict,
    claim,
    match,
    swapped,
    usable_mac,
    usable_serial,
    usable_uuid,
)

U1 = "4c4c4544-0051-3310-8051-b4c04f4e3331"
U2 = "4c4c4544-0051-3310-8051-b4c04f4e3332"
M1 = "52:54:00:12:34:01"
M2 = "52:54:00:12:34:02"
M3 = "52:54:00:12:34:03"
AMI = "03000200-0400-0500-0006-000700080009"

OTTER = Known("1", "otter", U1, "S1", frozenset({M1, M2}))
CRAB = Known("2", "crab", U2, "S2", frozenset({M3}))
NO_UUID = Known("3", "newt", "", "", frozenset({M1}))
NO_MAC = Known("4", "mole", U1, "S1")

SAME_UUID = Same("1", "same hardware UUID")
UNKNOWN = New("no record has its UUID or one of its MACs")
DUPLICATE = (
    "hardware UUID is otter's, but no MAC and no serial number agrees:"
    " a duplicate UUID or exchanged parts"
)
MOVED = (
    "a MAC belongs to otter, which has another hardware UUID ({}): a moved NIC or a changed board"
)
NOTHING = Clash((), "the machine shows neither a usable UUID nor a usable MAC")
NOT_KNOWN = "no record has its UUID or one of its MACs"

# name: (UUID, serial, MACs, records, verdict)
SITUATIONS: dict[str, tuple[str, str, list[str], list[Known], Verdict]] = {
    "the first machine ever": (U1, "S1", [M1], [], UNKNOWN),
    "everything agrees": (U1, "S1", [M1, M2], [OTTER, CRAB], SAME_UUID),
    "another machine than those known": (
        "4c4c4544-0051-3310-8051-b4c04f4e3399",
        "S9",
        ["52:54:00:12:34:99"],
        [OTTER, CRAB],
        UNKNOWN,
    ),
    "the UUID in upper case": (U1.upper(), "S1", [M1], [OTTER], SAME_UUID),
    "the UUID with spaces around it": (f" {U1}\n", "S1", [M1], [OTTER], SAME_UUID),
    "the UUID agrees, the serial number changed": (U1, "S7", [M1], [OTTER], SAME_UUID),
    "the UUID agrees, the serial number is filler": (
        U1,
        "To be filled by O.E.M.",
        [M2],
        [OTTER],
        SAME_UUID,
    ),
    "one NIC of two is left": (U1, "S1", [M2], [OTTER], SAME_UUID),
    "a NIC was added": (U1, "S1", [M1, M2, "52:54:00:12:34:77"], [OTTER], SAME_UUID),
    "the MAC in upper case": (U1, "", [M1.upper()], [OTTER], SAME_UUID),
    "the MAC with dashes": (U1, "", [M1.replace(":", "-")], [OTTER], SAME_UUID),
    "the record has no MAC yet": (U1, "", [M3], [NO_MAC], Same("4", "same hardware UUID")),
    "the machine shows no MAC": (U1, "S1", [], [OTTER], SAME_UUID),
    "every NIC was changed, the serial number agrees": (
        U1,
        "S1",
        ["52:54:00:12:34:88"],
        [OTTER],
        Same("1", "same hardware UUID and serial number; every NIC was changed"),
    ),
    "a duplicate UUID: other NICs, other serial number": (
        U1,
        "S5",
        ["52:54:00:12:34:88"],
        [OTTER],
        Clash(("1",), DUPLICATE),
    ),
    "a duplicate UUID: other NICs, no serial number": (
        U1,
        "",
        ["52:54:00:12:34:88"],
        [OTTER],
        Clash(("1",), DUPLICATE),
    ),
    "a duplicate UUID: both serial numbers are filler": (
        U1,
        "Default string",
        ["52:54:00:12:34:88"],
        [Known("1", "otter", U1, "", frozenset({M1}))],
        Clash(("1",), DUPLICATE),
    ),
    "the UUID is on two records": (
        U1,
        "S1",
        [M1],
        [OTTER, NO_MAC],
        Clash(("1", "4"), f"hardware UUID {U1} is on otter and mole"),
    ),
    "a NIC of another machine was put in": (
        U1,
        "S1",
        [M1, M3],
        [OTTER, CRAB],
        Clash(("1", "2"), "hardware UUID is otter's, but a MAC belongs to crab"),
    ),
    "all NICs are another machine's": (
        U1,
        "S1",
        [M3],
        [OTTER, CRAB],
        Clash(("1", "2"), "hardware UUID is otter's, but a MAC belongs to crab"),
    ),
    "a NIC moved to a machine not known": (
        "4c4c4544-0051-3310-8051-b4c04f4e3399",
        "S9",
        [M1],
        [OTTER],
        Clash(("1",), MOVED.format(U1)),
    ),
    "the board was swapped, the serial number was written again": (
        U2,
        "S1",
        [M1, M2],
        [OTTER],
        Same("1", "same MAC and serial number; the hardware UUID was changed"),
    ),
    "the board was swapped, the serial number is another one": (
        U2,
        "S8",
        [M1],
        [OTTER],
        Clash(("1",), MOVED.format(U1)),
    ),
    "MACs of two machines, no UUID": (
        "",
        "",
        [M1, M3],
        [OTTER, CRAB],
        Clash(("1", "2"), "its MACs belong to otter and crab"),
    ),
    "MACs of two machines, a UUID not known": (
        "4c4c4544-0051-3310-8051-b4c04f4e3399",
        "",
        [M1, M3],
        [OTTER, CRAB],
        Clash(("1", "2"), "its MACs belong to otter and crab"),
    ),
    "the record learns its UUID": (
        U1,
        "",
        [M1],
        [NO_UUID],
        Same("3", "same MAC; its hardware UUID is new to us"),
    ),
    "no UUID, known by its MAC": ("", "", [M1], [NO_UUID], Same("3", "no hardware UUID; same MAC")),
    "no UUID now, the record has one": (
        "",
        "",
        [M1],
        [OTTER],
        Same("1", "no hardware UUID; same MAC"),
    ),
    "no UUID, not known": ("", "S1", [M3], [OTTER], New(f"no hardware UUID; {NOT_KNOWN}")),
    "a UUID of zeros, known by its MAC": (
        "00000000-0000-0000-0000-000000000000",
        "",
        [M1],
        [OTTER],
        Same(
            "1",
            "hardware UUID 00000000-0000-0000-0000-000000000000 is all 0: a dummy; same MAC",
        ),
    ),
    "a UUID of all F": (
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "",
        [M1],
        [],
        New(f"hardware UUID ffffffff-ffff-ffff-ffff-ffffffffffff is all f: a dummy; {NOT_KNOWN}"),
    ),
    "AMI's dummy UUID, known by its MAC": (
        AMI,
        "",
        [M1],
        [OTTER],
        Same("1", f"hardware UUID {AMI} is a known dummy of vendors; same MAC"),
    ),
    "AMI's dummy UUID on two machines of one model": (
        AMI,
        "",
        [M3],
        [NO_UUID],
        New(f"hardware UUID {AMI} is a known dummy of vendors; {NOT_KNOWN}"),
    ),
    "a UUID that is none": (
        "Not Settable",
        "",
        [M1],
        [OTTER],
        Same("1", "hardware UUID 'Not Settable' is not a UUID; same MAC"),
    ),
    "a UUID one digit short": (
        U1[:-1],
        "",
        [M3],
        [],
        New(f"hardware UUID '{U1[:-1]}' is not a UUID; {NOT_KNOWN}"),
    ),
    "a multicast MAC says nothing": (U2, "", ["01:54:00:12:34:01"], [OTTER], UNKNOWN),
    "a MAC of zeros says nothing": (
        "",
        "",
        ["00:00:00:00:00:00"],
        [Known("9", "zero", "", "", frozenset({"00:00:00:00:00:00"}))],
        NOTHING,
    ),
    "an InfiniBand address is no MAC": ("", "", [":".join(["fe"] * 20)], [OTTER], NOTHING),
    "nothing at all": ("", "", [], [OTTER], NOTHING),
    "only a serial number": ("", "S1", [], [OTTER], NOTHING),
    "a dummy UUID and no MAC": (AMI, "S1", [], [OTTER], NOTHING),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_identity(situation: str) -> None:
    uuid, serial, macs, known, verdict = SITUATIONS[situation]
    assert match(claim(uuid, serial, macs), known) == verdict


@pytest.mark.parametrize("uuid", sorted(DUMMY_UUIDS))
def test_a_dummy_uuid_of_a_vendor_says_nothing(uuid: str) -> None:
    assert usable_uuid(uuid) == ("", f"hardware UUID {uuid} is a known dummy of vendors")


@pytest.mark.parametrize("serial", ["", "0", "0000000000", "None", "N/A", "Default string", "...."])
def test_a_filler_serial_number_says_nothing(serial: str) -> None:
    assert usable_serial(f" {serial} ") == ""


def test_a_real_serial_number_is_kept_as_written() -> None:
    assert usable_serial(" CZ3043XN00 \n") == "CZ3043XN00"


@pytest.mark.parametrize("mac", ["", "52:54", "52:54:00:12:34:0g", "5254.0012.3401", f"{M1}:00"])
def test_what_is_no_mac_says_nothing(mac: str) -> None:
    assert usable_mac(mac) == ""


def test_a_claim_tells_what_was_refused() -> None:
    made = claim(AMI, "Default string", [M1.upper(), "ff:ff:ff:ff:ff:ff"])
    assert (made.uuid, made.serial, made.macs) == ("", "", frozenset({M1}))
    assert made.notes == (f"hardware UUID {AMI} is a known dummy of vendors",)


# Few values, so that they meet each other often.
uuids = st.sampled_from(["", U1, U2, AMI, "junk"])
serials = st.sampled_from(["", "S1", "S2", "Default string"])
macs = st.lists(st.sampled_from([M1, M2, M3, "01:00:5e:00:00:01"]), max_size=3)
records = st.lists(
    st.builds(
        Known,
        st.sampled_from(string.ascii_letters),
        st.sampled_from(["otter", "crab"]),
        st.sampled_from(["", U1, U2]),
        st.sampled_from(["", "S1", "S2"]),
        st.frozensets(st.sampled_from([M1, M2, M3])),
    ),
    max_size=4,
    unique_by=lambda known: known.id,
)


@given(uuids, serials, macs, records, st.randoms())
def test_the_order_of_records_and_macs_does_not_matter(uuid, serial, macs, known, chance) -> None:
    mixed, mixed_macs = list(known), list(macs)
    chance.shuffle(mixed)
    chance.shuffle(mixed_macs)
    assert match(claim(uuid, serial, macs), known) == match(claim(uuid, serial, mixed_macs), mixed)


@given(uuids, serials, macs, records)
def test_the_same_machine_always_shares_a_uuid_a_mac_or_the_serial_number_of_a_bare_record(
    uuid, serial, macs, known
) -> None:
    made = claim(uuid, serial, macs)
    verdict = match(made, known)
    if isinstance(verdict, Same):
        (owner,) = [k for k in known if k.id == verdict.machine]
        bare = not owner.macs and made.serial == owner.serial != ""
        assert (made.uuid and made.uuid == owner.uuid) or made.macs & owner.macs or bare
    if isinstance(verdict, New):
        assert not any(k.macs & made.macs or (made.uuid and k.uuid == made.uuid) for k in known)


@given(uuids, serials, macs, records)
def test_records_that_share_nothing_do_not_change_the_verdict(uuid, serial, macs, known) -> None:
    made = claim(uuid, serial, macs)
    sharing = [
        k
        for k in known
        if k.macs & made.macs
        or (made.uuid and k.uuid == made.uuid)
        or (made.serial and k.serial == made.serial and not k.macs)
    ]
    assert match(made, known) == match(made, sharing)


@given(st.text(max_size=80), st.text(max_size=40), st.lists(st.text(max_size=20), max_size=4))
def test_no_text_makes_identity_fail(uuid: str, serial: str, macs: list[str]) -> None:
    assert match(claim(uuid, serial, macs), []).because


def test_a_uuid_in_the_other_byte_order_is_the_same_machine_by_its_mac() -> None:
    turned = "00112233-4455-6677-8899-aabbccddeeff"
    there = [Known("m1", "m1", turned, "", frozenset({"52:54:00:00:00:01"}))]
    said = claim("33221100-5544-7766-8899-aabbccddeeff", "", ["52:54:00:00:00:01"])
    assert swapped(swapped(turned)) == turned
    assert match(said, there) == Same(
        "m1", "same MAC, and the hardware UUID in its other byte order"
    )


def test_a_record_of_a_serial_number_alone_is_the_machine_that_has_it() -> None:
    said = claim("33221100-5544-7766-8899-aabbccddeeff", "SN1", ["52:54:00:00:00:01"])
    bare = Known("m1", "m1", "", "SN1", frozenset())
    assert match(said, [bare]) == Same("m1", "same serial number; no more was known of it")
    two = [bare, Known("m2", "m2", "", "SN1", frozenset())]
    assert match(said, two) == Clash(("m1", "m2"), "serial number SN1 is on m1 and m2")
    other = Known("m1", "m1", "11111111-2222-4333-8444-555555555555", "SN1", frozenset())
    assert isinstance(match(said, [other]), New)
