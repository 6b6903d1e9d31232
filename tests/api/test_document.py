"""The OpenAPI document is true: schemathesis plays what it permits and what it forbids."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from muster.server.app import utc_now
from muster.store.engine import Store
from tests.api.desk import Desk
from tests.server.shelf import stocked


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("document")
    store = Store(f"sqlite:///{folder}/muster.db")
    store.migrate()
    made = Desk(store, stocked(folder), utc_now)
    with made.client:
        yield made
    store.close()


@pytest.fixture(scope="module")
def document(desk: Desk) -> Any:
    return schemathesis.openapi.from_asgi("/api/openapi.json", app=desk.app)


schema = schemathesis.pytest.from_fixture("document")


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_promises(case: Any, desk: Desk) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {desk.keys['admin']}"})
