"""A server's doors over each engine."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.desk import Desk
from tests.power.incus_host import incus_host
from tests.power.lxd_host import lxd_host
from tests.server.shelf import stocked

from muster.images.library import Library
from muster.store.engine import Store

__all__ = ["incus_host", "lxd_host"]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return stocked(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def desks() -> dict[Store, Desk]:
    """One application a store: to build its routes takes 0.1 s."""
    return {}


@pytest.fixture
def desk(store: Store, clock: Any, library: Library, desks: dict[Store, Desk]) -> Iterator[Desk]:
    if store in desks:
        desks[store].open(clock)
    else:
        desks[store] = Desk(store, library, clock)
    with desks[store].client:
        yield desks[store]
