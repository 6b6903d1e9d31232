"""The packed agent unpacks itself, so that its survey starts compiled."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from muster.agent.bytecode import unfold
from muster.metadata import pack


@pytest.mark.slow
def test_the_unpacked_agent_is_compiled_and_surveys_as_the_packed_one(tmp_path: Path) -> None:
    packed = tmp_path / "agent.pyz"
    packed.write_bytes(pack.packed())
    home = unfold(str(packed), tmp_path)
    assert home == str(tmp_path / "agent")
    words = [sys.executable, "-I", "-S", home, "collect"]
    done = subprocess.run(words, check=True, capture_output=True, timeout=60)
    assert json.loads(done.stdout)["api_version"] == "1.0"
    assert list(Path(home).glob("muster/collect/__pycache__/document.*.pyc"))


def test_what_cannot_be_unpacked_is_started_as_it_is(tmp_path: Path) -> None:
    broken = tmp_path / "agent.pyz"
    broken.write_bytes(b"no zip")
    assert unfold(str(broken), tmp_path) == str(broken)
    assert unfold(str(tmp_path / "none"), tmp_path) == str(tmp_path / "none")
