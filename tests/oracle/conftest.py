import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.oracle.daemon import Daemon


def lacking() -> str:
    """Why no LXD can be asked here, or ""."""
    if shutil.which("lxd") is None:
        return "lxd is not installed (Debian: apt-get install --no-install-recommends lxd)"
    return "" if os.geteuid() == 0 else "LXD needs root"


@pytest.fixture(scope="session")
def lxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    if reason := lacking():
        # Elsewhere it is a snap, which needs systemd and a network.
        on_debian = "ID=debian" in Path("/etc/os-release").read_text().splitlines()
        if on_debian and "lxd" in os.environ.get("MUSTER_TEST_REQUIRE", ""):
            pytest.fail(f"MUSTER_TEST_REQUIRE names lxd, but {reason}")
        pytest.skip(reason)
    folder: Path = tmp_path_factory.mktemp("lxd")
    with Daemon(folder) as daemon:
        yield daemon
