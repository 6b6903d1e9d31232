"""The manifest in a browser: looked at before it is taken in, drawn as racks and cables, given."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from rackserver import rackserver
from tests.web.browsing import Watched, serious, shoot
from tests.web.house import House
from tests.web.test_every_page import LLDP

pytestmark = pytest.mark.slow

BAD = "name,mac,rack,u\nweb-1,52:54:00:ee:00:01,R12,17\nweb 2,not a mac,,18\n"
GOOD = """name,mac,rack,u,cables,pool
web-1,52:54:00:ee:00:01,R12,17,eth0=leaf-1:Ethernet1,big
web-2,52:54:00:ee:00:02,R12,18-19,eth0=leaf-1:Ethernet9,
web-3,52:54:00:ee:00:03,R12,40,eth0=leaf-2:Ethernet3,
"""


@pytest.fixture(scope="module")
def fleet(home: House) -> dict[int, str]:
    """Two machines of the manifest and one that is in no row, all on leaf-1."""
    found = {}
    for number in (1, 2, 4):
        who = {"mac": f"52:54:00:ee:00:0{number}",
               "uuid": f"0e5c3f3e-11d4-4c0e-9a77-3f2d8c1b020{number}"}  # fmt: skip
        told = {"99-maas-01-capture-lldp": LLDP % (b"eth0", number, number)}
        machine = home.surveyed(json.dumps(rackserver()).encode(), **who, outputs=told)
        found[number] = str(home.get(f"/machines/{machine}")["id"])
    return found


def name(home: House, machine: str) -> str:
    return str(home.get(f"/machines/{machine}")["name"])


def imported(home: House) -> None:
    assert home.ask("POST", "/manifest/import", json={"text": GOOD}).status_code == 200


@pytest.fixture
def page(watched: Watched, fleet: dict[int, str]) -> Page:
    watched.expected += ["400"]
    return watched.signed_in("operator")


def test_a_manifest_is_looked_at_and_then_taken_in(page: Page, home: House, tmp_path: Path) -> None:
    page.goto("/topology/racks")
    page.get_by_role("link", name="Import a manifest").click()
    page.get_by_label("CSV with a head line").fill(BAD)
    page.get_by_role("button", name="Look").click()
    rows = page.locator("tr.wrong").all_inner_texts()
    assert [row.split("\t")[:2] for row in rows] == [["3", "macs"], ["3", "name"], ["3", "rack"]]
    assert home.get("/manifest")["items"] == []
    assert serious(page) == []
    shoot(page, "manifest-bad")
    page.get_by_role("button", name="Import it").click()
    expect(page.locator(".stuck")).to_contain_text("nothing was taken in")
    file = tmp_path / "racks.csv"
    file.write_bytes(GOOD.encode("utf-16"))
    page.get_by_label("or a file").set_input_files(file)
    page.get_by_role("button", name="Look").click()
    expect(page.locator("#taken")).to_contain_text("It would change: 3 added")
    shoot(page, "manifest-look")
    page.get_by_role("button", name="Import it").click()
    expect(page.locator("#taken")).to_contain_text("Taken in: 3 added")
    page.get_by_role("link", name="1 missing").click()
    expect(page.get_by_role("rowheader")).to_have_text(["web-3"])
    assert len(home.get("/manifest")["items"]) == 3


def test_the_list_of_machines_is_filtered_by_rack_and_shows_it(page: Page, home: House) -> None:
    imported(home)
    page.goto('/machines?columns=rack&sort=rack&filter=rack = "R12" and rack_unit < 18')
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("R12 U17")
    page.get_by_role("link", name="rack", exact=True).click()
    page.wait_for_url("**sort=-rack**")
    expect(page.locator("tbody tr")).to_contain_text("R12 U17")


def test_racks_and_cables_show_what_is_not_as_the_manifest_says(
    page: Page, home: House, fleet: dict[int, str]
) -> None:
    imported(home)
    page.goto("/topology/racks")
    rack = page.locator("table.elevation")
    assert rack.locator("[data-mark=missing]").inner_text() == "web-3 has not come"
    high = rack.locator("td", has=page.get_by_role("link", name=name(home, fleet[2])))
    assert high.get_attribute("rowspan") == "2"
    assert high.get_attribute("data-mark") == "mismatching"
    numbers = [int(text) for text in rack.locator("th").all_inner_texts()]
    assert numbers == list(range(42, 0, -1))
    expect(page.locator("main")).to_contain_text("eth0 is on leaf-1 Ethernet2, the manifest says")
    stranger = page.locator("section", has=page.get_by_role("heading", name="Not in the manifest"))
    expect(stranger.get_by_role("listitem")).to_contain_text(name(home, fleet[4]))

    page.goto("/topology")
    told = {row[1]: row[5] for row in (line.split("\t") for line in
            page.locator("main tbody tr").all_inner_texts())}  # fmt: skip
    assert told[name(home, fleet[1])] == "right"
    assert told[name(home, fleet[2])] == "wrong the manifest says eth0 to leaf-1 Ethernet9"
    assert told["web-3"] == "unknown the machine has not come yet"
    assert told[name(home, fleet[4])] == "not in the manifest"
    drawn = page.evaluate(
        "cytoscape.use && JSON.parse(document.getElementById('elements').textContent)"
        ".map(one => one.data.status).filter(Boolean)"
    )
    assert sorted(drawn) == ["right", "silent", "unknown", "wrong"]

    page.goto(f"/machines/{fleet[2]}")
    expect(page.locator("#expected")).to_contain_text("R12 U18–19")
    expect(page.locator("#expected tr.wrong")).to_contain_text("eth0 to leaf-1 Ethernet9")
    shoot(page, "machine-expected")


def test_rows_are_given_to_their_machines_and_removed(
    page: Page, home: House, fleet: dict[int, str]
) -> None:
    imported(home)
    page.goto("/topology/manifest?status=mismatching")
    page.get_by_label("mark web-1", exact=True).check()
    assert page.locator("#marked").inner_text() == "1 marked"
    page.get_by_role("button", name="Give machines").click()
    expect(page.locator("ul.names")).to_contain_text("gets web-1, pool big")
    assert serious(page) == []
    page.get_by_role("button", name="Give it to them").click()
    expect(page.locator("h1")).to_have_text("1 of 1 done")
    assert home.get("/machines/web-1")["pool"] == "big"

    page.goto("/topology/manifest?status=missing")
    page.get_by_label("mark all on this page").check()
    page.get_by_role("button", name="Remove rows").click()
    page.get_by_role("button", name="Remove").click()
    page.wait_for_url("**/topology/manifest")
    assert [row["key"] for row in home.get("/manifest")["items"]] == ["web-1", "web-2"]


def test_a_viewer_sees_the_manifest_and_has_no_form(
    watched: Watched, fleet: dict[int, str]
) -> None:
    page = watched.signed_in("viewer")
    page.goto("/topology/manifest")
    expect(page.get_by_role("heading", name="Manifest")).to_be_visible()
    assert page.locator("main form[method=post] button").count() == 0
