"""Connections are cut at random and the server is killed in the middle: nothing is lost, nothing

is there twice, on both databases.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.bench.ingest import compare
from tests.server.process import Served
from tests.server.shelf import stocked

from muster.lab.simulate import Outcome, Wave, run
from muster.store.engine import Store

MACHINES = 24
KILLS = (6, 14)
"""Machines that are done when the server is killed."""


class Scissors:
    """A way to a server on which connections are cut, some before and some after the answer."""

    def __init__(self, to: int, seed: int) -> None:
        self._to = to
        self._random = random.Random(seed)
        self._open: set[asyncio.StreamWriter] = set()
        self.cut = 0

    @asynccontextmanager
    async def port(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
            for writer in self._open:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            inner, out = await asyncio.open_connection("127.0.0.1", self._to)
            self._open |= {writer, out}
            await asyncio.gather(self._pump(reader, out, writer), self._pump(inner, writer, out))
        writer.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, other: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(16384):
                if self._random.random() < 0.04:
                    self.cut += 1
                    # A part still gets through: half a request, or half an answer.
                    to.write(data[: self._random.randrange(len(data))])
                    break
                to.write(data)
                await to.drain()
        for writer in (to, other):
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def kill_and_restart(server: Served, outcome: Outcome, words: list[str]) -> Served:
    """At each of KILLS machines: kill -9, then the same server anew."""
    for done in KILLS:
        async with asyncio.timeout(120):
            while outcome.done < done:
                await asyncio.sleep(0.01)
        server.process.kill()
        server.process.wait()
        server = Served(server.folder, *words)
        await asyncio.to_thread(server.wait)
    return server


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_cut_connections_and_killed_servers_lose_and_double_nothing(
    store: Store, tmp_path: Path, seed: int
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    stocked(data)
    (data / "shelf").rename(data / "images")
    port = free_port()
    url = store.url.render_as_string(hide_password=False)
    words = ["--database", url, "--listen", f"127.0.0.1:{port}"]
    outcome = Outcome()

    async def all_of_it(server: Served) -> tuple[Served, int]:
        scissors = Scissors(port, seed)
        async with scissors.port() as way:
            wave = Wave(f"http://127.0.0.1:{way}", MACHINES, at_once=6)
            server, _ = await asyncio.gather(
                kill_and_restart(server, outcome, words), run(wave, outcome)
            )
        return server, scissors.cut

    server = Served(data, *words)
    try:
        server.wait()
        server, cut = asyncio.run(all_of_it(server))
    finally:
        server.process.kill()
        server.process.wait()
    assert (outcome.done, outcome.failures) == (MACHINES, [])
    assert cut >= 10
    assert outcome.repeated >= cut // 2
    assert compare(store, MACHINES) == (0, 0)
