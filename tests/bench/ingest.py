"""Simulated machines enlist themselves with one server process: JSON on the last line.

    python -m tests.bench.ingest [--sizes 1000,10000] [--at-once 32] [--engine sqlite]

Generator and server share the same two processors (taskset). `lost` counts results, outputs and
documents that a machine was told were stored and that are not there as it sent them, byte for byte;
`doubled` those that are there more than once. Both are read from the database when all has ended.
`server_cpu_ms` and `generator_cpu_ms` are of one machine.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import zstandard
from tests.bench.lists import database
from tests.server.process import environment, served
from tests.server.shelf import stocked

from muster.lab import fleet
from muster.lifecycle import shelf
from muster.store import versions
from muster.store.engine import Store
from muster.store.schema import chunks, documents, machines, results, runs

CORES = {0, 1}


def wave(folder: Path, count: int, at_once: int, engine: str) -> dict[str, Any]:
    data = folder / "data"
    data.mkdir()
    stocked(data)
    (data / "shelf").rename(data / "images")
    with database(engine, str(folder)) as url:
        words = ("--database", url, "--listen", "127.0.0.1:0")
        with served(data, *words) as server:
            os.sched_setaffinity(server.process.pid, CORES)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            started = cpu_s(server.process.pid)
            done = subprocess.run(
                [sys.executable, "-m", "muster", "simulate", server.url, "--machines", str(count),
                 "--at-once", str(at_once)],
                env=environment(folder), capture_output=True, text=True,
            )  # fmt: skip
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert done.returncode == 0, done.stderr
            told = json.loads(done.stdout.splitlines()[-1])
            cpu = cpu_s(server.process.pid) - started
            peak = status_kib(server.process.pid, "VmHWM") / 1024
        store = Store(url)
        lost, doubled = compare(store, count)
        store.close()
    generator = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "per_min": told["per_min"],
        "lost": lost,
        "doubled": doubled,
        "p99_ms": told["p99_ms"],
        "server_cpu_ms": round(cpu * 1000 / count, 1),
        "peak_mib": round(peak),
        "generator_cpu_ms": round(generator * 1000 / count, 1),
        "repeated": told["repeated"],
    }


def cpu_s(pid: int) -> float:
    """User and system time, all threads (proc(5), stat)."""
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def status_kib(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def compare(store: Store, count: int) -> tuple[int, int]:
    """(lost, doubled), each machine by its serial number."""
    lost = doubled = 0
    with store.read() as tx:
        owed = [offer.script.name for offer in shelf.for_enlist(tx)]
        for number in range(count):
            query = sa.select(machines.c.id).where(machines.c.serial == f"SIM{number:07d}")
            ids = list(tx.execute(query).scalars())
            lost += not ids
            doubled += max(0, len(ids) - 1)
            for machine in ids[:1]:
                missing, more = compare_one(tx, machine, number, owed)
                lost += missing
                doubled += more
    return lost, doubled


def compare_one(tx: Any, machine: str, number: int, owed: list[str]) -> tuple[int, int]:
    ended = sa.select(runs.c.id).where(runs.c.machine_id == machine, runs.c.state == "passed")
    query = sa.select(results.c.id, results.c.name, results.c.state)
    rows = tx.execute(query.where(results.c.run_id.in_(ended))).all()
    said = outputs(tx, [row.id for row in rows])
    sent = {name: fleet.output(name, number) for name in owed}
    good = {row.name for row in rows if row.state == "passed" and said[row.id] == sent[row.name]}
    longer = sum(len(said[row.id]) > len(sent[row.name]) for row in rows)
    kept = tx.execute(sa.select(documents.c.id).where(documents.c.machine_id == machine)).all()
    newest = versions.some(tx, machine, limit=1)
    same = bool(newest) and versions.body(tx, newest[0]) == fleet.document(number)
    lost = len(set(owed) - good) + (not same)
    return lost, max(0, len(rows) - len(owed)) + longer + max(0, len(kept) - 1)


def outputs(tx: Any, ids: list[int]) -> dict[int, bytes]:
    """What is stored of each result, byte for byte."""
    query = sa.select(chunks.c.result_id, chunks.c.data).where(chunks.c.result_id.in_(ids))
    found, expand = dict.fromkeys(ids, b""), zstandard.ZstdDecompressor()
    for result, data in tx.execute(query.order_by(chunks.c.id)):
        found[result] += expand.decompress(data)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1000,10000")
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--engine", default="sqlite")
    given = parser.parse_args()
    os.sched_setaffinity(0, CORES & os.sched_getaffinity(0))
    told = {}
    for size in given.sizes.split(","):
        with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
            told[size] = wave(Path(folder), int(size), given.at_once, given.engine)
        print(f"{size}: {told[size]}", file=sys.stderr)
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
