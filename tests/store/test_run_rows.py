from datetime import datetime, timedelta

import pytest
from test_machine_rows import machine

from muster.store import boots, goals, machines, runs
from muster.store.engine import Missing, Store

LEASE = timedelta(seconds=60)


@pytest.fixture
def run(store: Store, now: datetime) -> int:
    """A pending run of one script, which is result `result_of(run)`."""
    with store.write() as tx:
        machines.add(tx, machine("bold-otter", now))
        run = runs.add(
            tx,
            machine_id="id-bold-otter",
            mode="enlist",
            state="pending",
            options={"enable_ssh": True},
            created_at=now,
            deadline_at=now + LEASE,
        )
        runs.keep_script(tx, "a" * 64, b"#!/bin/sh\n\x00\xff")
        runs.keep_script(tx, "a" * 64, b"the same again")
        for position in (1, 0):
            runs.add_result(
                tx,
                run_id=run,
                position=position,
                name=f"script-{position}",
                script_type="commissioning",
                sha256="a" * 64,
                timeout_s=1.5,
            )
    return run


def result_of(store: Store, run: int) -> int:
    with store.read() as tx:
        return runs.results_of(tx, run)[0].id


def test_a_run_comes_back_with_its_results_in_order(store: Store, run: int, now: datetime) -> None:
    with store.read() as tx:
        found = runs.find(tx, run)
        results = runs.results_of(tx, run)
        assert runs.open_of(tx, "id-bold-otter") == found
        assert runs.some(tx, "id-bold-otter") == [found]
    assert (found.mode, found.options, found.reason) == ("enlist", {"enable_ssh": True}, "")
    assert [(r.name, r.state, r.timeout_s) for r in results] == [
        ("script-0", "pending", 1.5),
        ("script-1", "pending", 1.5),
    ]


def test_a_run_or_result_that_is_not_there_is_missing_by_number(store: Store) -> None:
    with store.read() as tx:
        with pytest.raises(Missing, match=r"^no run has the number 999999$"):
            runs.find(tx, 999999)
        with pytest.raises(Missing, match=r"^no result has the number 999999$"):
            runs.find_result(tx, 999999)


def test_a_script_is_given_only_to_a_session_whose_run_owes_it(
    store: Store, run: int, now: datetime
) -> None:
    with store.write() as tx:
        boots.add(
            tx, "b1", phase="agent", phase_at=now, started_at=now, token_hash="t1", run_id=run
        )
        boots.add(tx, "b2", phase="agent", phase_at=now, started_at=now, token_hash="t2")
        assert runs.script_for(tx, "t1", "a" * 64) == b"#!/bin/sh\n\x00\xff"
        assert runs.script_for(tx, "t1", "b" * 64) is None
        assert runs.script_for(tx, "t2", "a" * 64) is None
        assert runs.script_for(tx, "t3", "a" * 64) is None
        boots.update(tx, "b1", ended_at=now)
        assert runs.script_for(tx, "t1", "a" * 64) is None


def test_results_that_have_ended_stay_when_the_run_ends(
    store: Store, run: int, now: datetime
) -> None:
    first = result_of(store, run)
    with store.write() as tx:
        runs.update_result(tx, first, state="passed")
        runs.end_open_results(tx, run, state="lost", reason="power cut", now=now)
    with store.read() as tx:
        ended = [(r.state, r.reason, r.ended_at) for r in runs.results_of(tx, run)]
    assert ended == [("passed", "", None), ("lost", "power cut", now)]


def test_an_overdue_run_is_found_until_it_has_ended(store: Store, run: int, now: datetime) -> None:
    with store.write() as tx:
        assert runs.overdue(tx, now) == []
        assert [late.id for late in runs.overdue(tx, now + LEASE)] == [run]
        runs.update(tx, run, state="failed")
        assert runs.overdue(tx, now + LEASE) == []


@pytest.mark.parametrize(
    ("stream", "offset", "expected"),
    [
        ("combined", 0, b"out-1err-1out-2"),
        ("combined", 4, b"1err-1out-2"),
        ("combined", 5, b"err-1out-2"),
        ("combined", 14, b"2"),
        ("combined", 15, b""),
        ("combined", 99, b""),
        ("stdout", 0, b"out-1out-2"),
        ("stdout", 6, b"ut-2"),
        ("stderr", 0, b"err-1"),
        ("result", 0, b"{}\x00\xff"),
        ("nonsense", 0, b""),
    ],
)
def test_output_is_given_by_stream_and_offset(
    store: Store, run: int, stream: str, offset: int, expected: bytes
) -> None:
    result = result_of(store, run)
    pieces = [("stdout", b"out-1"), ("stderr", b"err-1"), ("result", b"{}\x00\xff")]
    with store.write() as tx:
        runs.append_output(tx, [(result, name, data) for name, data in pieces])
        runs.append_output(tx, [(result, "stdout", b""), (result, "stdout", b"out-2")])
    with store.read() as tx:
        assert runs.output(tx, result, stream=stream, offset=offset) == expected


