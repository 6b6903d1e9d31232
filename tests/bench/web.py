"""The console under load; the last line is JSON. `make bench-web`.

A server process of its own with 100,000 machines; 500 streams with 100 events a second; a log of
10 MB in Chromium.
"""

import asyncio
import gzip
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import uvicorn
from tests.server.shelf import stocked
from tests.web.browsing import chromium

from muster.lab.launch import open_listener
from muster.lifecycle import secrets as made
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.policy import Policy
from muster.server.app import application
from muster.store import events, people, runs
from muster.store.engine import Store
from muster.store.schema import machines, macs

MACHINES = int(os.environ.get("BENCH_MACHINES", "100000"))
PAGES = 500
RATE = 100
SECONDS = 8
READ = 40
"""Streams whose every event is timed; the others are only read."""

STATES = ("New", "Ready", "Ready", "Ready", "Failed commissioning", "Testing")


def fill(store: Store) -> tuple[str, int]:
    """Machines, a session and a result of 10 MB; returns the session's key and the result."""
    now = datetime.now(UTC)
    names = [f"node-{number:06d}" for number in range(MACHINES)]
    key = made.new()
    summary = {"cpu_count": 64, "cores": 32, "sockets": 2, "cpu_model": "Xeon Gold 6346",
               "memory_bytes": 2**38, "disks": [{"name": "nvme0n1"}] * 4, "nics": []}  # fmt: skip
    common = {
        "vendor": "Dell Inc.",
        "product": "PowerEdge R750",
        "architecture": "x86_64",
        "firmware": "uefi",
        "permitted": True,
        "summary": summary,
        "created_at": now,
        "updated_at": now,
        "surveyed_at": now,
        "state_reason": "commissioning passed",
    }
    with store.write() as tx:
        for start in range(0, MACHINES, 5000):
            part = range(start, min(start + 5000, MACHINES))
            tx.execute(machines.insert(), [
                {"id": names[n], "name": names[n], "state": STATES[n % len(STATES)],
                 "serial": f"S{n:07d}", **common} for n in part])  # fmt: skip
            tx.execute(macs.insert(), [
                {"mac": mac_of(n + k * 2**24), "machine_id": names[n], "name": "eth0"}
                for n in part for k in (0, 1)])  # fmt: skip
        people.add_user(tx, "bench", role="admin", password_hash="-", now=now)
        user = people.find(tx, "bench")
        expires = now + timedelta(hours=1)
        people.add_key(tx, user.id, name="b", key_hash=made.digest(key), now=now, expires=expires)
        run = runs.add(tx, machine_id=names[0], mode="commission", state="passed", created_at=now)
        result = runs.add_result(tx, run_id=run, position=1, name="noisy", script_type="testing",
                                 sha256="0" * 64)  # fmt: skip
        line = b"\x1b[32mok\x1b[0m   test %07d of the memory at 0x00007f3a2c000000 passed\n"
        body = b"".join(line % number for number in range(170_000))[: 10 * 2**20]
        for start in range(0, len(body), 48 * 1024):
            runs.append_output(tx, [(result, "stdout", body[start : start + 48 * 1024])])
        runs.update_result(tx, result, state="passed", output_bytes=len(body))
    return key, result


def mac_of(number: int) -> str:
    """A different one for each number."""
    text = f"{number:012x}"
    return ":".join(text[place : place + 2] for place in range(0, 12, 2))


def serve(folder: Path) -> None:
    """The server; reads "go" on its standard input and then tells events for a while."""
    store = Store(f"sqlite:///{folder}/muster.db")
    store.migrate()
    key, result = fill(store)
    keyring = Keyring(folder / "secrets.key")
    keyring.create()
    listener = open_listener("127.0.0.1:0")
    app = application(store, Policy(), stocked(folder), keyring=keyring)
    print(json.dumps([key, result, listener.getsockname()[1]]), flush=True)
    threading.Thread(target=tell, args=(store,), daemon=True).start()
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listener])


