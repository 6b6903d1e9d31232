"""Whether a lab that holds its folder lives, or is just ending."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from muster.lab import folder as state
from muster.lab import launch
from muster.lab.errors import AlreadyUp

pytestmark = pytest.mark.usefixtures("able_host")


@contextmanager
def held(folder: Path, last_words: bytes) -> Iterator[None]:
    """A supervisor that listens and holds the lock; it ends once it was asked something."""
    state.make(folder)
    holder = subprocess.Popen(
        ["flock", "--no-fork", str(folder / state.LOCK), "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(b"locked\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == b"locked\n"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "control.sock"))
    listener.listen()

    def once() -> None:
        link, _ = listener.accept()
        with link:
            link.sendall(last_words)
            if not last_words:
                holder.kill()

    listening = threading.Thread(target=once)
    listening.start()
    try:
        yield
    finally:
        listening.join(5)
        listener.close()
        holder.kill()
        with holder:
            pass


def start(folder: Path) -> None:
    launch.start(name="test", folder=folder, machines=[], server=None, server_env={}, listen=None)


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of labs that were started, which none is here."""
    names: list[str] = []
    monkeypatch.setattr(launch, "_spawn", lambda plan, lock: names.append(plan.name))
    return names


def test_a_lab_that_was_killed_this_instant_and_still_listens_is_waited_for(
    short_folder: Path, spawned: list[str]
) -> None:
    with held(short_folder, last_words=b""):
        start(short_folder)
    assert spawned == ["test"]


def test_a_lab_that_answers_keeps_its_folder(short_folder: Path, spawned: list[str]) -> None:
    with held(short_folder, last_words=b"HTTP/1.0 200 OK\r\n"), pytest.raises(AlreadyUp):
        start(short_folder)
    assert spawned == []
