import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.agent.spool import Spool


def beats(spool: Spool, number: int) -> None:
    for _ in range(number):
        spool.add(kind="heartbeat")


def seqs(spool: Spool) -> list[int]:
    return [event.seq for event in spool.waiting()]


def test_events_are_numbered_from_one_and_wait_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    beats(spool, 12)
    assert seqs(spool) == list(range(1, 13))


def test_a_restarted_spool_goes_on_with_what_waits_and_the_next_number(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    beats(spool, 5)
    spool.acknowledge(3)
    again = Spool(tmp_path)
    beats(again, 1)
    assert seqs(again) == [4, 5, 6]


def test_a_spool_restarted_when_empty_does_not_count_from_one_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    beats(spool, 5)
    spool.acknowledge(5)
    again = Spool(tmp_path)
    beats(again, 1)
    assert seqs(again) == [6]


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_half_written_event_of_a_killed_agent_is_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    beats(spool, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            beats(spool, 1)
    again = Spool(tmp_path)
    assert seqs(again) == [1]
    beats(again, 1)
    assert seqs(again) == [1, 2]


def test_an_acknowledged_event_whose_file_is_still_there_is_not_sent_again(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path)
    beats(spool, 2)
    kept = (tmp_path / "000000000001.json").read_bytes()
    spool.acknowledge(1)
    (tmp_path / "000000000001.json").write_bytes(kept)
    assert seqs(Spool(tmp_path)) == [2]


def test_a_late_answer_to_an_old_batch_takes_nothing_away(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    beats(spool, 3)
    spool.acknowledge(2)
    spool.acknowledge(1)
    assert seqs(spool) == [3]
    assert seqs(Spool(tmp_path)) == [3]


def test_a_batch_is_bounded_in_number_and_bytes_and_never_empty(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for _ in range(6):
        spool.add(kind="output", data="A" * 60000)
    assert len(spool.waiting(count=4)) == 4
    assert len(spool.waiting(bytes_limit=150_000)) == 2
    assert len(spool.waiting(bytes_limit=1)) == 1


def test_a_full_spool_makes_the_adder_wait_until_there_is_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit=100_000)
    adder = threading.Thread(
        target=lambda: [spool.add(kind="output", data="A" * 40000) for _ in range(8)]
    )
    adder.start()
    got: list[int] = []
    while len(got) < 8:
        assert spool.wait_for_event(5)
        assert sum(file.stat().st_size for file in tmp_path.glob("*.json")) < 150_000
        got += [batch := seqs(spool)[0]]
        spool.acknowledge(batch)
    adder.join(timeout=5)
    assert got == list(range(1, 9))


def test_small_events_count_as_the_page_that_each_takes(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit=40_000)
    adder = threading.Thread(target=lambda: beats(spool, 100), daemon=True)
    adder.start()
    adder.join(timeout=0.3)
    assert adder.is_alive()
    assert len(list(tmp_path.glob("*.json"))) < 15
    spool.close()
    adder.join(timeout=5)
    assert not adder.is_alive()


def test_closing_lets_everybody_go_who_waits(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    beats(spool, 1)
    waiter = threading.Thread(target=spool.wait_until_empty)
    waiter.start()
    spool.close()
    waiter.join(timeout=5)
    assert not waiter.is_alive()


def test_waiting_for_an_event_ends_after_the_time_given(tmp_path: Path) -> None:
    assert Spool(tmp_path).wait_for_event(0.01) is False


steps = st.lists(
    st.one_of(st.just("add"), st.just("restart"), st.just("send"), st.just("lose")), max_size=40
)


@settings(max_examples=40, deadline=None)
@given(steps=steps)
def test_whatever_happens_every_event_arrives_once_and_in_order(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder)
    added = 0
    stored: list[float] = []
    highest = 0
    for step in [*steps, "send", "send"]:
        if step == "add":
            added += 1
            spool.add(kind="heartbeat", uptime_s=float(added))
        elif step == "restart":
            spool = Spool(folder)
        else:
            for event in spool.waiting(count=3 if len(stored) < added else 500):
                if event.seq == highest + 1:
                    highest = event.seq
                    stored.append(event.uptime_s)
            if step == "send":  # "lose": the server stored it and its answer was lost
                spool.acknowledge(highest)
    while spool.waiting():
        for event in spool.waiting():
            if event.seq == highest + 1:
                highest = event.seq
                stored.append(event.uptime_s)
        spool.acknowledge(highest)
    assert stored == [float(number) for number in range(1, added + 1)]
