"""Rules: tried before they are enabled, applied after runs and to stored machines."""

from dataclasses import replace
from typing import Any

import pytest
from rack import Rack
from sides import M1, U1, document, machine, survey

from muster.lifecycle import applying
from muster.lifecycle import rules as verbs
from muster.machine.rules import Actions
from muster.machine.states import State
from muster.store import machines, rules, tags
from muster.store.engine import Conflict, Missing
from muster.wire.codec import BadMessage


def put(rack: Rack, name: str, condition: str, /, *, priority: int = 100, **actions: Any) -> None:
    verbs.put(rack.store, name, priority=priority, condition=condition, comment="", actor="ann",
              actions=Actions(**actions), now=rack.now())  # fmt: skip


def tried(rack: Rack, name: str) -> dict[str, tuple[bool | None, str, list[str]]]:
    found: dict[str, tuple[bool | None, str, list[str]]] = {}
    after = ""
    while True:
        trial = verbs.try_out(rack.store, name, after=after, now=rack.now())
        found |= {one.name: (one.holds, one.because, one.would) for one in trial.items}
        if not (after := trial.next):
            return found


def on(rack: Rack, name: str, condition: str, /, **words: Any) -> None:
    put(rack, name, condition, **words)
    tried(rack, name)
    verbs.enable(rack.store, name, actor="ann", now=rack.now())
    while applying.catch_up(rack.store, rack.policy, rack.now()):
        pass


def given(rack: Rack, name: str) -> set[str]:
    with rack.store.read() as tx:
        found = tags.of_machine(tx, machines.find(tx, name).id)
        return {row.tag for row in found if row.source == "rule"}


def test_a_rule_is_off_until_a_dry_run_has_seen_every_machine(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "PAGE", 2)
    names = [machine(rack, number) for number in (1, 2, 3)]
    put(rack, "big", "memory >= 128GiB", tags=("big",))
    with pytest.raises(Conflict, match="was not tried on every machine since it changed"):
        verbs.enable(rack.store, "big", actor="ann", now=rack.now())
    first = verbs.try_out(rack.store, "big", after="", now=rack.now())
    assert len(first.items) == 2
    with pytest.raises(Conflict, match="was not tried"):
        verbs.enable(rack.store, "big", actor="ann", now=rack.now())
    assert tried(rack, "big") == {
        name: (True, "memory is 256 GiB", ["get tag big"]) for name in names
    }
    verbs.enable(rack.store, "big", actor="ann", now=rack.now())
    put(rack, "big", "memory >= 64GiB", tags=("big",))
    with pytest.raises(Conflict, match="was not tried"):
        verbs.enable(rack.store, "big", actor="ann", now=rack.now())


def test_a_dry_run_that_left_machines_out_does_not_count(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "PAGE", 1)
    for number in (1, 2, 3):
        machine(rack, number)
    put(rack, "big", "memory >= 128GiB", tags=("big",))
    ids = sorted(one.id for one in rack.machines())
    verbs.try_out(rack.store, "big", after=ids[1], now=rack.now())
    assert verbs.try_out(rack.store, "big", after=ids[2], now=rack.now()).next == ""
    with pytest.raises(Conflict, match="was not tried"):
        verbs.enable(rack.store, "big", actor="ann", now=rack.now())


def test_a_dry_run_tells_yes_no_and_not_known_with_the_reason(rack: Rack) -> None:
    one = machine(rack, 1)
    rack.arrive(uuid="0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e0009", macs=["52:54:00:99:00:01"])
    unknown = next(m.name for m in rack.machines() if m.name != one)
    put(rack, "x", "memory >= 1TiB", pool="lab", hold="look first")
    found = tried(rack, "x")
    assert found[one] == (False, "memory is 256 GiB, not >= 1 TiB", [])
    assert found[unknown][0] is None
    put(rack, "x", "gpu.count = 2", pool="lab", hold="look first")
    assert tried(rack, "x")[one][2] == ["go into pool lab", "wait for a person: look first"]
    assert rack.machine(one).pool == ""


def test_an_enabled_rule_is_applied_to_stored_machines_and_to_those_that_come(rack: Rack) -> None:
    one = machine(rack, 1)
    on(rack, "gpu", "gpu.count >= 2", tags=("gpu",), pool="ai", notify=True)
    assert (given(rack, one), rack.machine(one).pool) == ({"gpu"}, "ai")
    other = machine(rack, 2)
    assert (given(rack, other), rack.machine(other).pool) == ({"gpu"}, "ai")
    assert len(rack.told("rule.notify")) == 2
    bare = document(1)
    bare["resources"]["gpu"]["cards"] = []
    rack.set(one, surveyed_at=None)
    survey(rack, rack.arrive(uuid=U1, macs=[M1], serial="SN1", key="k9")[1], bare)
    assert given(rack, one) == set()


