from hypothesis import given
from hypothesis import strategies as st

from muster.agent.schedule import collide, startable
from muster.wire.hello import ScriptItem


def item(
    number: int,
    parallel: str = "disabled",
    *holds: str,
    kind: str = "commissioning",
    ours: bool = False,
) -> ScriptItem:
    return ScriptItem(
        number,
        f"s{number}",
        "",
        parallel=parallel,
        holds=list(holds),
        script_type=kind,
        built_in=ours,
    )


def test_serial_scripts_run_alone_and_in_order() -> None:
    waiting = [item(1), item(2), item(3, "any")]
    assert startable(waiting, []) == waiting[:1]
    assert startable(waiting[1:], [waiting[0]]) == []


def test_instances_come_before_the_rest_and_one_disk_is_held_once() -> None:
    a, b = item(1, "instance", "disk:sda"), item(2, "instance", "disk:sdb")
    c, d = item(3, "instance", "disk:sda"), item(4, "any")
    assert startable([a, b, c, d], []) == [a, b]
    assert startable([c, d], [b]) == [c]
    assert startable([d], [c]) == []
    assert startable([d], []) == [d]


def test_every_disk_is_held_by_a_star() -> None:
    assert collide(item(1, "any", "disk:*"), item(2, "any", "disk:sda"))
    assert not collide(item(1, "any", "disk:*"), item(2, "any", "nic:eth0"))
    assert not collide(item(1, "any"), item(2, "any"))


def test_tests_wait_for_commissioning() -> None:
    test, look = item(1, kind="testing"), item(2, "any")
    assert startable([test, look], []) == [look]
    assert startable([test], [look]) == []


def test_what_only_looks_starts_beside_the_last_of_the_built_in_serial_ones() -> None:
    lldp, survey = item(1, ours=True), item(2, ours=True)
    lshw, listen = item(3, "any", ours=True), item(4, "any", ours=True)
    mine, test = item(5, "any"), item(6, kind="testing", ours=True)
    assert startable([lldp, survey, lshw, listen, mine, test], []) == [lldp]
    assert startable([survey, lshw, listen, mine, test], [lldp]) == []
    assert startable([survey, lshw, listen, mine, test], []) == [survey, lshw, listen]
    assert startable([mine, test], [survey, listen]) == []
    assert startable([mine, test], [listen]) == [mine]
    assert startable([test], [listen]) == []


def test_a_user_s_serial_script_is_alone_and_the_lookers_wait_for_it() -> None:
    survey, lshw = item(1, ours=True), item(2, "any", ours=True)
    alone, disk = item(3), item(4, "instance")
    assert startable([survey, lshw, alone], []) == [survey]
    assert startable([lshw, alone], [survey]) == []
    assert startable([lshw, alone], []) == [alone]
    assert startable([lshw], [alone]) == []
    assert startable([lshw, disk], []) == [disk]
    assert startable([lshw], []) == [lshw]


ITEMS = st.lists(
    st.builds(
        lambda parallel, holds, kind, ours: (parallel, holds, kind, ours),
        st.sampled_from(["disabled", "instance", "any"]),
        st.lists(st.sampled_from(["cpu", "disk:a", "disk:b", "disk:*", "nic:e"]), max_size=2),
        st.sampled_from(["commissioning", "testing"]),
        st.booleans(),
    ),
    max_size=12,
)


@given(ITEMS, st.data())
def test_every_script_runs_once_and_none_beside_what_it_collides_with(
    made: list, data: st.DataObject
) -> None:
    waiting = [
        item(n, parallel, *holds, kind=kind, ours=ours)
        for n, (parallel, holds, kind, ours) in enumerate(made)
    ]
    running: list[ScriptItem] = []
    ended: list[int] = []
    while waiting or running:
        for one in startable(waiting, running):
            waiting.remove(one)
            running.append(one)
        assert running, "nothing runs and something waits"
        for one in running:
            others = [other for other in running if other is not one]
            if one.parallel == "disabled":
                assert all(one.built_in and other.built_in for other in others)
                assert all(other.parallel == "any" for other in others)
            assert len({other.script_type for other in running}) == 1
            assert not any(collide(one, other) for other in others)
        over = data.draw(st.sampled_from(running))
        running.remove(over)
        ended.append(over.result)
    assert sorted(ended) == list(range(len(made)))
