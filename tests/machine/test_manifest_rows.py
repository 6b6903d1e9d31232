"""Rows of the manifest: read from whatever people keep them in, every bad one named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.machine.manifest import BadRow, Cable, Row, changes, plan
from muster.machine.manifestfile import read, write_csv, write_json

WEB = Row(
    name="web-1", serial="3Q3N1J3", macs=("b8:59:9f:00:00:00", "b8:59:9f:00:00:01"),
    bmc="10.1.0.5", rack="R12", position=17, height=2,
    cables=(Cable("eno1", "sw1", "Ethernet1/5"), Cable("", "sw2", "Ethernet1/5")),
    profile="r750", pool="web", tags=("gold", "ssd"), comment="left, of two",
)  # fmt: skip

FILES = {
    "our own names": (
        "name,serial,macs,bmc,rack,position,height,cables,profile,pool,tags,comment\n"
        "web-1,3Q3N1J3,b8:59:9f:00:00:00 b8:59:9f:00:00:01,10.1.0.5,R12,17,2,"
        'eno1=sw1:Ethernet1/5; sw2:Ethernet1/5,r750,web,gold ssd,"left, of two"\n'
    ),
    "a spreadsheet of Germany, with a mark": (
        "\ufeffHost Name;Service Tag;MAC1;MAC 2;iDRAC IP;Rack;RU;NIC1;Switch1;Port1;Switch2;Port2;"
        "Profile;Pool;Tags;Notes;Cost\r\n"
        "WEB-1;3Q3N1J3;B8599F000000;b859.9f00.0001;10.1.0.5;R12;U17-U18;eno1;sw1;Ethernet1/5;sw2;"
        "Ethernet1/5;r750;web;gold,ssd;left, of two;9000\r\n"
    ),
    "tabs, remarks and empty lines": (
        "# racks of hall 2\n\nhostname\tsn\tmac\tipmi ip\tcabinet\tu\tu height\tcabling\tprofile"
        "\tpool\ttag\tremarks\n\t\t\nweb-1\t3Q3N1J3\tb8-59-9f-00-00-00,b8-59-9f-00-00-01\t10.1.0.5\tR12\t"
        "U18-17\t\teno1=sw1:Ethernet1/5|sw2:Ethernet1/5\tr750\tweb\tgold|ssd\tleft, of two\n"
    ),
    "JSON": json.dumps([
        {"Name": "web-1", "serial_number": "3Q3N1J3", "unknown": 1, "rack": "R12", "u": 17,
         "macs": ["b8:59:9f:00:00:00", "b8:59:9f:00:00:01"], "bmc": "10.1.0.5", "height": 2,
         "cables": [{"nic": "eno1", "switch": "sw1", "port": "Ethernet1/5"},
                    {"switch": "sw2", "port": "Ethernet1/5"}],
         "profile": "r750", "pool": "web", "tags": ["gold", "ssd"], "comment": "left, of two"},
    ]),
}  # fmt: skip


@pytest.mark.parametrize("called", FILES)
def test_one_machine_is_read_alike_from_every_file(called: str) -> None:
    found = read(FILES[called])
    assert found.problems == []
    assert [row for _, row in found.rows] == [WEB]


def test_columns_that_nobody_knows_are_named() -> None:
    assert read(FILES["a spreadsheet of Germany, with a mark"]).left_out == ["Cost"]
    assert read(FILES["JSON"]).left_out == ["unknown"]


BAD: dict[str, tuple[str, str]] = {
    "name": ("Web_1!", "is no DNS label"),
    "serial": ("To be filled by O.E.M.", "is a vendor's filler"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "is all 0: a dummy"),
    "macs": ("b8:59:9f:00:00", "is no MAC of a NIC"),
    "bmc": ("10.1.0.256", "is no IP address"),
    "bmc_mac": ("01:00:5e:00:00:01", "is no MAC of a NIC"),
    "position": ("0", "must lie between 1 and 100"),
    "height": ("two", "is no number of units"),
    "cables": ("eno1=:7", "names no switch"),
    "pool": ("a pool", "is no name"),
    "tags": ("@x", "is no name"),
    "profile": ("§", "is no name"),
    "comment": ("a\x1b[2Jb", "cannot be printed"),
    "product": ("x" * 300, "300 characters, the limit is 256"),
}


@pytest.mark.parametrize("field", BAD)
def test_every_bad_field_is_named_by_line_and_reason(field: str) -> None:
    value, why = BAD[field]
    cells = {"serial": "S1", "rack": "R1", field: value}
    text = f"{','.join(cells)}\nS0,R1,\n{','.join(cells.values())}\n"
    if field == "serial":
        text = f"serial,rack\nS0,R1\n{value},R1\n"
    found = read(text)
    assert [(p.line, p.field) for p in found.problems] == [(3, field)]
    assert why in found.problems[0].reason
    assert len(found.rows) == 1


TWICE = {
    "name": "name,serial\na,S1\na,S2\n",
    "serial": "name,serial\na,S1\nb,s1\n",
    "macs": "name,mac\na,52:54:00:00:00:01\nb,525400000001\n",
    "bmc": "name,bmc\na,10.0.0.1\nb,10.0.0.1\n",
    "position": "name,rack,u\na,R1,17-18\nb,R1,18\n",
    "cables": "name,switch,port\na,sw1,Eth1/1\nb,SW1,eth1/1\n",
}


@pytest.mark.parametrize("field", TWICE)
def test_what_two_machines_cannot_both_have_is_named_with_both_lines(field: str) -> None:
    (problem,) = read(TWICE[field]).problems
    assert (problem.line, problem.field) == (3, field)
    assert problem.reason.endswith("is in line 2 already")


WHOLE = {
    "": (1, "head", "the file is empty"),
    "colour,price\nred,5\n": (1, "head", "names no column that is known"),
    "name,hostname\na,b\n": (1, "hostname", "two columns say the name"),
    "name,rack\na,b,c\n": (2, "row", "3 cells, the head has 2"),
    'name,rack\na,"b\n': (2, "row", "is no CSV"),
    "serial,rack\n,R1\n": (2, "name", "says nothing to know a machine by"),
    "name,u\nweb-1,17\n": (2, "rack", "position U17 needs a rack"),
    "name,serial\n": (1, "file", "has no row"),
    "[]": (1, "file", "has no row"),
    "[1]": (1, "item", "must be an object"),
    '{"machines": 5}': (1, "file", "must be a list"),
    "[{": (1, "file", "is no JSON"),
    "[" * 100_000: (1, "file", "is nested too deeply"),
    '[{"name": true}]': (1, "name", "must be a text, not bool"),
    '[{"name": "a", "cables": [{"switch": "s", "colour": 1}]}]': (
        1, "cables", "'colour' is none of nic, switch, port",
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", WHOLE, ids=lambda text: text[:20] or "nothing")
def test_a_file_that_is_none_says_what_it_lacks(text: str) -> None:
    found = read(text)
    line, field, why = WHOLE[text]
    assert [(p.line, p.field) for p in found.problems] == [(line, field)]
    assert why in found.problems[0].reason
    assert found.rows == []


words = st.sampled_from(["a", "b2", "rack 1", "=1+1", "-x", '"q"', "comma, semi;", "ö"])
rows = st.builds(
    Row,
    name=st.sampled_from(["", "web-1"]),
    serial=st.sampled_from(["S1", "=S2", "S 3"]),
    macs=st.sampled_from([(), ("52:54:00:00:00:01", "52:54:00:00:00:02")]),
    rack=words,
    position=st.sampled_from([None, 1, 40]),
    height=st.integers(1, 4),
    cables=st.sampled_from([(), (Cable("eno1", "sw1", "1:2"), Cable("", "sw2", ""))]),
    tags=st.sampled_from([(), ("x", "y")]),
    comment=words,
)


@given(rows)
def test_what_is_exported_is_imported_as_it_was(row: Row) -> None:
    for written in (write_csv([row]), write_json([row])):
        found = read(written)
        assert (found.problems, [one for _, one in found.rows]) == ([], [row])


def test_no_cell_of_an_export_is_a_formula() -> None:
    line = write_csv([Row(name="web-1", comment="=HYPERLINK(1)")]).splitlines()[1]
    assert not [cell for cell in line.split(",") if cell.startswith(("=", "+", "@"))]


@given(st.text(max_size=300))
def test_no_text_makes_reading_fail(text: str) -> None:
    for form in ("csv", "json", ""):
        found = read(text, form)
        assert found.problems or found.rows


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(st.sampled_from([*Row.__dataclass_fields__]), anything)
def test_no_value_of_json_makes_reading_fail(field: str, value: Any) -> None:
    found = read(json.dumps([{field: value}]), "json")
    assert len(found.rows) + len({p.line for p in found.problems}) >= 1


def named(*rows: Row) -> list[tuple[int, Row]]:
    return list(enumerate(rows, start=2))


def test_the_same_file_again_changes_nothing() -> None:
    again = plan([WEB], named(WEB), replacing=True)
    assert (again.added, again.changed, again.removed, again.problems) == ([], [], [], [])
    assert again.unchanged == [WEB]


def test_a_machine_that_moved_and_one_that_has_another_name_are_changes() -> None:
    moved = Row(name="web-1", serial="S1", rack="R2", position=3)
    old = Row(name="web-1", serial="S1", rack="R1", position=3)
    found = plan([old], named(moved), replacing=False)
    assert found.changed == [(old, moved)]
    assert changes(old, moved) == "rack R1, now R2"
    other = Row(name="web-9", serial="S1", rack="R1", position=3)
    assert plan([old], named(other), replacing=True).changed == [(old, other)]


def test_two_rows_may_exchange_serial_number_and_place_in_one_file() -> None:
    a, b = (Row(name=n, serial=s, rack="R1", position=p) for n, s, p in
            (("a", "S1", 1), ("b", "S2", 2)))  # fmt: skip
    a2, b2 = (Row(name=n, serial=s, rack="R1", position=p) for n, s, p in
              (("a", "S2", 2), ("b", "S1", 1)))  # fmt: skip
    found = plan([a, b], named(a2, b2), replacing=False)
    assert (found.problems, found.changed) == ([], [(a, a2), (b, b2)])


def test_a_row_cannot_take_what_a_kept_row_has() -> None:
    kept = Row(name="a", rack="R1", position=17)
    found = plan([kept], named(Row(name="b", rack="R1", position=17)), replacing=False)
    assert found.problems == [BadRow(2, "position", "R1 U17 is a's in the manifest already")]
    assert plan([kept], named(Row(name="b", rack="R1", position=17)), replacing=True).removed == [
        kept
    ]
