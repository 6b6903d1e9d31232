"""Tags by hand, by script, by definition, and those that hardware gives itself."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from rack import Rack, event
from rackserver import rackserver

from muster.lifecycle import pools, survey, tags
from muster.lifecycle.definitions import KINDS
from muster.store import machines
from muster.store import tags as rows
from muster.store.engine import Conflict, Missing
from muster.wire.codec import BadMessage
from muster.wire.hello import Welcome


def machine(rack: Rack, number: int = 1, document: Any = None, *, again: str = "") -> str:
    """A surveyed machine's name; `again`: it is known by this name already."""
    if again:
        rack.set(again, surveyed_at=None)
    uuid = f"0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e00{number:02x}"
    _, welcome = rack.arrive(
        uuid=uuid, macs=[f"52:54:00:12:34:{number:02x}"], serial=f"SN{number}", key=f"k{again}"
    )
    rack.document = json.dumps(document or rackserver()).encode()
    rack.finish(welcome)
    return welcome.machine


def of(rack: Rack, name: str) -> dict[str, list[str]]:
    """Sources by tag."""
    with rack.store.read() as tx:
        found: dict[str, list[str]] = {}
        for row in rows.of_machine(tx, machines.find(tx, name).id):
            found.setdefault(row.tag, []).append(row.source)
        return found


def define(rack: Rack, name: str, definition: str, now: datetime, **words: Any) -> None:
    kind = "expression" if definition else ""
    words = {"comment": "", "kind": kind, "actor": "ann"} | words
    tags.define(rack.store, name, definition=definition, now=now, **words)


def catch_up(rack: Rack, now: datetime) -> int:
    """Steps until nothing is left to do."""
    steps = 0
    while tags.catch_up(rack.store, now):
        steps += 1
    return steps


def by_hand(rack: Rack, tag: str, *, add=(), remove=(), now: datetime) -> list[tuple[bool, str]]:
    done = tags.by_hand(rack.store, tag, add=add, remove=remove, actor="ann", now=now)
    return [(one.done, one.why) for one in done]


def test_a_tag_by_hand_is_on_every_machine_that_is_named(rack: Rack, now: datetime) -> None:
    one, two = machine(rack, 1), machine(rack, 2)
    done = by_hand(rack, "spare", add=[one, two, "nobody"], now=now)
    assert done == [(True, ""), (True, ""), (False, "no machine has the id or name 'nobody'")]
    assert of(rack, one)["spare"] == ["hand"]
    assert rack.told("tag.given")[-1] == f"{two} has tag spare: by ann"
    assert by_hand(rack, "spare", remove=[one], now=now) == [(True, "")]
    assert "spare" not in of(rack, one)
    assert "spare" in of(rack, two)


def test_a_definition_is_tried_on_every_machine_in_bounded_steps(
    rack: Rack, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(KINDS["expression"], at_once=2)
    monkeypatch.setitem(KINDS, "expression", small)
    names = [machine(rack, number) for number in range(1, 6)]
    define(rack, "gpu", "gpu.count >= 2", now)
    assert catch_up(rack, now) == 3
    assert all(of(rack, name)["gpu"] == ["definition"] for name in names)
    assert rack.told("tag.settled") == ["tag gpu: 5 machines have it"]
    define(rack, "gpu", "gpu.count >= 3", now)
    catch_up(rack, now)
    assert not any("gpu" in of(rack, name) for name in names)


def test_the_same_definition_said_again_is_not_tried_again(rack: Rack, now: datetime) -> None:
    machine(rack)
    define(rack, "gpu", "gpu.count >= 2", now)
    assert catch_up(rack, now) == 1
    define(rack, "gpu", "gpu.count >= 2", now, comment="for the lab")
    assert catch_up(rack, now) == 0


def test_a_definition_is_tried_when_the_inventory_is_read(rack: Rack, now: datetime) -> None:
    define(rack, "gpu", "gpu.count >= 2", now)
    catch_up(rack, now)
    name = machine(rack)
    assert of(rack, name)["gpu"] == ["definition"]
    without = rackserver()
    without["resources"]["gpu"]["cards"] = []
    assert machine(rack, 1, without, again=name) == name
    assert "gpu" not in of(rack, name)
    assert rack.told("tag.taken") == [f"{name} has tag gpu no more from definition"]


def test_a_definition_over_evidence_is_tried_when_a_hello_changes_it(
    rack: Rack, now: datetime
) -> None:
    name = machine(rack)
    define(rack, "bought", "serial = BOUGHT1", now)
    catch_up(rack, now)
    assert "bought" not in of(rack, name)
    plan = rack.boot(uuid="")
    assert plan.purpose == "local"
    rack.set(name, surveyed_at=None)
    rack.arrive(macs=["52:54:00:12:34:01"], uuid="0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e0001",
                serial="BOUGHT1", key="k2")  # fmt: skip
    assert of(rack, name)["bought"] == ["definition"]


def test_a_machine_that_is_not_known_well_enough_has_not_the_tag(rack: Rack, now: datetime) -> None:
    _, welcome = rack.arrive()
    define(rack, "poor", "not memory >= 1GiB", now)
    catch_up(rack, now)
    assert of(rack, welcome.machine) == {}


def test_what_a_definition_gives_comes_from_nowhere_else(rack: Rack, now: datetime) -> None:
    name = machine(rack)
    define(rack, "gpu", "gpu.count >= 2", now)
    with pytest.raises(Conflict, match=r"given by its definition: gpu\.count >= 2"):
        by_hand(rack, "gpu", add=[name], now=now)
    by_hand(rack, "spare", add=[name], now=now)
    with pytest.raises(Conflict, match="tag spare is given by hand already"):
        define(rack, "spare", "memory > 1GiB", now)


def test_a_definition_that_is_taken_away_takes_its_tags_with_it(rack: Rack, now: datetime) -> None:
    name = machine(rack)
    define(rack, "gpu", "gpu.count >= 2", now)
    catch_up(rack, now)
    define(rack, "gpu", "", now)
    assert "gpu" not in of(rack, name)
    by_hand(rack, "gpu", add=[name], now=now)
    tags.delete(rack.store, "gpu", actor="ann", now=now)
    assert "gpu" not in of(rack, name)
    assert rack.told("tag.deleted") == ["tag gpu was deleted; 1 machines had it"]
    with pytest.raises(Missing):
        tags.delete(rack.store, "gpu", actor="ann", now=now)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"name": "a b"}, "name: 'a b' is no name"),
        ({"definition": "memory >"}, "definition: character 9"),
        ({"definition": "state = New"}, "definition: state is not told by the machine"),
        ({"definition": "memory > 1GiB", "kind": "magic"}, "kind: 'magic' must be one of expr"),
        ({"definition": "memory > 1GiB", "kind": ""}, "kind: a definition needs one of"),
    ],
)
def test_a_bad_tag_is_refused_with_the_field(
    rack: Rack, now: datetime, words: dict[str, str], why: str
) -> None:
    given = {"name": "x", "definition": "memory > 1GiB", "kind": "expression"} | words
    with pytest.raises(BadMessage, match=why):
        tags.define(rack.store, comment="", actor="ann", now=now, **given)