def want(store: Store, name: str, now: datetime, *, goal: str = "on") -> None:
    with store.write() as tx:
        machines.add(tx, machine(name, now))
        goals.want(tx, f"id-{name}", goal, now=now, deadline=now + LEASE)


def claim(
    store: Store, now: datetime, *, holder: str = "one", in_all: int = 9, a_subnet: int = 9
) -> list[goals.Due]:
    with store.write() as tx:
        store.one_at_a_time(tx)
        return goals.claim_due(
            tx,
            now=now,
            lease=LEASE,
            limits=goals.Limits(in_all, a_subnet),
            subnet_of=lambda bmc: bmc.rpartition(".")[0],
            holder=holder,
        )


def share(store: Store, name: str, bmc: str) -> None:
    with store.write() as tx:
        machines.update(tx, f"id-{name}", bmc=bmc)


def test_two_workers_never_claim_one_goal_twice(store: Store, now: datetime, together) -> None:
    for number in range(12):
        want(store, f"m{number}", now)

    def work() -> list[str]:
        claims = (claim(store, now, in_all=99, a_subnet=99) for _ in range(12))
        return [due.goal.machine_id for due in (one for found in claims for one in found)]

    first, second = together(work, work)
    assert sorted(first + second) == sorted(f"id-m{number}" for number in range(12))


def test_two_workers_never_act_on_one_bmc_together(store: Store, now: datetime, together) -> None:
    for number in range(4):
        want(store, f"m{number}", now)
        share(store, f"m{number}", "10.0.0.5")
    for _ in range(4):
        claims = together(*[lambda h=h: claim(store, now, holder=h) for h in ("one", "two")])
        (due,) = [one for found in claims for one in found]
        with store.write() as tx:
            goals.release(tx, due)
            assert goals.settle(tx, due.goal, status="reached", due_at=None)
    assert claim(store, now) == []


def test_no_more_are_claimed_than_the_limits_in_all_and_a_subnet(
    store: Store, now: datetime
) -> None:
    for number in range(6):
        want(store, f"m{number}", now)
        share(store, f"m{number}", f"10.0.{number % 2}.{number}")
    first = claim(store, now, in_all=5, a_subnet=2)
    assert sorted(due.bmc.rpartition(".")[0] for due in first) == ["10.0.0"] * 2 + ["10.0.1"] * 2
    assert claim(store, now, in_all=5, a_subnet=2) == []
    assert len(claim(store, now, in_all=5, a_subnet=9)) == 1
    assert len(claim(store, now + LEASE, in_all=5, a_subnet=9)) == 5


def test_a_claimed_goal_is_due_again_when_its_lease_ends(store: Store, now: datetime) -> None:
    want(store, "m", now)
    (claimed,) = claim(store, now)
    assert claim(store, now) == []
    (again,) = claim(store, now + LEASE, holder="two")
    assert (claimed.goal.goal, claimed.goal.status, claimed.goal.attempts) == ("on", "waiting", 0)
    assert again.goal.generation == claimed.goal.generation
    with store.write() as tx:
        assert not goals.still_held(tx, claimed, until=now + 9 * LEASE)
        goals.release(tx, claimed)
        assert goals.still_held(tx, again, until=now + 9 * LEASE)


def test_a_settled_goal_is_not_due_and_an_older_wish_cannot_settle_it(
    store: Store, now: datetime
) -> None:
    want(store, "m", now, goal="cycle")
    (older,) = claim(store, now)
    with store.write() as tx:
        goals.want(tx, "id-m", "off", now=now, deadline=now + LEASE)
        assert not goals.settle(tx, older.goal, status="reached", due_at=None)
    assert claim(store, now) == [], "the older step is still at the BMC"
    with store.write() as tx:
        goals.release(tx, older)
    (newer,) = claim(store, now)
    assert (newer.goal.goal, newer.goal.status) == ("off", "waiting")
    with store.write() as tx:
        goals.release(tx, newer)
        assert goals.settle(tx, newer.goal, status="reached", due_at=None)
    assert claim(store, now + 9 * LEASE) == []
