"""A browser that fails a test for an error on its console or a request to another origin."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from tests.web.browsing import Watched, chromium
from tests.web.house import House, house


# Never a session's: Playwright leaves an event loop running in the process for as long as it is
# open, and the tests of other modules that follow it there could run none of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server for a module's tests."""
    made = house(tmp_path_factory.mktemp("house"))
    yield made
    made.close()
    made.store.close()


@pytest.fixture
def watched(browser: Browser, home: House) -> Iterator[Watched]:
    context = browser.new_context(base_url=home.url, viewport={"width": 1280, "height": 900})
    made = Watched(context, home.url)
    yield made
    context.close()
    made.check()