def tell(store: Store) -> None:
    """`RATE` events a second; each message is the time at which it was committed to be told."""
    sys.stdin.readline()
    begin = time.monotonic()
    for number in range(RATE * SECONDS):
        time.sleep(max(0.0, begin + number / RATE - time.monotonic()))
        with store.write() as tx:
            events.add(tx, datetime.now(UTC), "bench", f"t{time.monotonic_ns()}t")


def pages(port: int, key: str) -> dict[str, float]:
    """The list: milliseconds of one request on an open connection, and what goes over the wire."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Cookie": f"muster={key}", "Accept-Encoding": "gzip"}
    times, body = [], b""
    for _ in range(40):
        began = time.perf_counter()
        connection.request("GET", "/machines", headers=headers)
        body = connection.getresponse().read()
        times.append((time.perf_counter() - began) * 1000)
    wire = len(body)
    for path in set(re.findall(r'(?:href|src)="(/assets/[^"]+)"', gzip.decompress(body).decode())):
        connection.request("GET", path, headers=headers)
        wire += len(connection.getresponse().read())
    return {"page_ms": round(statistics.median(times), 1), "page_kib": round(wire / 1024, 1)}


async def streams(port: int, key: str, server: subprocess.Popen[str]) -> dict[str, float]:
    """Opens the pages' streams, lets the server tell events, times their delivery."""
    before = resident(server.pid)
    found: list[float] = []
    counted = [0] * PAGES
    opened = asyncio.Semaphore(20)
    ready = asyncio.Event()
    waiting = [PAGES]

    async def watch(number: int) -> None:
        async with opened:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            request = (
                f"GET /api/v1/events/stream HTTP/1.1\r\nHost: x\r\nCookie: muster={key}\r\n\r\n"
            )
            writer.write(request.encode())
            await reader.readuntil(b"event: hello")
        waiting[0] -= 1
        if not waiting[0]:
            ready.set()
        while counted[number] < RATE * SECONDS:
            part = await reader.read(65536)
            now = time.monotonic_ns()
            stamps = re.findall(rb'"message": "t(\d+)t"', part)
            counted[number] += len(stamps)
            if number < READ:
                found.extend((now - int(stamp)) / 1e6 for stamp in stamps)
        writer.close()

    tasks = [asyncio.create_task(watch(number)) for number in range(PAGES)]
    await asyncio.wait_for(ready.wait(), 120)
    await asyncio.sleep(1)
    each = (resident(server.pid) - before) / PAGES
    assert server.stdin is not None
    server.stdin.write("go\n")
    server.stdin.flush()
    await asyncio.wait(tasks, timeout=SECONDS * 6)
    for task in tasks:
        task.cancel()
    whole = sum(count >= RATE * SECONDS for count in counted)
    print(f"{whole} of {PAGES} streams had every event; p50 {statistics.median(found):.0f} ms")
    p99 = statistics.quantiles(found, n=100)[98]
    return {"sse_p99_ms": round(p99, 1), "page_memory_kib": round(each, 1)}


def resident(process: int) -> float:
    """KiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return float(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]


def log_ms(port: int, key: str, result: int) -> float:
    """From the click to the first lines of a 10 MB log in the browser, the median of five."""
    times = []
    with chromium() as browser:
        context = browser.new_context()
        url = f"http://127.0.0.1:{port}"
        context.add_cookies([{"name": "muster", "value": key, "url": url}])
        page = context.new_page()
        page.goto(f"{url}/images")
        for _ in range(5):
            began = time.perf_counter()
            page.goto(f"{url}/results/{result}", wait_until="commit")
            page.wait_for_selector("text=test 0000003")
            times.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(times), 1)


def main() -> None:
    """One server process, three looks at it."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{secrets.token_hex(4)}-") as folder:
        command = [sys.executable, "-m", "tests.bench.web", folder]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            key, result, port = json.loads(server.stdout.readline())
            wait_for_door(port)
            try:
                figures: dict[str, Any] = pages(port, key)
                figures |= asyncio.run(streams(port, key, server))
                figures["log_first_screen_ms"] = log_ms(port, key, result)
            finally:
                server.terminate()
    print(json.dumps(figures))


def wait_for_door(port: int) -> None:
    """Until the server answers."""
    for _ in range(600):
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server does not answer")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(Path(sys.argv[1]))
    else:
        main()
