import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "machines"))

import trees


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """The invented server of trees.py, planted."""
    return trees.plant(tmp_path, *trees.server())
