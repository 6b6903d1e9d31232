# SPDX-License-Identifier: Apache-2.0
"""What a request demands of the first transaction in which it writes: it is done in that very one.

So what was looked at cannot change before it is written, and what is marked is marked if, and
only if, the rest is written.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import sqlalchemy as sa

Demand = Callable[[sa.Connection], None]

_open: ContextVar[list[Demand] | None] = ContextVar("demands", default=None)


@contextmanager
def asking() -> Iterator[None]:
    """A request; threads and tasks that begin in here have the same demands."""
    token = _open.set([])
    try:
        yield
    finally:
        _open.reset(token)


def add(demand: Demand) -> None:
    """To be met by the next transaction that writes for this request."""
    demands = _open.get()
    if demands is None:
        raise LookupError("a demand outside of a request: use it within asking()")
    demands.append(demand)


@contextmanager
def met(tx: sa.Connection) -> Iterator[None]:
    """Do what is demanded; it is demanded again when the transaction is not committed."""
    demands = _open.get()
    if not demands:
        yield
        return
    taken = demands[:]
    demands.clear()
    try:
        for demand in taken:
            demand(tx)
        yield
    except BaseException:
        demands[:0] = taken
        raise