def test_a_rule_that_is_switched_off_takes_its_tags_back(rack: Rack) -> None:
    one = machine(rack, 1)
    on(rack, "gpu", "gpu.count >= 2", tags=("gpu",))
    verbs.disable(rack.store, "gpu", actor="ann", now=rack.now())
    assert given(rack, one) == set()
    verbs.delete(rack.store, "gpu", actor="ann", now=rack.now())
    with pytest.raises(Missing, match="there is no rule 'gpu'"):
        verbs.disable(rack.store, "gpu", actor="ann", now=rack.now())


def test_rules_see_the_tags_of_those_before_them(rack: Rack) -> None:
    one = machine(rack, 1)
    on(rack, "gpu", "gpu.count >= 2", priority=50, tags=("gpu",))
    on(rack, "pool", "tag = gpu", priority=1, pool="ai")
    assert rack.machine(one).pool == "ai"
    verbs.disable(rack.store, "gpu", actor="ann", now=rack.now())
    while applying.catch_up(rack.store, rack.policy, rack.now()):
        pass
    with rack.store.read() as tx:
        assert rules.counts(tx) == {}


def test_the_rule_that_comes_first_decides_and_the_dry_run_says_so(rack: Rack) -> None:
    one = machine(rack, 1)
    on(rack, "first", "gpu.count >= 2", priority=1, pool="ai")
    put(rack, "second", "memory > 1GiB", priority=2, pool="big")
    assert tried(rack, "second")[one][2] == ["not go into pool big: rule first comes first"]
    on(rack, "second", "memory > 1GiB", priority=2, pool="big")
    assert rack.machine(one).pool == "ai"


def test_rings_and_conflicts_are_refused_when_a_rule_is_enabled(rack: Rack) -> None:
    machine(rack, 1)
    on(rack, "a", "pool = p", tags=("x",))
    put(rack, "b", "tag = x", pool="p")
    with pytest.raises(Conflict, match="cannot be tried: the rules go round"):
        tried(rack, "b")
    put(rack, "b", "virtual", pool="q")
    on(rack, "c", "tpm", pool="r", priority=3)
    put(rack, "b", "virtual", pool="q", priority=3)
    tried(rack, "b")
    with pytest.raises(Conflict, match="b and c both have 3 and want another pool"):
        verbs.enable(rack.store, "b", actor="ann", now=rack.now())
    with pytest.raises(BadMessage, match="condition: the rules go round"):
        put(rack, "d", "tag = x", tags=("x",))
    with pytest.raises(BadMessage, match="condition: character 7"):
        put(rack, "d", "memory", tags=("x",))


def test_a_new_machine_is_named_accepted_and_commissioned_once(rack: Rack) -> None:
    rack.policy = replace(rack.policy, enlist="hold")
    machine_before = rack.machines()
    on(rack, "auto", "vendor has Acme", commission=True, name="web-{serial}", tests=("none",))
    name = machine(rack, 1, vendor="Acme")
    assert machine_before == []
    assert rack.machine("web-sn1").state == State.COMMISSIONING
    assert name != "web-sn1"
    assert rack.runs("web-sn1")[0].requested_by == "rule auto"


def test_a_machine_is_held_by_a_rule_though_the_policy_accepts(rack: Rack) -> None:
    on(rack, "odd", "vendor has Acme", hold="bought second-hand")
    _, held = rack.arrive(vendor="Acme")
    assert held.decision == "hold"
    assert "(bought second-hand)" in held.reason


def test_a_hold_is_stronger_than_a_rule_that_commissions(rack: Rack) -> None:
    on(rack, "auto", "memory > 1GiB", priority=1, commission=True, tests=("none",))
    on(rack, "odd", "gpu.count = 2", priority=2, hold="GPUs are looked at first")
    name = machine(rack, 1)
    assert rack.machine(name).state == State.NEW
    assert "GPUs are looked at first" in rack.machine(name).state_reason


def test_a_name_that_is_taken_is_told_and_harms_nothing(rack: Rack) -> None:
    machine(rack, 1)
    on(rack, "name", "memory > 1GiB", name="n-{vendor}")
    other = machine(rack, 2)
    assert {one.name for one in rack.machines()} == {"n-acme", other}
    assert rack.told("rule.failed") == [
        f"rule name could not be carried out on {other}: the name n-acme is taken"
    ]


def test_what_cannot_be_commissioned_is_told_and_harms_nothing(rack: Rack) -> None:
    on(rack, "auto", "memory > 1GiB", commission=True, scripts=("gone",))
    name = machine(rack, 1)
    assert rack.machine(name).state == State.NEW
    assert "no enabled script has the name or tag 'gone'" in rack.told("rule.failed")[0]
