"""The doors of a server over SQLite."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import Desk
from tests.server.shelf import stocked

from muster.images.library import Library
from muster.store.engine import Store


@pytest.fixture
def engine() -> str:
    """Nothing here is about the database: one engine will do."""
    return "sqlite"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return stocked(tmp_path)


@pytest.fixture
def desk(store: Store, clock: Any, library: Library) -> Iterator[Desk]:
    """Its machines know the server as 10.0.0.1."""
    made = Desk(store, library, clock, url="http://10.0.0.1:8472")
    with made.client:
        yield made
