"""Boot files as a socket gives them: the real server's HTTP, sendfile(2), real connections."""

import asyncio
import contextlib
import hashlib
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.api.desk import Desk
from tests.server.running import wait_for
from tests.server.shelf import stocked

from muster.images import manifest as manifests
from muster.images.library import Library
from muster.server.headers import Protocol
from muster.store.engine import Store

SIZE = 24 * 1024 * 1024 + 17


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """A squashfs that no socket's buffer holds."""
    library = stocked(tmp_path)
    large = tmp_path / "large"
    block = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(256))
    large.write_bytes((block * (SIZE // len(block) + 1))[:SIZE])
    image = library.in_use()
    files = {name: library.blob(entry.sha256) for name, entry in image.files.items()}
    files["squashfs"] = large
    image = replace(image, files={**image.files, "squashfs": manifests.describe(large)}).sealed()
    library.add(image, files)
    library.use(image.id)
    return library


@pytest.fixture
def desk(store: Store, clock: Any, library: Library) -> Iterator[Desk]:
    made = Desk(store, library, clock)
    with made.client:
        yield made


@pytest.fixture
def port(desk: Desk) -> Iterator[int]:
    """The application behind the server's own HTTP."""
    config = uvicorn.Config(
        desk.client.app, port=0, http=Protocol, log_config=None, lifespan="off", loop="asyncio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def content(library: Library) -> bytes:
    return library.blob(library.in_use().files["squashfs"].sha256).read_bytes()


@pytest.fixture
def path(library: Library) -> str:
    return f"/boot/files/{library.in_use().files['squashfs'].sha256}/squashfs"


def request(path: str, *more: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *more, "", ""]).encode()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split()[1]), headers, body


def test_many_fetch_the_whole_and_parts_on_kept_and_pipelined_connections(
    port: int, path: str, content: bytes
) -> None:
    async def machine(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begin = number * 100_003
        # Two at once on one connection: the second waits for the end of the first.
        writer.write(request(path) + request(path, f"Range: bytes={begin}-{begin + 70000}"))
        status, headers, body = await answer(reader)
        assert (status, headers["accept-ranges"], body == content) == (200, "bytes", True)
        status, headers, body = await answer(reader)
        assert (status, body == content[begin : begin + 70001]) == (206, True)
        assert headers["content-range"] == f"bytes {begin}-{begin + 70000}/{SIZE}"
        writer.write(request(path, "Range: bytes=-5", "Connection: close"))
        status, _, body = await answer(reader)
        assert (status, body, await reader.read()) == (206, content[-5:], b"")
        writer.close()

    async def all_of_them() -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*(machine(number) for number in range(8)))

    asyncio.run(all_of_them())


@pytest.mark.parametrize(
    ("method", "headers", "status", "length"),
    [
        ("HEAD", (), 200, SIZE),
        ("GET", ("Range: bytes=1-2, 5-6",), 206, None),
        ("GET", (f"Range: bytes={SIZE}-",), 416, None),
        ("GET", ("Range: bytes=9-10", 'If-Range: "another"'), 200, SIZE),
        ("GET", ("Range: bytes=9-10", "If-Range: ETAG"), 206, 2),
        ("GET", ("If-None-Match: ETAG",), 304, None),
        ("GET", ('If-None-Match: "another", W/ETAG',), 304, None),
        ("GET", ('If-None-Match: "another"',), 200, SIZE),
    ],
)
def test_ranges_and_conditions_are_answered_by_their_book(
    port: int, path: str, method: str, headers: tuple[str, ...], status: int, length: int | None
) -> None:
    etag = f'"{path.split("/")[3]}"'
    lines = [line.replace("ETAG", etag) for line in headers]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(request(path, *lines, "Connection: close", method=method))
        got = b"".join(iter(lambda: link.recv(1 << 20), b""))
    head, _, body = got.partition(b"\r\n\r\n")
    assert f" {status} ".encode() in head.split(b"\r\n")[0]
    if length is not None:
        assert f"\r\nContent-Length: {length}\r\n".encode() in head
        assert len(body) == (0 if method == "HEAD" else length)


def test_a_machine_that_goes_away_is_told_on_its_timeline_and_hinders_nobody(
    desk: Desk, port: int, path: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    desk.boot()
    boot = desk.get("/boots")[0]["id"]
    caplog.set_level(logging.ERROR)
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as link:
        link.sendall(request(f"{path}?boot={boot}"))
        link.recv(1000)

    def told() -> list[str]:
        timeline = desk.get(f"/boots/{boot}")["timeline"]
        return [m["detail"] for m in timeline if m["status"] == "failed"]

    (detail,) = wait_for(told)
    assert detail.startswith("squashfs broken off: ")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(request(path, "Connection: close"))
        got = b"".join(iter(lambda: link.recv(1 << 20), b""))
    assert got.endswith(content)


def test_a_file_that_shrank_on_disk_ends_the_connection_early(
    port: int, path: str, library: Library
) -> None:
    blob = library.blob(library.in_use().files["squashfs"].sha256)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(request(path))
        head = link.recv(200)
        blob.chmod(0o644)
        with blob.open("r+b") as file:
            file.truncate(SIZE // 2)
        got = len(head) + sum(len(part) for part in iter(lambda: link.recv(1 << 20), b""))
    assert got < SIZE
