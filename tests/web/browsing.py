"""Debian's Chromium, and pages that remember everything they should not have done."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

HOUSE = Path(__file__).parents[2]
AXE = HOUSE / "build" / "web" / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = HOUSE / "docs" / "screens"
PASSWORD = "correct horse battery"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Playwright brings no browser of its own; without one the test is skipped or fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        reason = "Chromium is not installed (apt-get install chromium)"
        if "browser" in os.environ.get("MUSTER_TEST_REQUIRE", ""):
            pytest.fail(f"MUSTER_TEST_REQUIRE names browser, but {reason}")
        pytest.skip(reason)
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not work as root.
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


class Watched:
    """Pages of one browser context, and everything they should not have done."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.wrong: list[str] = []
        self.expected: list[str] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self.wrong.append(f"error: {error.error}"))
        context.on("request", self._request)
        context.on("dialog", lambda dialog: (self.wrong.append("a dialog"), dialog.dismiss()))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.type}: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.url + "/", "data:")):
            self.wrong.append(f"request to {request.url}")

    def page(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(20000)
        return page

    def signed_in(self, who: str = "admin", password: str = PASSWORD) -> Page:
        page = self.page()
        page.goto(f"{self.url}/sign-in")
        page.get_by_label("User").fill(who)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.url}/")
        return page

    def check(self) -> None:
        wrong = [one for one in self.wrong if not any(word in one for word in self.expected)]
        assert wrong == []


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical on the page as it is now."""
    # Through the debugger's door: the page's own policy lets no other script in.
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:150]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]


def shoot(page: Page, name: str) -> None:
    """Light, dark and on a phone, small enough for the documentation."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.screenshot(path=SHOTS / f"{name}-{theme}.png", animations="disabled")
    page.emulate_media(color_scheme="light")
