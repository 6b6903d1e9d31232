"""Simulated BMCs on loopback, polled and switched by the server's own loops: JSON on the last line.

    python -m tests.bench.power [--redfish 1000,5000] [--ipmi 1000,5000] [--on 1000] [--one-login]

30 ms latency, 2 % dead; each BMC has an address and a password of its own (--one-login: all IPMI
ones the same). The BMCs are another process on the same cores: `cpu_ms` is the server's (and its
programs') a poll; `live_p99_s`: so long after the beginning 99 of 100 live ones had been seen. What
else was seen is on stderr.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from tests.power.certificates import Authority
from tests.power.ipmi_bmc import IpmiBmc, listen

from muster.lifecycle import polling, power, secrets
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.policy import Policy
from muster.machine.states import State
from muster.power import drivers
from muster.store import machines
from muster.store.engine import Store
from muster.store.machines import Machine
from muster.store.schema import power_goals
from muster.store.schema import power_states as states_table

LATENCY_S = 0.03
DEAD = 50  # One of so many.
ONE_LOGIN = "--one-login"
PORT = 8443
SYSTEM = "/redfish/v1/Systems/1"


def address(number: int) -> str:
    return f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"


def dead(number: int) -> bool:
    return number % DEAD == DEAD - 1


def now() -> datetime:
    return datetime.now(UTC)


def limit_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class RedfishBmc(asyncio.Protocol):
    """A BMC in a few lines: a web framework would cost more than what is measured."""

    silent: frozenset[str] = frozenset()
    on: ClassVar[set[str]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host = transport.get_extra_info("sockname")[0]
        self._heard = b""

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, end, body = self._heard.partition(b"\r\n\r\n")
        found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if not end or len(body) < int(found[1] if found else 0):
            return
        self._heard = b""
        if self._host not in self.silent:
            loop = asyncio.get_running_loop()
            method, path, _ = head.split(b" ", 2)
            loop.call_later(LATENCY_S, self._answer, method, path, body)

    def _answer(self, method: bytes, path: bytes, body: bytes) -> None:
        if b"/Sessions" in path and method == b"POST":
            self._transport.write(
                b"HTTP/1.1 201 Created\r\nX-Auth-Token: token\r\n"
                b"Location: /redfish/v1/SessionService/Sessions/1\r\nContent-Length: 0\r\n\r\n"
            )
            return
        if method != b"GET":
            if method == b"POST":
                (self.on.add if b'"On"' in body else self.on.discard)(self._host)
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return
        said = {"PowerState": "On" if self._host in self.on else "Off", "Status": {"Health": "OK"}}
        told = json.dumps(said).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(told) + told)


def password(number: int) -> str:
    return "hush" if ONE_LOGIN in sys.argv else f"hush{number}"


def play_redfish(count: int, folder: str, ready: Event) -> None:
    """Any number of BMCs behind one listener, told apart by their address."""
    limit_files()
    tls, fingerprint = Authority(Path(folder)).context(self_signed=True)
    (Path(folder) / "fingerprint").write_text(fingerprint)
    RedfishBmc.silent = frozenset(address(number) for number in range(count) if dead(number))

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_server(RedfishBmc, "0.0.0.0", PORT, ssl=tls, backlog=4096)
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(serve())


def play_ipmi(count: int, _: str, ready: Event) -> None:
    limit_files()

    async def serve() -> None:
        for number in range(count):
            known = password(number)
            bmc = IpmiBmc(password=known, answers=not dead(number), delay_s=LATENCY_S)
            await listen(bmc, address(number), 623)
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(serve())


@contextlib.contextmanager
def playing(work: Any, count: int, folder: str) -> Any:
    ready = multiprocessing.Event()
    process = multiprocessing.Process(target=work, args=(count, folder, ready), daemon=True)
    process.start()
    assert ready.wait(60)
    assert process.pid is not None
    yield process.pid
    process.kill()
    process.join()


def rack(folder: Path, driver: str, count: int) -> power.Switchboard:
    """A store with so many machines, their passwords sealed."""
    store = Store(f"sqlite:///{folder}/bench.db")
    store.migrate()
    keyring = Keyring(folder / "secrets.key")
    keyring.create()
    with store.write() as tx:
        for number in range(count):
            given = {"power_address": address(number), "power_user": "maas"}
            given["power_pass"] = password(number)
            if driver == "redfish":
                given["power_address"] += f":{PORT}"
                pin = (folder / "fingerprint").read_text()
                given |= {"node_id": "1", "tls_fingerprint": pin}
            else:
                given["cipher_suite_id"] = "17"
            plain, secret = drivers.split(driver, drivers.check(driver, given))
            add(tx, keyring, number, driver, plain, secret)
    return power.Switchboard(store, keyring, Policy(poll_s=3600), now)


def add(
    tx: sa.Connection,
    keyring: Keyring,
    number: int,
    driver: str,
    plain: dict[str, str],
    secret: dict[str, str],
) -> None:
    key = secrets.new_id(12)
    empty = dict.fromkeys(
        ("state_reason", "uuid", "serial", "vendor", "product", "architecture", "firmware"), ""
    )
    machine = Machine(
        id=key,
        name=f"m{number}",
        state=State.NEW,
        **empty,
        permitted=True,
        denied_reason="",
        surveyed_at=None,
        summary={},
        power_driver=driver,
        power_parameters=plain,
        created_at=now(),
        updated_at=now(),
        power_secret=keyring.seal(secret, of=key),
        bmc=plain["power_address"],
    )
    machines.add(tx, machine)


async def sweep(board: power.Switchboard, count: int, bmcs: int) -> dict[str, float]:
    """Poll until every live machine was seen once; `bmcs` is the process that plays them."""
    live = sum(not dead(number) for number in range(count))
    began, used, played = now(), cpu_s(), cpu_of(bmcs)
    working = asyncio.create_task(polling.work(board))
    while True:
        await asyncio.sleep(0.1)
        with board.store.read() as tx:
            seen = [t for (t,) in tx.execute(sa.select(states_table.c.seen_at)) if t]
        if len(seen) == live or now() - began > timedelta(minutes=10):
            break
    took = (now() - began).total_seconds()
    working.cancel()
    await asyncio.wait([working])
    # After the end, as only a program that has ended is counted.
    used, played = cpu_s() - used, cpu_of(bmcs) - played
    waited = sorted((t - began).total_seconds() for t in seen)
    theirs = round(1000 * played / max(1, len(seen)), 2)
    print(f"{count}: {len(seen)} of {live} live seen, BMCs {theirs} ms CPU each", file=sys.stderr)
    return {
        "sweep_s": round(took, 1) if len(seen) == live else -1,
        "cpu_ms": round(1000 * used / max(1, len(seen)), 2),
        "live_p99_s": round(waited[int(len(waited) * 0.99) - 1], 1) if waited else -1,
    }


def cpu_s() -> float:
    """This process and the programs it ran."""
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


def cpu_of(process: int) -> float:
    """What another process has used, in seconds (proc(5), /proc/PID/stat)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def switch_on(board: power.Switchboard, count: int, _: int) -> float:
    """Seconds until every live machine was asked, switched and seen on."""
    began = time.monotonic()
    with board.store.write() as tx:
        for machine in machines.some(tx, limit=count):
            power.want(tx, board.policy, machine, "on", now(), why="bench", boot_device="pxe")
    working = asyncio.create_task(power.work(board))
    live = sum(not dead(number) for number in range(count))
    reached = 0
    while reached < live and time.monotonic() - began < 300:
        await asyncio.sleep(0.1)
        with board.store.read() as tx:
            where = power_goals.c.status == "reached"
            query = sa.select(sa.func.count()).select_from(power_goals).where(where)
            reached = tx.execute(query).scalar_one()
    working.cancel()
    await asyncio.wait([working])
    return round(time.monotonic() - began, 1) if reached == live else -1


def run(driver: str, count: int, *, on: bool = False) -> Any:
    work = play_redfish if driver == "redfish" else play_ipmi
    with tempfile.TemporaryDirectory() as name, playing(work, count, name) as bmcs:
        board = rack(Path(name), driver, count)
        try:
            return asyncio.run((switch_on if on else sweep)(board, count, bmcs))
        finally:
            board.store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redfish", default="1000,5000")
    parser.add_argument("--ipmi", default="1000,5000")
    parser.add_argument("--on", type=int, default=1000)
    parser.add_argument(ONE_LOGIN, action="store_true")
    chosen = parser.parse_args()
    limit_files()
    found: dict[str, Any] = {}
    for driver in ("redfish", "ipmi"):
        counts = [int(count) for count in getattr(chosen, driver).split(",") if count]
        found[driver] = {str(count): run(driver, count) for count in counts}
    if chosen.on:
        found[f"power_on_{chosen.on}_s"] = run("redfish", chosen.on, on=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
