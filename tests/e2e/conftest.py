"""What journeys end to end need: an image and an empty lab."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.served import Served

from muster.images.library import Library
from muster.lab.client import Lab


@pytest.fixture(scope="session")
def images() -> Path:
    """The image library that `make image` filled."""
    folder = Path(os.environ.get("MUSTER_IMAGES", "build/images")).absolute()
    if Library(folder).current() is None:
        pytest.fail(f"no image in {folder}: run 'make image'")
    return folder


@pytest.fixture
def served(tmp_path: Path, images: Path) -> Iterator[Served]:
    """An empty lab with a running server."""
    folder = Path("/tmp") / f"muster-e2e-{os.getpid()}"
    with Lab.up(name="e2e", folder=folder / "lab", tied=True) as lab:
        house = Served(lab, tmp_path, images)
        house.start()
        try:
            yield house
        finally:
            house.kill(signal.SIGTERM)
            house.listener.close()
