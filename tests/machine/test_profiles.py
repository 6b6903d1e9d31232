"""Expected hardware: learned, checked, held against machines; and the odd one out."""

import json
from typing import Any

import pytest
from rackserver import rackserver

from muster.machine.profiles import BadProfile, check, deviations, learn, odd
from muster.wire.resources import Document, read_document


def read(plain: dict[str, Any]) -> Document:
    return read_document(json.dumps(plain).encode())


def told(profile: dict[str, Any], plain: dict[str, Any]) -> list[str]:
    return [one.sentence for one in deviations(profile, read(plain))]


def changed(path: str, value: Any) -> dict[str, Any]:
    """The server with one value changed, as "extra.bmc.firmware_version"."""
    plain = rackserver()
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    at: Any = plain
    for step in way:
        at = at[step]
    at[last] = value
    return plain


GOLDEN = learn([read(rackserver())])

CHANGES = {
    "a DIMM is missing": (
        ("extra.dimms.slots.9.size", 0), ["DIMM in slot B2 is missing"]),
    "a DIMM is another one": (
        ("extra.dimms.slots.9.part", "OTHER"),
        ["DIMM in slot B2: part number OTHER, expected M393A4K40DB3-CWE"]),
    "the BMC's firmware is old": (
        ("extra.bmc.firmware_version", "5.0"), ["BMC: firmware 5.0, expected 6.10"]),
    "the BIOS is another one": (
        ("resources.system.firmware.version", "1.9.0"),
        ["BIOS: version Dell Inc. 1.9.0 09/14/2022, expected Dell Inc. 1.8.2 09/14/2022"]),
    "a PCIe link is narrow": (
        ("extra.pcie.functions.7.link.width", 8),
        ["PCIe link at 0000:81:00.0: width x8, expected x16"]),
    "a GPU is missing": (
        ("resources.gpu.cards", rackserver()["resources"]["gpu"]["cards"][:1]),
        ["GPU at 0000:81:00.0 is missing"]),
    "a serial number is the machine's own": (("resources.system.serial", "OTHER"), []),
}  # fmt: skip


@pytest.mark.parametrize("situation", CHANGES)
def test_each_deviation_is_one_sentence(situation: str) -> None:
    (path, value), sentences = CHANGES[situation]
    found = [one for one in told(GOLDEN, changed(path, value)) if not one.startswith("PCI device")]
    assert found == sentences


def test_the_golden_machine_deviates_in_nothing_and_can_be_edited() -> None:
    check(json.loads(json.dumps(GOLDEN)))
    assert told(GOLDEN, rackserver()) == []


def test_a_batch_makes_a_range_of_what_differs() -> None:
    less = rackserver()
    less["resources"]["storage"]["disks"].pop(2)
    both = learn([read(rackserver()), read(less)])
    assert both["disk"]["count"] == [3, 4]
    assert told(both, rackserver()) == told(both, less) == []
    less["resources"]["storage"]["disks"].pop(1)
    # Its PCI function is there, as a PCI device only.
    found = [one for one in told(both, less) if not one.startswith("PCI device")]
    assert found == ["disk at pci-0000:61:00.0-nvme-1 is missing"]


@pytest.mark.parametrize(
    ("version", "right"),
    [("22.31.1014", True), ("22.9.1", False), ("22.40", False), ("22.31", True)],
)
def test_firmware_lies_in_a_range_number_by_number(version: str, right: bool) -> None:
    profile = {"NIC": {"properties": {"firmware": {"min": "22.31", "max": "22.36"}}}}
    check(profile)
    plain = rackserver()
    for card in plain["resources"]["network"]["cards"]:
        card["firmware_version"] = version
    found = told(profile, plain)
    assert (found == []) is right
    if found:
        assert found[0].endswith(f"firmware {version}, expected at least 22.31 and at most 22.36")


def test_what_could_not_be_read_is_said_to_be_unknown() -> None:
    plain = changed("extra.probes", {"storage": {"ok": False}})
    assert told({"disk": {"count": [4, 4]}}, plain) == [
        "disk: not known, its document does not tell of it"
    ]


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        ([], "profile: must be an object"),
        ({"wheel": {}}, "wheel: is no kind of part"),
        ({"DIMM": []}, "DIMM: must be an object"),
        ({"DIMM": {"size": 1}}, "DIMM.size: is none of count"),
        ({"DIMM": {"count": [2, 1]}}, "DIMM.count: must be [least, most]"),
        ({"DIMM": {"count": 4}}, "DIMM.count: must be [least, most]"),
        ({"DIMM": {"places": [1]}}, "DIMM.places: must be a list of texts"),
        ({"DIMM": {"at": []}}, "DIMM.at: must be an object by place"),
        ({"DIMM": {"at": {"slot A1": {"size": 1}}}}, "DIMM.at.slot A1.size: must be a list"),
        ({"DIMM": {"properties": {"size": "32 GiB"}}}, "DIMM.properties.size: must be a list"),
        ({"DIMM": {"properties": {"size": {"most": "1"}}}}, "DIMM.properties.size: must be"),
    ],
)
def test_a_bad_profile_is_refused_with_the_path(profile: Any, why: str) -> None:
    with pytest.raises(BadProfile) as refused:
        check(profile)
    assert str(refused.value).startswith(why)


def test_the_odd_one_out_is_told_without_any_profile() -> None:
    fleet = {f"m{n}": read(rackserver()) for n in range(3)}
    fleet["odd"] = read(changed("extra.bmc.firmware_version", "5.0"))
    found = odd(fleet)
    assert {name: [one.sentence for one in several] for name, several in found.items()} == {
        "odd": ["BMC: firmware 5.0, while 3 of 4 have 6.10"]
    }
    assert odd({"a": fleet["m0"], "b": fleet["odd"]}) == {}
