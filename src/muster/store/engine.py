# SPDX-License-Identifier: Apache-2.0
"""Opens the database and gives out transactions: SQLite by default, PostgreSQL by URL.

SQLite: WAL, synchronous NORMAL (28,000 small transactions a second against 2,300 with FULL;
an event lost to a power cut is sent again by its agent, which still spools it until the answer),
one writer connection with BEGIN IMMEDIATE and a pool of readers.
"""

import asyncio
import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError

from muster.store import demands, notices
from muster.store.turns import Turns

Tx = sa.Connection
"""One transaction; every function of this room takes it first."""

_IDENTITY_LOCK = 0x6D757374  # "must": any constant that all processes share
_PRAGMAS = (
    "synchronous=NORMAL",
    "foreign_keys=ON",
    # The log goes into the file every 8,000 pages (32 MB), not every 1,000: for a third of the time
    # in which a machine enlisted itself, the writer waited for the disk.
    "wal_autocheckpoint=8000",
    # KiB; in 2 MB, the default, the indexes of 10,000 machines have no place.
    "cache_size=-16384",
)
_PATIENCE = 20  # seconds that a connection waits for SQLite's lock
_WRITERS_SQLITE, _WRITERS_POSTGRESQL = 4, 8
_PLAIN = msgspec.json.Decoder[Any]()
_P = ParamSpec("_P")
_T = TypeVar("_T")


class StoreError(Exception):
    """Base of what this room raises.

    StoreError
    ├── CannotOpen   the URL, the server or the file
    ├── Missing      no such row; says which
    ├── Conflict     a name or state that is taken; says by whom
    ├── Unkept       what the database refuses to keep; the rest of the transaction stands
    └── BadCursor    (search.py) a page begins at no place of its list
    """


class CannotOpen(StoreError):
    """The database cannot be reached or used; the message says why and what to do."""


class Missing(StoreError):
    """No such machine, run, result ...; the message names it."""


class Conflict(StoreError):
    """The change contradicts what is stored; the message says what and why."""


class Unkept(StoreError):
    """The database refuses one part of what is written; the message is its own."""


@contextmanager
def apart(tx: Tx) -> Iterator[None]:
    """A savepoint: what the database refuses here (Unkept) takes nothing else along."""
    try:
        with tx.begin_nested():
            yield
    except (sa.exc.DataError, sa.exc.IntegrityError, sa.exc.StatementError) as error:
        if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
            raise
        raise Unkept(str(getattr(error, "orig", error))) from error


@contextmanager
def _no_turn(*, first: bool = False) -> Iterator[None]:
    """PostgreSQL has many writers."""
    yield


class Store:
    """An open database. `write()` is one transaction, `read()` a snapshot."""

    def __init__(self, url: str) -> None:
        try:
            self.url = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise CannotOpen(f"database URL {url!r} cannot be read: {error}") from error
        kind = self.url.get_backend_name()
        if kind not in ("sqlite", "postgresql"):
            raise CannotOpen(
                f"database URL: no support for {kind!r}; write sqlite:///FILE or postgresql://..."
            )
        self.is_sqlite = kind == "sqlite"
        self._house = secrets.token_hex(8)
        self._listeners: list[notices.Listener] = []
        threads = _WRITERS_SQLITE if self.is_sqlite else _WRITERS_POSTGRESQL
        self._writers = ThreadPoolExecutor(threads, "writer")
        self._turn: Callable[..., contextlib.AbstractContextManager[None]]
        if self.is_sqlite:
            self._turn = Turns().turn
            self._writer = _sqlite(self.url, pool_size=1, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite(self.url, pool_size=8, begin="BEGIN")
        else:
            self._turn = _no_turn
            self._writer = sa.create_engine(
                _with_psycopg(self.url), pool_size=8, max_overflow=8, json_deserializer=from_json
            )
            # READ COMMITTED, the default, looks anew with every statement.
            self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def write(self, *, first: bool = False) -> Iterator[Tx]:
        """One transaction that may write; commits at the end, rolls back on an exception.

        `first`: a machine's firmware waits for it, so on SQLite others that wait let it pass.
        """
        with self._turn(first=first), self._writer.begin() as tx:
            notices.begin(tx)
            with demands.met(tx):
                yield tx
            told = notices.told(tx)
            if told and not self.is_sqlite:
                notices.send(tx, self._house, told)
        if told:
            for listener in tuple(self._listeners):
                listener(told)

    async def written(
        self, what: Callable[Concatenate["Store", _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """What `what(self, ...)` returns, in one of few threads for what machines tell.

        That is all writing: in a storm more threads than take turns anyhow only stand in each
        other's way (p99 of the boot answer 290 ms with 24, else 210), and who asks something finds
        no thread left.
        """
        work = partial(what, self, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._writers, work)

    def hear(self, listener: notices.Listener) -> Callable[[], None]:
        """Call `listener`, in any thread, with what each commit told; returns what ends that."""
        self._listeners.append(listener)
        if self.is_sqlite:
            return lambda: self._listeners.remove(listener)
        url = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        ear = notices.Ear(url, self._house, listener)
        ear.start()

        def end() -> None:
            self._listeners.remove(listener)
            ear.stop()

        return end

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """One consistent look."""
        with self._reader.connect() as tx:
            yield tx

    def one_at_a_time(self, tx: Tx) -> None:
        """Serialise what must not happen twice at once; SQLite's one writer already does."""
        if not self.is_sqlite:
            tx.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _IDENTITY_LOCK})

    def migrate(self) -> None:
        """Bring the tables to this version; raises CannotOpen when the database is unusable."""
        try:
            with self._writer.begin() as tx:
                self.one_at_a_time(tx)
                config = alembic_config()
                config.attributes["connection"] = tx
                command.upgrade(config, "head")
        except sa.exc.DBAPIError as error:
            raise CannotOpen(
                f"cannot use the database {self.url.render_as_string()}: {error.orig};"
                " is the server running and the folder writable?"
            ) from error
        except CommandError as error:
            raise CannotOpen(
                f"cannot use the database {self.url.render_as_string()}: its tables are of another"
                f" version of muster ({error}); use that version or restore a backup"
            ) from error

    def check(self) -> None:
        """Raises CannotOpen when the database does not answer."""
        try:
            with self.read() as tx:
                tx.execute(sa.text("SELECT 1"))
        except sa.exc.SQLAlchemyError as error:
            raise CannotOpen(f"the database does not answer: {error}") from error

    def close(self) -> None:
        """Give every connection back."""
        self._writers.shutdown()
        self._writer.dispose()
        self._reader.dispose()


def alembic_config() -> Config:
    """Alembic's settings; the connection comes in `attributes`, no ini file is needed."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _with_psycopg(url: sa.URL) -> sa.URL:
    """`postgresql://` as people write it means psycopg 3 here, not SQLAlchemy's default driver."""
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def from_json(text: str | bytes, decoder: msgspec.json.Decoder[Any] = _PLAIN) -> Any:
    """In half of json's time, a third of what a machine costs a list; json knows NaN as well."""
    try:
        return decoder.decode(text)
    except msgspec.MsgspecError:
        return json.loads(text)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to WAL. A new database is switched once, by one of the servers that start together.

    SQLite does not wait for its time-out here: who finds the lock taken is told so at once, as
    waiting with a shared lock in hand could be a deadlock (sqlite3_busy_handler).
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _sqlite(url: sa.URL, *, pool_size: int, begin: str) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.pool.QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=30,
        json_deserializer=from_json,
        connect_args={"check_same_thread": False, "timeout": _PATIENCE, "isolation_level": None},
    )

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        _write_ahead(connection)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
