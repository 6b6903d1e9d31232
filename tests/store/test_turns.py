"""Who writes to SQLite waits in a row, and a machine's boot answer goes before it."""

import threading

from muster.store.turns import Turns


def order_of(first: dict[str, bool]) -> list[str]:
    """In which order those came in who asked, one after the other, while somebody was inside."""
    turns, came = Turns(), []

    def work(name: str, *, is_first: bool) -> None:
        with turns.turn(first=is_first):
            came.append(name)

    threads = []
    with turns.turn():
        for name, is_first in first.items():
            thread = threading.Thread(target=work, args=(name,), kwargs={"is_first": is_first})
            thread.start()
            threads.append(thread)
            while turns.waiting < len(threads):
                assert thread.is_alive()
    for thread in threads:
        thread.join(10)
    return came


def test_who_came_first_goes_first() -> None:
    assert order_of({"a": False, "b": False, "c": False}) == ["a", "b", "c"]


def test_a_boot_answer_goes_before_all_that_wait_but_other_boot_answers() -> None:
    asked = {"report": False, "answer 1": True, "hello": False, "answer 2": True}
    assert order_of(asked) == ["answer 1", "answer 2", "report", "hello"]
