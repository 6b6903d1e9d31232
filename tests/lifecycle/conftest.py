import json
import sys
from pathlib import Path

import pytest
import trees

sys.path.insert(0, str(Path(__file__).parent))

from rack import Rack

from muster.collect.document import document as survey_of
from muster.lifecycle import deadlines
from muster.lifecycle.policy import Policy
from muster.store.engine import Store


@pytest.fixture(scope="session")
def document(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What 50-maas-01-commissioning prints on the recorded machine."""
    root = trees.load("qemu-rich-guest", tmp_path_factory.mktemp("surveyed"))
    return json.dumps(survey_of(str(root))).encode()


@pytest.fixture
def rack(store: Store, policy: Policy, clock, hello, document: bytes) -> Rack:
    return Rack(store, policy, clock, hello, document)


@pytest.fixture
def sweep(rack: Rack):
    """End what is overdue now; returns how many."""
    return lambda: deadlines.sweep(rack.store, rack.now())
