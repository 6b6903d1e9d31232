"""The list of machines in a browser: order, views, columns, marking, acting."""

from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect
from tests.web.browsing import Watched, serious, shoot
from tests.web.house import House

from muster.store import machines

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(home: House) -> list[str]:
    """Ten machines; the higher their number the less memory they have."""
    with home.store.read() as tx:
        one = machines.find(tx, home.enlist()["machine"])
    names = [f"row-{number}" for number in range(10)]
    with home.store.write() as tx:
        for number, name in enumerate(names):
            summary = {"cores": 8 + number, "cpu_count": 16, "disks": [],
                       "memory_bytes": (64 - number) << 30}  # fmt: skip
            machines.add(tx, replace(one, id=name, name=name, uuid="", summary=summary))
    return names


@pytest.fixture
def page(watched: Watched, fleet: list[str]) -> Page:
    found = watched.signed_in()
    found.goto('/machines?filter=name matches "row-*"')
    return found


def rows(page: Page) -> list[str]:
    return page.locator("#rows tbody th").all_inner_texts()


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it_round(
    page: Page, fleet: list[str]
) -> None:
    page.get_by_role("link", name="memory").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("memory")
    assert rows(page) == fleet[::-1]
    page.get_by_role("link", name="memory").click()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("memory")
    assert rows(page) == fleet
    page.goto(page.url + "&limit=4")
    page.get_by_role("link", name="Next page").click()
    assert rows(page) == fleet[4:8]


def test_columns_are_chosen_and_kept_as_a_view_for_everybody(page: Page, watched: Watched) -> None:
    page.get_by_text("Columns").click()
    page.get_by_label("uuid", exact=True).check()
    page.get_by_label("tags", exact=True).uncheck()
    page.get_by_role("button", name="Show").click()
    headings = page.locator("#rows thead th").all_inner_texts()
    assert "uuid" in headings
    assert "tags" not in headings
    page.get_by_label("Name of the view").fill("identity")
    page.get_by_label("for everybody").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".view [aria-current]")).to_have_text("identity")
    assert serious(page) == []
    shoot(page, "machines-view")
    other = watched.signed_in("viewer")
    other.goto("/machines")
    other.get_by_role("link", name="identity").click()
    assert other.locator("#rows thead th").all_inner_texts() == headings
    assert other.get_by_role("button", name="forget the view identity").count() == 0


def test_a_range_is_marked_by_shift_and_a_click_or_a_key(page: Page) -> None:
    page.get_by_label("mark row-2", exact=True).click()
    page.get_by_label("mark row-5", exact=True).click(modifiers=["Shift"])
    expect(page.locator("#marked")).to_have_text("4 marked")
    for _ in range(8):
        page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    expect(page.locator("#marked")).to_have_text("6 marked")
    assert serious(page) == []
    shoot(page, "machines-marked")


def test_what_is_done_to_many_is_asked_first_and_told_of_each(page: Page) -> None:
    assert page.get_by_role("button", name="Pool").is_disabled()
    page.get_by_label("mark row-1", exact=True).click()
    page.get_by_label("mark row-3", exact=True).click(modifiers=["Shift"])
    page.get_by_role("button", name="Pool").click()
    names = page.locator("ul.names").inner_text()
    assert all(name in names for name in ("row-1", "row-2", "row-3"))
    page.get_by_label("Pool").fill("lab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=3 of 3 done")
    page.goto("/machines?filter=pool = lab")
    page.get_by_label("mark all on this page").check()
    page.get_by_role("button", name="Abort").click()
    page.get_by_role("button", name="Abort").click()
    page.wait_for_selector("text=0 of 3 done")
    assert page.locator("ul.names li[data-state=failed]").count() == 3
    shoot(page, "outcome")
