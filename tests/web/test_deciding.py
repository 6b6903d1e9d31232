"""Rules, profiles, tags and notes in a browser, as an operator works with them."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from rackserver import rackserver
from tests.web.browsing import Watched, serious, shoot
from tests.web.house import House, altered

from muster.store import machines

pytestmark = pytest.mark.slow

DOCUMENT = json.dumps(rackserver()).encode()


def less(body: dict[str, Any]) -> None:
    body["extra"]["dimms"]["slots"][1] = {"slot": "A2", "size": 0}


@pytest.fixture(scope="module")
def fleet(home: House) -> dict[str, str]:
    """Three of a model, one of which lacks a DIMM, and one that was never surveyed."""
    found = {}
    for number in range(1, 5):
        who = {"mac": f"52:54:00:cc:00:0{number}",
               "uuid": f"0e5c3f3e-11d4-4c0e-9a77-3f2d8c1b000{number}"}  # fmt: skip
        body = altered(DOCUMENT, less) if number == 2 else DOCUMENT
        machine = home.surveyed(body, **who) if number < 4 else home.enlist(**who)["machine"]
        with home.store.write() as tx:
            machine = machines.find(tx, machine).id
            machines.update(tx, machine, name=f"web-{number}", vendor="ACME", product="Rack9000")
        found[f"web-{number}"] = machine
    return found


@pytest.fixture
def page(watched: Watched, fleet: dict[str, str]) -> Page:
    # A form that comes back with what is wrong is a 400, which Chromium writes down.
    watched.expected += ["400"]
    return watched.signed_in("operator")


def test_a_rule_is_written_tried_on_every_machine_and_switched_on(page: Page, home: House) -> None:
    page.goto("/rules")
    page.get_by_text("Nothing happens by itself yet").wait_for()
    page.get_by_role("link", name="Write a rule").click()
    page.get_by_label("Name", exact=True).fill("memory")
    box = page.get_by_role("combobox", name="For machines that are")
    box.fill("memory >= lots")
    expect(page.locator("#lint .stuck")).to_contain_text("write it as 512GiB")
    box.fill("dimm.count < 8")
    page.get_by_label("get the tags").fill("short")
    expect(page.locator("#lint .good")).to_contain_text("get tag short")
    assert serious(page) == []
    shoot(page, "rule-edit-live")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Switch on")).to_be_disabled()
    page.get_by_role("button", name="Try it on 4 machines").click()
    page.locator("#tried").wait_for()
    rows = dict(zip(page.locator("#trial tbody th").all_inner_texts(),
                    page.locator("#trial tbody td:nth-child(2)").all_inner_texts(),
                    strict=True))  # fmt: skip
    assert (rows["web-1"], rows["web-2"], rows["web-4"]) == ("no", "yes", "not known")
    assert "get tag short" in page.locator("#trial tbody").inner_text()
    assert serious(page) == []
    shoot(page, "rule-tried")
    assert home.get("/rules")[0]["enabled"] is False
    page.get_by_role("button", name="Switch it on for 1 machine").click()
    expect(page.locator("h1 .badge")).to_have_text("on")
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator("h1 .badge")).to_have_text("off")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Priority").fill("7")
    page.get_by_role("button", name="Save").click()
    assert home.get("/rules")[0]["priority"] == 7
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("Nothing happens by itself yet").wait_for()


def test_a_profile_is_learned_from_a_golden_machine_and_deviations_are_sentences(
    page: Page,
) -> None:
    page.goto("/machines")
    page.get_by_label("mark web-1", exact=True).click()
    page.get_by_role("button", name="Profile").click()
    page.get_by_label("Name of the profile").fill("golden")
    page.get_by_role("combobox").last.fill("cpu.cores > 0")
    page.get_by_role("button", name="Learn").click()
    page.locator("#held").wait_for()
    assert page.locator("#held").inner_text() == "Of 3 machines 2 are as expected, 1 not."
    assert "DIMM in slot A2 is missing" in page.locator("main").inner_text()
    assert serious(page) == []
    shoot(page, "profile-deviations")
    page.locator("textarea[name=expected]").fill("DIMM: {count: many}")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".stuck")).to_contain_text("count")
    page.goto("/profiles")
    page.get_by_role("link", name="Rack9000").click()
    assert "web-2" in page.locator("main h3").all_inner_texts()
    shoot(page, "odd-one")


def test_a_tag_is_defined_a_note_written_and_taken_away(page: Page, home: House) -> None:
    page.goto("/tags")
    page.get_by_label("Tag", exact=True).fill("many-cores")
    page.get_by_role("combobox", name="Definition").fill("cpu.cores > 1")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="many-cores", exact=True).wait_for()
    page.get_by_label("Tag", exact=True).fill("wrong")
    page.get_by_role("combobox", name="Definition").fill("colour = red")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".stuck")).to_contain_text("colour")
    machine = home.get("/machines/web-1")["id"]
    page.goto(f"/machines/{machine}")
    page.get_by_label("Note", exact=True).fill("PSU 2 whistles\n<b>since May</b>")
    page.get_by_role("button", name="Write").click()
    expect(page.locator(".note")).to_contain_text("<b>since May</b>")
    shoot(page, "machine-note")
    page.get_by_role("button", name="Delete note").click()
    expect(page.locator(".note")).to_have_count(0)
