import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from muster.machine.manifest import Row
from muster.store import events, sharing
from muster.store.engine import CannotOpen, Store, alembic_config
from muster.store.schema import metadata
from muster.store.schema_record import expected_machines


@pytest.fixture
def empty(empty_url: str):
    store = Store(empty_url)
    yield store
    store.close()


def alembic(store: Store, verb, *words) -> None:
    with store.write() as tx:
        config = alembic_config()
        config.attributes["connection"] = tx
        verb(config, *words)


def tables(store: Store) -> set[str]:
    with store.read() as tx:
        return set(sa.inspect(tx).get_table_names())


def test_the_migrations_make_exactly_the_tables_of_schema_py(empty: Store) -> None:
    empty.migrate()
    with empty.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_alembic_check_finds_nothing_to_do(empty: Store) -> None:
    empty.migrate()
    alembic(empty, command.check)
    assert tables(empty) == {*metadata.tables, "alembic_version"}


def test_migrations_go_down_to_nothing_and_up_again(empty: Store) -> None:
    empty.migrate()
    alembic(empty, command.downgrade, "base")
    assert tables(empty) == {"alembic_version"}
    empty.migrate()
    assert tables(empty) == {*metadata.tables, "alembic_version"}


def test_migrating_twice_changes_nothing(empty: Store, now: datetime) -> None:
    empty.migrate()
    with empty.write() as tx:
        events.add(tx, now, "test", "still here")
    empty.migrate()
    with empty.read() as tx:
        assert [event.message for event in events.some(tx)] == ["still here"]


def test_two_servers_that_start_at_once_migrate_once(empty_url: str, together) -> None:
    stores = [Store(empty_url), Store(empty_url)]
    together(*(store.migrate for store in stores))
    assert tables(stores[0]) == {*metadata.tables, "alembic_version"}
    for store in stores:
        store.close()


def test_a_server_waits_while_another_makes_the_same_new_sqlite_file(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "new.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE first (a)")
    other.execute("BEGIN IMMEDIATE")
    store = Store(f"sqlite:///{tmp_path / 'new.db'}")
    with ThreadPoolExecutor(1) as pool:
        migrated = pool.submit(store.migrate)
        with pytest.raises(TimeoutError):
            migrated.result(timeout=0.05)
        other.execute("COMMIT")
        migrated.result(timeout=20)
    assert set(metadata.tables) < tables(store)
    other.close()
    store.close()


def test_a_transaction_that_fails_leaves_nothing(store: Store, now: datetime) -> None:
    def fail() -> None:
        with store.write() as tx:
            events.add(tx, now, "test", "never")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.read() as tx:
        assert events.some(tx) == []


def test_times_come_back_aware_and_in_utc(store: Store) -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    with store.write() as tx:
        events.add(tx, datetime(2026, 3, 1, 17, 30, 0, 123456, tzinfo=east), "test", "")
    with store.read() as tx:
        (event,) = events.some(tx)
    assert event.at == datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert event.at.tzinfo is UTC


def test_a_look_does_not_change_while_others_write(store: Store, now: datetime) -> None:
    with store.read() as look:
        assert events.some(look) == []
        with store.write() as tx:
            events.add(tx, now, "test", "meanwhile")
        assert events.some(look) == []
    with store.read() as look:
        assert len(events.some(look)) == 1


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(CannotOpen, match=r"^database URL 'nonsense' cannot be read: "):
        Store("nonsense")


@pytest.mark.parametrize("url", ["mysql://user:secret@host/muster", "foo://bar"])
def test_a_database_that_muster_does_not_know_is_refused_by_name(url: str) -> None:
    kind = url.partition(":")[0]
    expected = f"database URL: no support for {kind!r}; write sqlite:///FILE or postgresql://..."
    with pytest.raises(CannotOpen) as refusal:
        Store(url)
    assert str(refusal.value) == expected


def test_a_folder_that_is_not_there_is_named_with_the_remedy(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/no/muster.db")
    with pytest.raises(CannotOpen) as refusal:
        store.migrate()
    assert str(refusal.value) == (
        f"cannot use the database sqlite:///{tmp_path}/no/muster.db: unable to open database file;"
        " is the server running and the folder writable?"
    )


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "muster.db").write_bytes(b"this is a text, not a database\n" * 200)
    store = Store(f"sqlite:///{tmp_path}/muster.db")
    with pytest.raises(CannotOpen, match="file is not a database"):
        store.migrate()


def test_a_server_that_does_not_answer_is_named_without_the_password(tmp_path: Path) -> None:
    store = Store(f"postgresql://muster:hush@/muster?host={tmp_path}")
    with pytest.raises(CannotOpen) as refusal:
        store.migrate()
    assert "is the server running" in str(refusal.value)
    assert "hush" not in str(refusal.value)


def test_tables_of_a_newer_muster_are_left_alone(empty: Store) -> None:
    empty.migrate()
    with empty.write() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CannotOpen) as refusal:
        empty.migrate()
    assert str(refusal.value).endswith(
        "its tables are of another version of muster (Can't locate revision identified by '9999');"
        " use that version or restore a backup"
    )


def test_rows_of_an_older_manifest_are_found_by_name_and_bmc_too(
    empty: Store, now: datetime
) -> None:
    alembic(empty, command.upgrade, "0021_choices")
    rows = [Row(name="web-1", serial="SN1", bmc="10.0.0.5"), Row(uuid=str(UUID(int=7)))]
    values = [{"key": row.key, "row": row.plain(), "updated_by": "", "updated_at": now,
               "rack": ""} for row in rows]  # fmt: skip
    with empty.write() as tx:
        tx.execute(expected_machines.insert(), values)
    empty.migrate()
    with empty.read() as tx:
        for shown in ({"address": ["10.0.0.5"]}, {"name": ["web-1"]}):
            assert [kept.row for kept in sharing.wanted_by(tx, shown)] == rows[:1]
