"""A real server, a person who has signed in to it, and machines that enlisted themselves."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.api.desk import Desk
from tests.server.process import muster
from tests.server.running import LiveServer, live_server
from tests.server.shelf import stocked

from muster.lifecycle import people
from muster.server.app import utc_now
from muster.store.engine import Store


@pytest.fixture
def engine() -> str:
    """Nothing here is about the database: one engine will do."""
    return "sqlite"


class Person:
    """Types commands; `desk` is the machines' side of the same server."""

    def __init__(self, folder: Path, server: LiveServer, desk: Desk, password: str) -> None:
        self.folder = folder
        self.server = server
        self.desk = desk
        self.password = password

    def types(self, *words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return muster(self.folder, *words, stdin=stdin, **more)

    def gets(self, *words: str, **more: str) -> str:
        """What a command that succeeds prints."""
        done = self.types(*words, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def told_no(self, *words: str, **more: str) -> str:
        """What a command that fails says."""
        done = self.types(*words, **more)
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr

    def signs_in(self) -> None:
        words = ("login", self.server.url, "--user", "admin", "--password-stdin")
        done = self.types(*words, stdin=f"{self.password}\n")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def stranger(store: Store, tmp_path: Path) -> Iterator[Person]:
    """Somebody who has not signed in."""
    with ExitStack() as stack:
        password = people.first_admin(store, utc_now())
        assert password is not None
        library = stocked(tmp_path)
        server = stack.enter_context(live_server(store, library))
        desk = Desk(store, library, utc_now, prefix="other-")
        stack.enter_context(desk.client)
        yield Person(tmp_path / "home", server, desk, password)


@pytest.fixture
def person(stranger: Person) -> Person:
    stranger.signs_in()
    return stranger
