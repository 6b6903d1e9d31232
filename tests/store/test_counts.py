import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
import sqlalchemy as sa
from alembic import command
from tests.store.test_machine_rows import machine

from muster.machine.states import State
from muster.store import counts, machines
from muster.store.engine import Store, Tx, alembic_config
from muster.store.schema_search import machine_counts


def rows(tx: Tx) -> int:
    return tx.execute(sa.select(sa.func.count()).select_from(machine_counts)).scalar_one()


def told(store: Store) -> dict[str, int]:
    with store.read() as tx:
        return counts.by_state(tx)


class TurnedBackError(Exception):
    pass


@contextmanager
def perhaps(store: Store, *, kept: bool) -> Iterator[Tx]:
    """A transaction that is rolled back where it is not `kept`."""
    try:
        with store.write() as tx:
            yield tx
            if not kept:
                raise TurnedBackError
    except TurnedBackError:
        pass


def test_whatever_comes_moves_leaves_or_is_rolled_back_is_counted_exactly(
    store: Store, now: datetime
) -> None:
    chance, there = random.Random(7), dict[str, State]()
    for _ in range(80):
        trial = dict(there)
        kept = chance.random() < 0.8
        with perhaps(store, kept=kept) as tx:
            for _ in range(chance.randrange(5)):
                name, state = f"m{chance.randrange(30)}", chance.choice(list(State))
                if name not in trial:
                    machines.add(tx, machine(name, now, state=state))
                elif chance.random() < 0.3:
                    machines.delete(tx, f"id-{name}")
                    del trial[name]
                    continue
                else:
                    machines.update(tx, f"id-{name}", state=state)
                trial[name] = state
            assert counts.by_state(tx) == Counter(trial.values())
        there = trial if kept else there
        assert told(store) == Counter(there.values())
    assert len(there) > 5
    assert not counts.mend(store)


def test_many_changes_leave_few_rows_behind(store: Store, now: datetime) -> None:
    with store.write() as tx:
        machines.add(tx, machine("m", now))
        for number in range(300):
            machines.update(tx, "id-m", state=State.READY if number % 2 else State.NEW)
        assert rows(tx) < 80
        assert counts.by_state(tx) == {"Ready": 1}


@pytest.mark.parametrize("engine", ["postgresql"])
def test_transactions_that_change_the_same_state_do_not_wait_for_each_other(
    store: Store, now: datetime
) -> None:
    with store.write() as tx:
        machines.add(tx, machine("first", now))
    with store.write() as tx:
        machines.add(tx, machine("slow", now))
        for number in range(150):
            with store.write() as other:
                other.execute(sa.text("SET LOCAL lock_timeout = 1"))
                machines.add(other, machine(f"m{number}", now))
        assert told(store) == {"New": 151}
        with store.read() as look:
            # The fold leaves the rows alone that the open transaction wrote or holds.
            assert rows(look) < 130
    assert told(store) == {"New": 152}
    assert not counts.mend(store)


def test_wrong_counts_are_mended_and_right_ones_left(store: Store, now: datetime) -> None:
    with store.write() as tx:
        machines.add(tx, machine("one", now))
        machines.add(tx, machine("two", now, state=State.READY))
        tx.execute(machine_counts.delete())
    assert told(store) == {}
    assert counts.mend(store)
    assert told(store) == {"New": 1, "Ready": 1}
    assert not counts.mend(store)


def test_an_update_counts_the_machines_that_are_there(empty_url: str, now: datetime) -> None:
    old = Store(empty_url)
    old.migrate()
    with old.write() as tx:
        machines.add(tx, machine("one", now))
        machines.add(tx, machine("two", now, state=State.READY))
        config = alembic_config()
        config.attributes["connection"] = tx
        command.downgrade(config, "0023_expected")
    old.migrate()
    with old.write() as tx:
        machines.update(tx, "id-one", state=State.READY)
        assert counts.by_state(tx) == {"Ready": 2}
    old.close()
