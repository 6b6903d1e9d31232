"""What a rule may do, which rules wait for others, and which cannot stand beside each other."""

from typing import Any

import pytest

from muster.machine.grammar import parse
from muster.machine.rules import Actions, BadRule, Rule, check, named, ordered, refuse_conflicts


def rule(name: str, condition: str, priority: int = 100, /, **actions: Any) -> Rule:
    return Rule(name, priority, parse(condition), Actions(**actions))


@pytest.mark.parametrize(
    ("actions", "why"),
    [
        ({}, "actions: a rule must do something"),
        ({"tags": ("a b",)}, "tags: 'a b' is no name"),
        ({"pool": "a/b"}, "pool: 'a/b' is no name"),
        ({"name": "web"}, "name: a pattern needs one of {serial}"),
        ({"name": "web-{rack}"}, "name: a pattern needs one of {serial}"),
        ({"name": "Web_{serial}"}, "name: 'Web_{serial}' makes no DNS label"),
        ({"hold": "look", "commission": True}, "hold: a rule that holds cannot accept"),
        ({"tags": ("a",), "scripts": ("x",)}, "scripts: scripts and tests are chosen for"),
    ],
)
def test_actions_that_cannot_be_are_refused_with_the_field(
    actions: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadRule) as refused:
        check(Actions(**actions))
    assert str(refused.value).startswith(why)


def test_a_name_is_made_of_what_the_machine_states() -> None:
    facts = {"serial": "CZ 30/43", "macs": ["52:54:00:00:00:01"], "vendor": ""}
    assert named("web-{serial}", facts) == "web-cz-30-43"
    assert named("n{mac}", facts) == "n525400000001"
    assert named("{vendor}-{serial}", facts) == ""


def test_rules_come_by_priority_and_behind_those_whose_work_they_ask_for() -> None:
    late = rule("late", "memory > 1GiB", 5, tags=("big",))
    asks = rule("asks", "tag = BIG and not virtual", 1, pool="b")
    first = rule("first", "state = New", 2, notify=True)
    assert [one.name for one in ordered([late, asks, first])] == ["first", "late", "asks"]


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([rule("a", "tag = x", tags=("x",))], "a gives tag x, which a asks for"),
        (
            [rule("a", "pool = p", tags=("x",)), rule("b", "any(tag = x)", pool="p")],
            "b gives pool p, which a asks for; a gives tag x, which b asks for",
        ),
        ([rule("a", "tag matches 'x*'", tags=("y",))], "a gives tag y, which a asks for"),
        ([rule("a", "not name = x", name="w-{id}")], "a gives name x, which a asks for"),
    ],
)
def test_rules_that_go_round_are_refused_with_the_ring(rules: list[Rule], why: str) -> None:
    with pytest.raises(BadRule) as refused:
        ordered(rules)
    assert str(refused.value) == f"condition: the rules go round: {why}"


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ({"pool": "a"}, {"pool": "b"}, "pool"),
        ({"name": "a-{id}"}, {"name": "b-{id}"}, "name"),
        ({"commission": True}, {"commission": True, "tests": ("none",)}, "commissioning"),
    ],
)
def test_rules_of_one_priority_that_want_different_things_are_refused(
    one: dict[str, Any], other: dict[str, Any], what: str
) -> None:
    rules = [rule("a", "virtual", **one), rule("b", "tpm", **other)]
    with pytest.raises(BadRule, match=f"want another {what}: give them different priorities"):
        refuse_conflicts(rules, [])
    refuse_conflicts([rules[0], rule("b", "tpm", 7, **other)], [])


def test_a_rule_cannot_give_what_a_definition_gives() -> None:
    with pytest.raises(BadRule, match="tag gpu is given by its definition only"):
        refuse_conflicts([rule("a", "virtual", tags=("gpu",))], ["gpu"])
