"""Damaged SMBIOS tables: what is sound is kept, nothing raises."""

import pytest
import trees
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import dimm, planted, structure

from muster.collect import bmc, dimms, firmware, processors, smbios, supplies, tpm

RECORDED = trees.HERE / "qemu-smbios"


@pytest.mark.parametrize(
    ("table", "kept", "reason"),
    [
        (b"\x11", 0, None),
        (dimm(1) + b"\x11\x02\0\0", 1, "says it has 2 bytes"),
        (dimm(1) + b"\x11\xff\0\0", 1, "runs over the end"),
        (dimm(1)[:-1], 1, "do not end"),
        (dimm(1) + structure(127, b"") + dimm(1), 2, None),
    ],
)
def test_what_is_sound_before_a_broken_place_is_kept(
    table: bytes, kept: int, reason: str | None
) -> None:
    reasons: list[str] = []
    assert len(smbios.parse(table, reasons.append)) == kept
    assert len(reasons) == (reason is not None)
    assert reason is None or reason in reasons[0]


def test_a_text_is_one_line_and_a_wrong_number_of_one_is_none() -> None:
    (item,) = smbios.parse(structure(1, b"\1\2\3", " A\nB\xff "), [].append)
    assert (item.text(4), item.text(5), item.text(6), item.text(99)) == ("A Bÿ", "", "", "")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600), st.integers(0, 700), st.integers(0, 700))
def test_no_table_however_damaged_is_an_error(noise: bytes, start: int, end: int) -> None:
    table = (RECORDED / "DMI.bin").read_bytes()
    table = table[:start] + noise + table[end:]
    found = smbios.parse(table, [].append)
    assert sum(len(item.body) for item in found) <= len(table)
    for item in found:
        for place in range(0, 256, 3):
            assert isinstance(item.text(place), str)
            assert item.number(place, 8) < 1 << 64


PROBES = (dimms, processors, firmware, supplies, tpm, bmc)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_byte_costs_no_other_structure(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Outside lengths and string ends, whatever a byte says stays within its structure."""
    modules = [dimm(0x4000 + number) for number in range(4)]
    struck = data.draw(st.integers(0, 3))
    place = data.draw(st.integers(4, 0x5B))
    broken = bytearray(modules[struck])
    broken[place] = data.draw(st.integers(0, 255))
    table = [*modules[:struck], bytes(broken), *modules[struck + 1 :]]
    root = planted(tmp_path_factory.mktemp("tree"), *table)
    whole = dimms.probe(planted(tmp_path_factory.mktemp("tree"), *modules)).slots
    found = dimms.probe(root).slots
    assert [slot for number, slot in enumerate(found) if number != struck] == [
        slot for number, slot in enumerate(whole) if number != struck
    ]
    for probe in PROBES:
        assert probe.probe(root).errors == []
