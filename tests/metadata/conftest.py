"""The doors of a server over SQLite."""

import pytest


@pytest.fixture
def engine() -> str:
    """Nothing here is about the database: one engine will do."""
    return "sqlite"