def finish_with(rack: Rack, welcome: Welcome, result: bytes) -> str:
    """The first script writes this result file; returns that result's reason."""
    item = welcome.scripts[0].result
    rack.send(
        welcome.token,
        event(1, "started", item),
        event(2, "output", item, data=result, stream="result"),
        event(3, "finished", item, exit_status=0),
    )
    return rack.results(welcome)[0][1]


def test_a_script_names_tags_and_takes_back_its_own_only(rack: Rack, now: datetime) -> None:
    _, welcome = rack.arrive()
    name = welcome.machine
    by_hand(rack, "spare", add=[name], now=now)
    assert finish_with(rack, welcome, b"tags: [burnt-in, spare]") == ""
    assert of(rack, name) == {"burnt-in": ["script"], "spare": ["hand", "script"]}
    _, welcome = rack.arrive(key="k2")
    finish_with(rack, welcome, b"status: passed")
    assert "burnt-in" in of(rack, name)
    _, welcome = rack.arrive(key="k3")
    finish_with(rack, welcome, b"tags: []")
    assert of(rack, name) == {"spare": ["hand"]}


def test_a_script_cannot_give_what_a_definition_gives(rack: Rack, now: datetime) -> None:
    define(rack, "gpu", "gpu.count >= 2", now)
    _, welcome = rack.arrive()
    finish_with(rack, welcome, b"tags: [gpu]")
    assert of(rack, welcome.machine) == {}
    assert "names tag gpu, which only its definition gives" in rack.told("tag.refused")[0]


@pytest.mark.parametrize(
    "written", [b"tags: gpu", b"tags: [1]", b"tags: ['a b']", b"tags: [" + b"a," * 65 + b"a]"]
)
def test_a_script_s_bad_tags_are_a_failed_result(rack: Rack, written: bytes) -> None:
    _, welcome = rack.arrive()
    assert "its result file cannot be used: tags:" in finish_with(rack, welcome, written)


def test_hardware_tags_itself_and_loses_what_is_gone(rack: Rack) -> None:
    spinning = rackserver()
    spinning["resources"]["storage"]["disks"][0] |= {"rpm": 7200, "rotational": True}
    name = machine(rack, 1, spinning)
    assert of(rack, name)["7200rpm"] == ["automatic"]
    machine(rack, 1, again=name)
    assert "7200rpm" not in of(rack, name)


def test_an_inventory_that_cannot_be_read_changes_no_tag(rack: Rack, now: datetime) -> None:
    define(rack, "gpu", "gpu.count >= 2", now)
    name = machine(rack)
    rack.set(name, surveyed_at=None)
    welcome = rack.arrive(uuid="0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e0001", key="k2")[1]
    rack.document = b"{"
    rack.finish(welcome)
    assert (
        dict(zip([i.name for i in welcome.scripts], rack.results(welcome), strict=True))[
            survey.RESOURCES
        ][0]
        == "failed"
    )
    assert of(rack, name)["gpu"] == ["definition"]


def test_a_machine_is_put_into_a_pool_and_out_of_it(rack: Rack, now: datetime) -> None:
    name = machine(rack)
    for pool in ("lab", "lab", ""):
        pools.put(rack.store, name, pool, actor="ann", now=now)
    assert rack.told("machine.pool") == [f"{name} is now in pool lab", f"{name} is now in no pool"]
    with pytest.raises(BadMessage, match="pool: 'a b' is no name"):
        pools.put(rack.store, name, "a b", actor="ann", now=now)


def test_two_who_tag_many_machines_at_once_both_come_through(
    rack: Rack, now: datetime, together
) -> None:
    names = [machine(rack, number) for number in range(1, 9)]

    def give(tag: str, order: list[str]) -> int:
        return sum(done for done, _ in by_hand(rack, tag, add=order, now=now))

    assert together(lambda: give("one", names), lambda: give("two", names[::-1])) == [8, 8]
    assert all({"one", "two"} <= of(rack, name).keys() for name in names)
