"""Where racks and cables are drawn, without a browser."""

import pytest

from muster.machine.cabling import Cabled
from muster.machine.manifest import Row
from muster.machine.placing import Finding
from muster.web.graph import Cable, Switch, elements
from muster.web.racks import Slot, elevation
from muster.web.topology import verdict


def slot(name: str, position: int | None, height: int = 1, status: str = "missing") -> Slot:
    row = Row(name=name, rack="R1", position=position, height=height)
    return Slot(Finding(row, status, None, ""), "")


def test_a_rack_is_drawn_from_its_highest_unit_to_the_lowest() -> None:
    rack = elevation("R1", [slot("a", 1), slot("b", 10, 4), slot("c", None)])
    assert [unit.number for unit in rack.units] == list(range(42, 0, -1))
    drawn = {unit.number: unit for unit in rack.units}
    assert drawn[13].slot is not None
    assert [number for number, unit in drawn.items() if unit.inside] == [12, 11, 10]
    assert [one.finding.row.key for one in rack.loose] == ["c"]
    assert rack.count("missing") == 3


def test_a_rack_is_as_high_as_its_machines_say_and_none_without_a_unit() -> None:
    assert elevation("R1", [slot("a", 57, 2)]).units[0].number == 58
    assert elevation("R1", [slot("a", None)]).units == []


RIGHT = Cabled("eth0", "sw1", "1/5", "eth0", "sw1", "Ethernet1/5", "right")
WRONG = Cabled("eth1", "sw1", "1/6", "eth1", "sw1", "Ethernet1/7", "wrong")


@pytest.mark.parametrize(
    ("interface", "cables", "told"),
    [
        ("eth0", (RIGHT, WRONG), ("right", "")),
        ("eth1", (RIGHT, WRONG), ("wrong", "the manifest says eth1 to sw1 1/6")),
        ("eth2", (RIGHT, WRONG), ("", "the manifest does not name it")),
        ("eth2", (), ("", "")),
    ],
)
def test_a_cable_is_right_wrong_or_not_said(
    interface: str, cables: tuple[Cabled, ...], told: tuple[str, str]
) -> None:
    assert verdict(interface, cables) == told


def link(machine: int, port: str, status: str = "right") -> Cable:
    return Cable(f"m{machine}", f"id{machine}", "", "eth0", port, None, status)


def test_no_two_machines_or_switches_are_drawn_on_the_same_spot() -> None:
    one = Switch("leaf-1", "", [link(n, str(n)) for n in range(50)])
    two = Switch("leaf-2", "", [link(n, str(n), "wrong") for n in range(20, 70)])
    bare = Switch("leaf-3", "", [link(99, "1", "unknown")])
    drawn = elements([one, two, bare])
    spots = [(item["position"]["x"], item["position"]["y"]) for item in drawn if "position" in item]
    assert len(spots) == 71 + 3
    assert len(set(spots)) == len(spots)
    ids = {item["data"]["id"] for item in drawn}
    edges = [item["data"] for item in drawn if "source" in item["data"]]
    assert len(edges) == 101
    assert all({edge["source"], edge["target"]} <= ids for edge in edges)
    assert sum(edge["status"] == "wrong" for edge in edges) == 50


def test_a_machine_that_has_not_come_is_drawn_and_leads_nowhere() -> None:
    cable = Cable("web-3", "", "R1 U3", "eth0", "1", None, "unknown", "has not come", seen=False)
    missing, switch, edge = elements([Switch("leaf-1", "", [cable])])
    assert (missing["data"]["kind"], missing["data"]["href"]) == ("missing", "")
    assert (switch["data"]["label"], edge["data"]["seen"]) == ("leaf-1", "no")
