"""A server's doors over each engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import Desk
from tests.server.shelf import stocked

from muster.store.engine import Store


@pytest.fixture
def desk(store: Store, clock: Any, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(store, stocked(tmp_path), clock)
    with made.client:
        yield made
