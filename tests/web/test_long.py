"""A page that stays open for a day, played in seconds: it neither leaks nor grows stale."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.web.browsing import Watched
from tests.web.house import House, utc_now, wait_for

from muster.store import events, machines

pytestmark = pytest.mark.slow

DAY = 2000
"""News; a busy day of a rack."""


def sizes(page: Page) -> dict[str, float]:
    """What the browser holds for the page, after it has cleaned up."""
    session: Any = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    told = session.send("Performance.getMetrics")["metrics"]
    session.detach()
    return {one["name"]: one["value"] for one in told}


def tell(home: House, machine: str, first: int, last: int) -> None:
    for number in range(first, last):
        with home.store.write() as tx:
            events.add(tx, utc_now(), "test", f"news {number:05d}", machine=machine)
            machines.update(tx, machine, state_reason=f"reason {number:05d}")


@pytest.mark.parametrize("path", ["/events", "/machines?columns=why", "/"])
def test_a_page_that_hears_news_all_day_stays_small_and_fresh(
    path: str, watched: Watched, home: House
) -> None:
    with home.store.read() as tx:
        found = machines.some(tx, limit=1)
    name = found[0].name if found else home.enlist()["machine"]
    with home.store.read() as tx:
        machine = machines.find(tx, name).id
    page = watched.signed_in()
    page.goto(path)
    page.wait_for_selector("body[data-connected]")
    tell(home, machine, 0, 250)
    fresh(page, path, 249)
    before = sizes(page)
    tell(home, machine, 250, DAY)
    fresh(page, path, DAY - 1)
    after = sizes(page)
    assert after["Nodes"] < before["Nodes"] * 1.5 + 500
    assert after["JSEventListeners"] < before["JSEventListeners"] * 1.5 + 50
    assert after["JSHeapUsedSize"] < before["JSHeapUsedSize"] * 1.5 + 1e6
    assert page.locator("#rows li, #rows tr, article.boot").count() <= 501
    page.close()
    wait_for(lambda: home.app.state.broadcaster.watchers() == 0, "no stream is left")


def fresh(page: Page, path: str, number: int) -> None:
    """The page shows the last news; Arrivals is only asked whether it still listens."""
    if path == "/":
        expect(page.locator("#connection")).to_be_hidden()
        return
    word = "news" if path == "/events" else "reason"
    expect(page.locator("#rows")).to_contain_text(f"{word} {number:05d}", timeout=30000)
