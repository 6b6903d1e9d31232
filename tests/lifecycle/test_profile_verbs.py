"""Profiles: learned from golden machines, held against the fleet a page at a time."""

from typing import Any

import pytest
from rack import Rack
from sides import document, machine

from muster.lifecycle import profiles as verbs
from muster.store.engine import Conflict, Missing
from muster.wire.codec import BadMessage


def learn(rack: Rack, *golden: str, condition: str = "") -> dict[str, Any]:
    row = verbs.learn(rack.store, "r750", list(golden), condition=condition, comment="",
                      actor="ann", now=rack.now())  # fmt: skip
    return row.expected


def held(rack: Rack) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    after = ""
    while True:
        page = verbs.held_against(rack.store, "r750", after=after)
        found |= {one.name: one.deviations for one in page.items}
        if not (after := page.next):
            return found


def worse(number: int) -> dict[str, Any]:
    plain = document(number)
    plain["extra"]["dimms"]["slots"][9]["size"] = 0
    return plain


def test_the_fleet_is_held_against_a_golden_machine(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "PAGE", 1)
    golden, good = machine(rack, 1), machine(rack, 2)
    bad = machine(rack, 3, plain=worse(3))
    learn(rack, golden)
    assert held(rack) == {golden: [], good: [], bad: ["DIMM in slot B2 is missing"]}


def test_a_profile_is_for_the_machines_of_its_condition(rack: Rack) -> None:
    golden, other = machine(rack, 1), machine(rack, 2)
    learn(rack, golden, condition="serial = SN1")
    assert list(held(rack)) == [golden]
    assert other


def test_a_machine_without_a_document_is_said_to_have_none(rack: Rack) -> None:
    golden = machine(rack, 1)
    _, welcome = rack.arrive(uuid="", macs=["52:54:00:12:34:44"], serial="", key="k4")
    learn(rack, golden)
    name = welcome.machine
    assert held(rack)[name] == [f"{name} has sent no resources document yet"]
    with pytest.raises(Conflict, match="has sent no resources document yet"):
        learn(rack, name)
    with pytest.raises(BadMessage, match="machines: name one golden machine"):
        learn(rack)


def test_the_odd_one_of_a_model_is_found_without_a_profile(rack: Rack) -> None:
    for number in (1, 2):
        machine(rack, number, product="R750")
    bad = machine(rack, 3, product="R750", plain=worse(3))
    (odd,) = verbs.odd_ones(rack.store, "R750", vendor="")
    assert (odd.name, odd.deviations) == (bad, ["DIMM: count 7, while 2 of 3 have 8"])
    assert verbs.odd_ones(rack.store, "R750", vendor="nobody") == []


def test_a_written_profile_is_checked_and_can_be_taken_away(rack: Rack) -> None:
    words: dict[str, Any] = {"comment": "", "actor": "ann", "now": rack.now()}
    with pytest.raises(BadMessage, match=r"expected: DIMM\.count: must be \[least, most\]"):
        verbs.put(rack.store, "x", condition="", profile={"DIMM": {"count": 8}}, **words)
    with pytest.raises(BadMessage, match="condition: character 9"):
        verbs.put(rack.store, "x", condition="memory >", profile={}, **words)
    verbs.put(rack.store, "x", condition="tpm", profile={"DIMM": {"count": [8, 8]}}, **words)
    verbs.delete(rack.store, "x", actor="ann", now=rack.now())
    with pytest.raises(Missing, match="there is no profile 'x'"):
        verbs.delete(rack.store, "x", actor="ann", now=rack.now())
