"""What a person at the console sees of a real machine with real firmware, without one reload."""

import re

import pytest
from playwright.sync_api import Page, expect
from tests.e2e.served import PASSWORD, SLOW, Served
from tests.web.browsing import Watched, chromium, serious, shoot

from muster.lab.machines import Firmware, Order

pytestmark = pytest.mark.e2e


def test_from_the_plug_to_ready_on_the_console(served: Served) -> None:
    served.lab.add(Order(name="m1", firmware=Firmware.BIOS))
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        watched = Watched(context, served.url)
        page = watched.signed_in(password=PASSWORD)
        page.set_default_timeout(2 * SLOW * 1000)
        machine = arrives(served, page)
        page.goto(f"{served.url}/machines/{machine}")
        page.wait_for_selector("svg.diagram")
        becomes_ready(watched, page)
        page.goto(f"{served.url}/machines/{machine}")
        page.wait_for_selector("h1 >> text=Ready")
        assert serious(page) == []
        shoot(page, "ready")
        page.goto(f"{served.url}/machines/{machine}/history")
        assert "version 1 to 2" in page.locator("#changes").inner_text()
        watched.check()
        context.close()


def arrives(served: Served, page: Page) -> str:
    """Plugged in, it appears on the page as it is; returns the record's id."""
    page.wait_for_selector("text=Plug in the first machine")
    page.wait_for_selector("ul.findings")
    shoot(page, "first-page")
    page.wait_for_selector("body[data-connected]")
    page.evaluate("window.stays = true")
    served.lab.machine("m1").on()
    page.wait_for_selector("article.boot")
    page.wait_for_selector(".phases li[data-state=now]")
    shoot(page, "arriving")
    served.wait("m1 has a record", lambda: served.record("m1"), limit_s=3 * SLOW)
    page.wait_for_selector("article.boot h3 a")
    assert page.evaluate("window.stays"), "the page was loaded again"
    served.wait("m1 is surveyed", lambda: (served.record("m1") or {}).get("surveyed_at"))
    served.lab.machine("m1").wait_until("stopped", limit_s=SLOW)
    return served.wire_power("m1")


def becomes_ready(watched: Watched, page: Page) -> None:
    """Commissioned by its button; lines of a script come into an open page."""
    page.get_by_role("button", name="Commission").click()
    page.wait_for_selector("ul.names")
    page.get_by_role("button", name="Commission").click()
    page.wait_for_selector("h1 >> text=Commissioning")
    page.locator("#runs h3 a").first.click()
    page.wait_for_selector("body[data-connected]")
    page.evaluate("window.stays = true")
    page.wait_for_selector("td .badge[data-state=running]")
    shoot(page, "run-live")
    script = page.locator("tbody a", has_text="50-maas-01-commissioning").first
    log = watched.page()
    log.set_default_timeout(SLOW * 1000)
    log.goto(watched.url + (script.get_attribute("href") or ""))
    # Not wait_for_function(): the page's own policy forbids what it evaluates again and again.
    expect(log.locator("#log")).to_contain_text(re.compile(r"\S"), timeout=SLOW * 1000)
    page.wait_for_selector("h1 >> .badge[data-state=passed]")
    assert page.evaluate("window.stays"), "the run's page was loaded again"
