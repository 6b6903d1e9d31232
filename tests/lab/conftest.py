"""A real lab for tests: needs QEMU, dnsmasq and namespaces, else the tests are skipped."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from muster.lab import launch
from muster.lab.errors import CannotStart


@pytest.fixture(scope="session")
def able_host() -> None:
    try:
        launch.check_host([])
        launch.choose_namespace()
    except CannotStart as error:
        if "lab" in os.environ.get("MUSTER_TEST_REQUIRE", "").split(","):
            pytest.fail(f"MUSTER_TEST_REQUIRE names lab, but {error}")
        pytest.skip(f"no lab on this machine: {error}")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a unix socket, which pytest's tmp_path may not."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        yield Path(folder) / "lab"
