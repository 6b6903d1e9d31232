"""Evidence: what identifies a machine, what a person called not identifying, and how it weighs."""

import json
from typing import Any, NamedTuple

import pytest
from rackserver import rackserver

from muster.machine import evidence
from muster.machine.identity import Clash, Known, New, Same, Verdict, claim, match, without
from muster.wire.resources import read_document

U1 = "4c4c4544-0051-3310-8051-b4c04f4e3331"
U2 = "4c4c4544-0051-3310-8051-b4c04f4e3332"
M1, M2, M3 = (f"3c:ec:ef:00:00:0{n}" for n in (1, 2, 3))
OTTER = Known("1", "otter", U1, "S1", frozenset({M1, M2}))
CRAB = Known("2", "crab", U2, "S2", frozenset({M3}))
UUID_7 = f"hardware UUID {U1} is on several machines (decision 7)"
NOT_KNOWN = "no record has its UUID or one of its MACs"


class Said(NamedTuple):
    """What a machine says, and what a person called not identifying."""

    uuid: str
    macs: tuple[str, ...]
    ignored: tuple[tuple[str, str], ...] = (("uuid", U1),)


SITUATIONS: dict[str, tuple[Said, list[Known], Verdict]] = {
    "the second machine with a duplicate UUID": (
        Said(U1, ("3c:ec:ef:00:00:99",)), [OTTER], New(f"{UUID_7}; {NOT_KNOWN}"),
    ),
    "the first machine with a duplicate UUID": (
        Said(U1, (M1,)), [OTTER], Same("1", f"{UUID_7}; same MAC"),
    ),
    "a duplicate UUID and another machine's NIC": (
        Said(U1, (M3,)), [OTTER, CRAB], Same("2", f"{UUID_7}; same MAC"),
    ),
    "a duplicate UUID and NICs of two": (
        Said(U1, (M1, M3)), [OTTER, CRAB], Clash(("1", "2"), "its MACs belong to otter and crab"),
    ),
    "a duplicate UUID and no NIC": (
        Said(U1, ()), [OTTER],
        Clash((), "the machine shows neither a usable UUID nor a usable MAC"),
    ),
    "a MAC that the vendor gave twice": (
        Said(U2, (M3,), (("mac", M3),)), [OTTER, CRAB], Same("2", "same hardware UUID"),
    ),
    "a MAC that the vendor gave twice on a new machine": (
        Said("4c4c4544-0051-3310-8051-b4c04f4e3399", (M3,), (("mac", M3),)), [OTTER],
        New(f"MAC {M3} is on several machines (decision 7); {NOT_KNOWN}"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS)
def test_identity_after_a_person_said_that_machines_differ(situation: str) -> None:
    said, known, verdict = SITUATIONS[situation]
    made = without(claim(said.uuid, "", list(said.macs)), dict.fromkeys(said.ignored, 7))
    assert match(made, known) == verdict


def test_a_clash_names_what_is_claimed_twice() -> None:
    verdict = match(claim(U1, "", [M1, M3, "3c:ec:ef:00:00:99"]), [OTTER, CRAB])
    assert isinstance(verdict, Clash)
    assert verdict.contested == (("uuid", U1), ("mac", M1), ("mac", M3))


def of(plain: dict[str, Any]) -> dict[str, frozenset[str]]:
    return evidence.of_document(read_document(json.dumps(plain).encode()))


def test_a_document_s_evidence_is_in_normal_form_and_without_fillers() -> None:
    plain = rackserver()
    plain["extra"]["bmc"]["lan"] = [{"mac": "B0:7B:25:00:00:FE"}, {"mac": "00:00:00:00:00:00"}]
    plain["resources"]["system"]["motherboard"]["serial"] = "To be filled by O.E.M."
    found = of(plain)
    assert found["bmc"] == frozenset({"b0:7b:25:00:00:fe"})
    assert found["tpm"] == frozenset({"ab" * 32})
    assert "board" not in found
    assert all("00:00:00:00:00:00" not in values for values in found.values())
    assert all(len(value) <= 800 for values in found.values() for value in values)


def test_a_serial_number_counts_with_its_vendor_only() -> None:
    assert evidence.told(serial="S1", vendor="Dell") != evidence.told(serial="S1", vendor="HPE")
    assert evidence.told(serial="S1") == {}
    assert evidence.told(serial="Default string", vendor="Dell") == {}


def test_a_usb_nic_is_no_evidence_in_a_document_either() -> None:
    plain = rackserver()
    card = plain["resources"]["network"]["cards"][0] | {"usb_address": "1:3"}
    plain["resources"]["network"]["cards"] = [card]
    assert "mac" not in of(plain)


def test_what_agrees_and_what_differs_is_weighed_and_told() -> None:
    one = {"uuid": frozenset({U1}), "tpm": frozenset({"ab" * 32}), "mac": frozenset({M1, M2}),
           "disk": frozenset({"D1", "D2"}), "serial": frozenset({"s1"})}  # fmt: skip
    other = {"uuid": frozenset({U2}), "tpm": frozenset({"ab" * 32}), "mac": frozenset({M2}),
             "disk": frozenset({"D1", "D2", "D3"}), "board": frozenset({"x"})}  # fmt: skip
    told = [(point.weight, point.sentence) for point in evidence.points(one, other)]
    assert told == [
        (100, "TPM key abababababababab… is on both"),
        (-80, f"hardware UUID differs: {U1}, {U2}"),
        (60, f"MAC {M2} is on both"),
        (30, "2 of 2 disks have been in both"),
    ]
    assert evidence.points({}, other) == []
