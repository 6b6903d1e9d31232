"""Files on their way in a thread of their own; connections that are taken several at a time."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from tests.server.running import wait_for

from muster.server.sender import Sender
from muster.server.sockets import doors, listen

SIZE = 8 * 1024 * 1024


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours, which never blocks as a server's does not, and the machine's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def take(theirs: socket.socket, most: int = SIZE) -> bytes:
    got = b""
    while len(got) < most and (part := theirs.recv(1 << 20)):
        got += part
    return got


def copies(*descriptors: int) -> int:
    """How many descriptors of this process are of the same files and sockets.

    All that are open say nothing: what an earlier test forgot is closed whenever it is collected.
    """
    same = {(found.st_dev, found.st_ino) for found in map(os.fstat, descriptors)}
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found = os.fstat(int(name))
            count += (found.st_dev, found.st_ino) in same
    return count


def test_a_part_of_a_file_is_sent_and_no_descriptor_stays(
    file: int, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = ends
    sender = Sender()

    async def send() -> tuple[int, bytes]:
        taking = asyncio.create_task(asyncio.to_thread(take, theirs, SIZE - 10))
        return await sender.send(ours.fileno(), file, 10, SIZE - 10), await taking

    sent, got = asyncio.run(send())
    assert (sent, got) == (SIZE - 10, os.pread(file, SIZE, 10))
    assert copies(file, ours.fileno()) == 2


def test_a_file_that_is_shorter_than_it_was_tells_how_much_was_sent(
    file: int, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, _ = ends
    assert asyncio.run(Sender().send(ours.fileno(), file, SIZE - 100, 500)) == 100


def test_who_does_not_read_holds_up_nobody_and_can_be_given_up(
    file: int, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = ends
    sender = Sender()

    async def send() -> bytes:
        deaf = asyncio.create_task(sender.send(ours.fileno(), file, 0, SIZE))
        other, reading = socket.socketpair()
        other.setblocking(False)
        with other, reading:
            taking = asyncio.create_task(asyncio.to_thread(take, reading))
            assert await sender.send(other.fileno(), file, 0, SIZE) == SIZE
            got = await taking
        assert not deaf.done()
        assert copies(file, ours.fileno()) == 4
        deaf.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deaf
        return got

    got = asyncio.run(send())
    assert got == os.pread(file, SIZE, 0)
    assert len(take(theirs)) < SIZE
    wait_for(lambda: copies(file, ours.fileno()) == 2)


def test_who_has_gone_is_an_error_of_this_request_alone(file: int) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.close()
    with ours, pytest.raises(BrokenPipeError):
        asyncio.run(Sender().send(ours.fileno(), file, 0, SIZE))


def test_connections_that_wait_are_taken_several_in_one_turn_of_the_loop() -> None:
    """libuv takes one a descriptor: through one alone, 100 turns."""
    accepted = []

    class Guest(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(turns)
            transport.close()

    turns = 0

    async def busy() -> None:
        nonlocal turns
        loop = asyncio.get_running_loop()
        opened = doors([listen("127.0.0.1:0")])
        servers = [await loop.create_server(Guest, sock=door) for door in opened]
        address = opened[0].getsockname()
        guests = [socket.create_connection(address) for _ in range(100)]
        deadline = time.monotonic() + 10
        while len(accepted) < 100 and time.monotonic() < deadline:
            turns += 1
            await asyncio.sleep(0)
        for guest in guests:
            guest.close()
        for server in servers:
            server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(busy())
    assert len(accepted) == 100
    assert accepted[-1] - accepted[0] < 30
