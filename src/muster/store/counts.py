# SPDX-License-Identifier: Apache-2.0
"""How many machines are in each state: told at once, where 100,000 rows would be walked.

Triggers of the database write every change of `machines.state` into `machine_counts` within the
same transaction, whoever makes it; so the sums are those of the rows in every snapshot. SQLite has
one row a state. On PostgreSQL a row that everybody changes would make all transactions wait for
each other: there each change is a row of its own, and one in 64 takes those together that nobody
holds.
"""

import sqlalchemy as sa

from muster.store.engine import Store, Tx
from muster.store.schema import machines
from muster.store.schema_search import machine_counts

_SUM = sa.func.sum(machine_counts.c.machines)
_BY_STATE = (
    sa.select(machine_counts.c.state, _SUM).group_by(machine_counts.c.state).having(_SUM != 0)
)
_ROWS = sa.select(machines.c.state, sa.func.count()).group_by(machines.c.state)


def by_state(tx: Tx) -> dict[str, int]:
    """How many machines are in each state that any is in."""
    return {str(state): int(number) for state, number in tx.execute(_BY_STATE)}


def mend(store: Store) -> bool:
    """Count the rows anew; True where that was needed: someone took the triggers away."""
    with store.read() as tx:
        if by_state(tx) == _counted(tx):
            return False
    with store.write() as tx:
        if tx.dialect.name == "postgresql":
            # Each statement looks anew; nobody may write between these.
            tx.execute(sa.text("LOCK TABLE machines IN SHARE ROW EXCLUSIVE MODE"))
        tx.execute(machine_counts.delete())
        rows = [{"state": state, "machines": number} for state, number in _counted(tx).items()]
        if rows:
            tx.execute(machine_counts.insert(), rows)
    return True


def _counted(tx: Tx) -> dict[str, int]:
    return {str(state): int(number) for state, number in tx.execute(_ROWS)}
