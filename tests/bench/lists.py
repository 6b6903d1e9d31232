"""Lists of up to 100,000 machines over HTTP: JSON on the last line (ms; p50, and p99 beside it).

    python -m tests.bench.lists [--sizes 1000,10000,100000] [--engines sqlite,postgresql]

Every machine has its document of about 60 KB, facts, traits and MACs. They are loaded through the
store's own code; what the first machine of each model read takes a moment is not done again for
the others. The server is a process of its own. `filter_ms` finds five machines at any size,
`filter_share_ms` one in 1,999, so that its answer grows with the fleet. `ingest_cpu_ms` is
lifecycle's reading of one document into the record, on SQLite.
"""

import argparse
import functools
import http.client
import json
import statistics
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import zstandard
from tests.conftest import Cluster, installed_clusters
from tests.server.process import served

from muster.lab import fleet
from muster.lifecycle import secrets, survey
from muster.machine import facts as facts_of
from muster.machine.states import State
from muster.machine.traits import COVERED
from muster.machine.traits import traits as traits_of
from muster.store import people, runs, traits
from muster.store.engine import Store, Tx
from muster.store.schema import documents, hardware, machines, macs
from muster.wire.resources import read_document, summary

BATCH = 500
KEY = "muster_bench"
STATES = (State.READY, State.READY, State.READY, State.NEW, State.FAILED_TESTING, State.IN_USE)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Reading:
    """Facts and summary of a machine, from those of the first one of its model."""

    def __init__(self) -> None:
        self._known: dict[fleet.Model, tuple[fleet.Identity, str]] = {}

    def of(self, number: int, document: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
        model, who = fleet.model(number), fleet.identity(number)
        if model not in self._known:
            read = read_document(document)
            both = json.dumps([facts_of.read(read), asdict(summary(read))])
            self._known[model] = (who, both)
        first, text = self._known[model]
        for old, new in ((first.serial, who.serial), (first.uuid, who.uuid),
                         (first.macs[0][:14], who.macs[0][:14])):  # fmt: skip
            text = text.replace(old, new)
        facts, short = json.loads(text)
        return facts, short


def load(store: Store, start: int, end: int) -> None:
    """Machines `start` to `end`, in transactions of BATCH."""
    reading, press = Reading(), zstandard.ZstdCompressor(level=3)
    for first in range(start, end, BATCH):
        rows: dict[sa.Table, list[dict[str, Any]]] = {
            table: [] for table in (machines, macs, hardware, documents)
        }
        linked = []
        for number in range(first, min(first + BATCH, end)):
            body = fleet.document(number)
            facts, short = reading.of(number, body)
            row = machine(number, short)
            own = fleet.identity(number).macs
            rows[machines].append(row)
            rows[macs] += [{"mac": mac, "machine_id": row["id"], "name": ""} for mac in own]
            rows[hardware].append({"machine_id": row["id"], "facts": facts})
            rows[documents].append({"machine_id": row["id"], "result_id": 0, "taken_at": NOW,
                                    "sha256": "", "body": press.compress(body)})  # fmt: skip
            whole = {**row, "macs": list(own), "hardware": facts}
            linked += [(row["id"], trait) for trait in traits_of(whole, COVERED)]
        with store.write() as tx:
            for table, values in rows.items():
                tx.execute(table.insert(), values)
            traits.link(tx, linked)


def machine(number: int, short: dict[str, Any]) -> dict[str, Any]:
    who, model = fleet.identity(number), fleet.model(number)
    at = NOW + timedelta(seconds=number)
    return {
        "id": secrets.new_id(8), "name": f"node-{number:06d}", "uuid": who.uuid,
        "state": STATES[number % len(STATES)], "state_reason": "simulated",
        "serial": who.serial, "vendor": model.vendor, "product": model.product,
        "architecture": "x86_64", "firmware": "uefi", "permitted": True, "surveyed_at": at,
        "summary": short, "created_at": at, "updated_at": at, "traits_version": traits.VERSION,
    }  # fmt: skip


def add_key(store: Store) -> None:
    with store.write() as tx:
        people.add_user(tx, "bench", role="viewer", password_hash="-", now=NOW)
        user = people.user_named(tx, "bench")
        assert user is not None
        people.add_key(tx, user.id, name="bench", key_hash=secrets.digest(KEY), now=NOW)


class Asker:
    """One connection to the server."""

    def __init__(self, port: int) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", port)

    def ask(self, path: str, **query: str) -> Any:
        text = f"/api/v1{path}?{urllib.parse.urlencode(query)}"
        self._line.request("GET", text, headers={"Authorization": f"Bearer {KEY}"})
        answer = self._line.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return json.loads(body)


def questions(asker: Asker, count: int) -> dict[str, Callable[[], Any]]:
    """Each asks and checks that the answer is right."""
    seen = iter(range(10**9))

    def page() -> None:
        assert len(asker.ask("/machines", limit="100")["items"]) == 100

    def condition() -> None:
        found = asker.ask(
            "/machines", filter='memory >= 1TiB and any(nic.product has "ConnectX-7")'
        )
        assert len(found["items"]) == len(fleet.TRIALS), len(found["items"])

    def share() -> None:
        found = asker.ask("/machines", filter='memory >= 1TiB and any(gpu.product has "A100")')
        assert len(found["items"]) == min(100, count // fleet.RARE_EVERY), len(found["items"])

    def search() -> None:
        number = next(seen) * 7919 % count
        found = asker.ask("/machines", search=f"sim{number:07d}")
        assert [m["name"] for m in found["items"]] == [f"node-{number:06d}"]

    def states() -> None:
        assert asker.ask("/counts")["total"] == count

    def one() -> None:
        number = next(seen) * 7919 % count
        assert asker.ask(f"/machines/node-{number:06d}")["serial"] == f"SIM{number:07d}"

    return {"page_ms": page, "filter_ms": condition, "filter_share_ms": share,
            "search_ms": search, "count_ms": states, "one_ms": one}  # fmt: skip


def timed(asks: int, question: Callable[[], Any]) -> list[float]:
    """(p50, p99) in ms; the first three answers are not counted."""
    took = []
    for _ in range(asks + 3):
        began = time.perf_counter()
        question()
        took.append((time.perf_counter() - began) * 1000)
    took = sorted(took[3:])
    return [statistics.median(took), took[min(len(took) - 1, int(len(took) * 0.99))]]


@contextmanager
def database(engine: str, folder: str) -> Iterator[str]:
    if engine == "sqlite":
        yield f"sqlite:///{folder}/lists.db"
        return
    cluster = Cluster(installed_clusters()[-1], shared_buffers="128MB", autovacuum="on")
    try:
        yield cluster.create("lists")
    finally:
        cluster.stop()


def measure(engine: str, sizes: list[int], asks: int) -> dict[str, Any]:
    told: dict[str, Any] = {}
    with served_store(engine) as (store, port):
        for before, size in zip([0, *sizes], sizes, strict=False):
            began = time.perf_counter()
            load(store, before, size)
            if engine == "postgresql":
                # What autovacuum does within its minute.
                with store.write() as tx:
                    tx.execute(sa.text("ANALYZE"))
            took = time.perf_counter() - began
            told[str(size)] = ask_all(Asker(port), size, asks)
            print(f"{engine}: {size} (loaded in {took:.0f} s): {told[str(size)]}", file=sys.stderr)
    return told


@contextmanager
def served_store(engine: str) -> Iterator[tuple[Store, int]]:
    """An empty store, and the port of a server process that uses it."""
    with (
        tempfile.TemporaryDirectory(prefix="muster-bench-") as folder,
        database(engine, folder) as url,
    ):
        store = Store(url)
        store.migrate()
        add_key(store)
        words = ("--database", url, "--listen", "127.0.0.1:0")
        with served(Path(folder) / "data", *words) as server:
            yield store, int(server.url.rpartition(":")[2])
        store.close()


def ask_all(asker: Asker, size: int, asks: int) -> dict[str, float]:
    found = {}
    for name, question in questions(asker, size).items():
        p50, p99 = timed(asks, question)
        found[name] = round(p50, 1)
        found[name.replace("_ms", "_p99_ms")] = round(p99, 1)
    return found


def output_of(tx: Tx, result: int, stream: str) -> bytes:
    return runs.output(tx, result, stream=stream)


def ingest_cpu_ms(count: int = 60) -> float:
    """CPU of this process for one document, from its raw bytes to the committed record."""
    took = []
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        store = Store(f"sqlite:///{folder}/ingest.db")
        store.migrate()
        load(store, 0, count)
        for number in range(count):
            with store.write() as tx:
                name = f"node-{number:06d}"
                query = sa.select(machines.c.id).where(machines.c.name == name)
                owner = tx.execute(query).scalar_one()
                run = runs.add(tx, machine_id=owner, mode="enlist", state="running",
                               reason="", options={}, requested_by="", created_at=NOW)  # fmt: skip
                what = {"name": survey.RESOURCES, "script_type": "commissioning", "sha256": ""}
                result = runs.add_result(tx, run_id=run, position=0, spec={}, **what)
                # Another machine's document: everything about this one changes.
                runs.append_output(tx, [(result, "stdout", fleet.document(number + count))])
            began = time.process_time()
            with store.write() as tx:
                found = runs.find_result(tx, result)
                said = functools.partial(output_of, tx, result)
                told = survey.read(tx, runs.find(tx, run), found, said, NOW)
                assert told is None, told
            took.append((time.process_time() - began) * 1000)
        store.close()
    return round(statistics.median(took), 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--engines", default="sqlite,postgresql")
    parser.add_argument("--asks", type=int, default=60)
    given = parser.parse_args()
    sizes = sorted(int(size) for size in given.sizes.split(","))
    told: dict[str, Any] = {"ingest_cpu_ms": ingest_cpu_ms()}
    for engine in given.engines.split(","):
        told[engine] = measure(engine, sizes, given.asks)
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
