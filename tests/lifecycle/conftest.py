import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rack import Rack
from tests.server.shelf import stocked

from muster.collect.document import document as survey_of
from muster.images.library import Library
from muster.lifecycle import deadlines, survey
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.policy import Policy
from muster.scripts import catalogue
from muster.store.engine import Store


@pytest.fixture(scope="session")
def document(recorded_root: Path) -> bytes:
    """What 50-maas-01-commissioning prints on the recorded machine."""
    return json.dumps(survey_of(str(recorded_root))).encode()


@pytest.fixture(autouse=True)
def three_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of three built-in scripts, however many there come to be."""
    names = ("00-maas-00-support-info", survey.RESOURCES, "99-maas-05-kernel-cmdline")
    three = [script for script in catalogue.for_commission() if script.name in names]
    monkeypatch.setattr(catalogue, "for_commission", lambda: three)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    made = Keyring(tmp_path / "keys" / "secrets.key")
    made.create()
    return made


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return stocked(tmp_path)


@pytest.fixture
def rack(
    store: Store, policy: Policy, clock, hello, document: bytes, keyring: Keyring, library: Library
) -> Rack:
    return Rack(store, policy, clock, hello, document, keyring, library)


@pytest.fixture
def sweep(rack: Rack):
    """End what is overdue now; returns how many."""
    return lambda: deadlines.sweep(rack.store, rack.policy, rack.now())
