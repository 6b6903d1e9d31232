from hypothesis import given
from hypothesis import strategies as st

from muster.agent.schedule import collide, startable
from muster.wire.hello import ScriptItem


def item(number: int, parallel: str = "disabled", *holds: str, kind: str = "commissioning"):
    return ScriptItem(
        number, f"s{number}", "", parallel=parallel, holds=list(holds), script_type=kind
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


ITEMS = st.lists(
    st.builds(
        lambda parallel, holds, kind: (parallel, holds, kind),
        st.sampled_from(["disabled", "instance", "any"]),
        st.lists(st.sampled_from(["cpu", "disk:a", "disk:b", "disk:*", "nic:e"]), max_size=2),
        st.sampled_from(["commissioning", "testing"]),
    ),
    max_size=12,
)


@given(ITEMS, st.data())
def test_every_script_runs_once_and_none_beside_what_it_collides_with(
    made: list, data: st.DataObject
) -> None:
    waiting = [item(n, p, *holds, kind=kind) for n, (p, holds, kind) in enumerate(made)]
    running: list[ScriptItem] = []
    ended: list[int] = []
    while waiting or running:
        for one in startable(waiting, running):
            waiting.remove(one)
            running.append(one)
        assert running, "nothing runs and something waits"
        for one in running:
            others = [other for other in running if other is not one]
            assert one.parallel != "disabled" or not others
            assert not any(collide(one, other) for other in others)
        over = data.draw(st.sampled_from(running))
        running.remove(over)
        ended.append(over.result)
    assert sorted(ended) == list(range(len(made)))
