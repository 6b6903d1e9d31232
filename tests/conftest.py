"""Fixtures of every room: a store on each engine, a fixed time, a recorded machine's hello."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from hypothesis import settings

from muster.agent.evidence import evidence
from muster.lifecycle import people
from muster.lifecycle.policy import Policy
from muster.store.engine import Store
from muster.store.schema import metadata
from muster.wire.hello import Evidence, Hello, Nic

sys.path.insert(0, str(Path(__file__).parent / "machines"))

import trees

# The inner loop looks at a few examples; 'make test' asks for the thorough profile as well.
settings.register_profile("quick", max_examples=30, deadline=None)
settings.register_profile("thorough", max_examples=150, deadline=None)
settings.load_profile("quick")

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class Clock:
    """A time that moves only when a test says so; call it to read it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def together() -> Callable[..., list[Any]]:
    """Call functions at the same time, each in its thread; returns what they return."""

    def run(*works: Callable[[], Any]) -> list[Any]:
        gate = Barrier(len(works))

        def begin(work: Callable[[], Any]) -> Any:
            gate.wait(timeout=10)
            return work()

        with ThreadPoolExecutor(len(works)) as pool:
            return [doing.result(timeout=30) for doing in [pool.submit(begin, w) for w in works]]

    return run


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords hashed in 1 ms: the real cost is 0.15 s and 64 MiB each."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(people, "_hasher", hasher)
    monkeypatch.setattr(people, "_NOBODY", hasher.hash("nobody"))


@pytest.fixture
def policy() -> Policy:
    return Policy()


class Cluster:
    """A private PostgreSQL on a unix socket only; nothing of it survives the session."""

    def __init__(self, programs: Path, **more: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="muster-pg-"))
        # PostgreSQL refuses to run as root; apt made the user postgres with it.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, self._user)
        data = self.folder / "data"
        initdb = [programs / "initdb", "-D", data, "-A", "trust", "-U", "muster"]
        locale = ["--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run([*initdb, *locale], check=True, capture_output=True, **self._as_user())
        settings = {
            "listen_addresses": "",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "autovacuum": "off",
            "shared_buffers": "16MB",
            "log_min_messages": "log",
            "log_checkpoints": "off",
            **more,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", self.folder, *options],
            stderr=subprocess.PIPE,
            text=True,
            **self._as_user(),
        )
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if "ready to accept connections" in line:
                return
        raise RuntimeError(f"PostgreSQL did not start: {''.join(said)}")

    def _as_user(self) -> dict:
        return {"user": self._user, "cwd": self.folder} if self._user else {"cwd": self.folder}

    def url(self, database: str) -> str:
        return f"postgresql://muster@/{database}?host={self.folder}"

    def create(self, database: str) -> str:
        """A new empty database; returns its URL."""
        admin = sa.create_engine(
            self.url("postgres").replace("postgresql:", "postgresql+psycopg:"),
            isolation_level="AUTOCOMMIT",
        )
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            connection.exec_driver_sql(f"CREATE DATABASE {database}")
        admin.dispose()
        return self.url(database)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=20)
        shutil.rmtree(self.folder)


def installed_clusters() -> list[Path]:
    """The folders of PostgreSQL's programs, oldest version first."""
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return sorted(found, key=lambda path: int(path.parent.name))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    found = installed_clusters()
    if not found:
        reason = "PostgreSQL is not installed (apt-get install postgresql)"
        if "postgresql" in os.environ.get("MUSTER_TEST_REQUIRE", ""):
            pytest.fail(f"MUSTER_TEST_REQUIRE names postgresql, but {reason}")
        pytest.skip(reason)
    running = Cluster(found[-1])
    yield running
    running.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The inner loop asks PostgreSQL about the store alone; 'make test' runs all tests on both."""
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if params.get("engine") == "postgresql" and item.path.parent.name != "store":
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """Every test that uses a database runs once on each of these."""
    return request.param


@pytest.fixture
def empty_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if engine == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    return request.getfixturevalue("cluster").create("empty")


def migrated(url: str) -> Iterator[Store]:
    store = Store(url)
    store.migrate()
    yield store
    store.close()


@pytest.fixture(scope="session")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    yield from migrated(f"sqlite:///{tmp_path_factory.mktemp('store')}/muster.db")


@pytest.fixture(scope="session")
def postgresql_store(cluster: Cluster) -> Iterator[Store]:
    yield from migrated(cluster.create("muster"))


@pytest.fixture
def store(engine: str, request: pytest.FixtureRequest) -> Store:
    """An empty, migrated store, opened once a session: a new one costs each test 40 ms."""
    opened: Store = request.getfixturevalue(f"{engine}_store")
    with opened.write() as tx:
        # What hangs on machines and boots goes with them.
        for table in (
            *("machines", "boots", "events", "users"),
            *("scripts", "script_contents", "bmc_leases", "stays"),
            *("tags", "tag_choices"),
            "hosts",
            *(
                "clashes",
                "ignored_evidence",
                "rules",
                "rule_passes",
                "profiles",
                "expected_machines",
            ),
        ):
            tx.execute(metadata.tables[table].delete())
    return opened


@pytest.fixture(scope="session")
def recorded_root() -> Iterator[Path]:
    """The file tree of the recorded machine tests/machines/qemu-rich-guest."""
    with tempfile.TemporaryDirectory(prefix="muster-tree-") as folder:
        yield trees.load("qemu-rich-guest", Path(folder))


@pytest.fixture(scope="session")
def recorded_evidence(recorded_root: Path) -> Evidence:
    """What the agent says on it."""
    return evidence(recorded_root)


@pytest.fixture
def hello(recorded_evidence: Evidence) -> Callable[..., Hello]:
    """Hellos of the recorded machine: `hello(nonce)`; other words change message or evidence.

    `macs` is a short way to write NICs.
    """

    def build(nonce: str, *, key: str = "key-1", macs: list[str] | None = None, **words) -> Hello:
        parts = {
            name: words.pop(name)
            for name in ("uuid", "serial", "vendor", "product", "board_serial", "nics")
            if name in words
        }
        if macs is not None:
            parts["nics"] = [Nic(mac, f"eth{number}") for number, mac in enumerate(macs)]
        words = {"architecture": "x86_64", "firmware": "uefi", "agent_version": "1"} | words
        return Hello(replace(recorded_evidence, **parts), nonce=nonce, key=key, **words)

    return build
