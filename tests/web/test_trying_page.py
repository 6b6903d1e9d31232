"""Scripts on their pages: versions beside each other, a try in the lab; results beside others."""

import base64
import json
import sys
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from rackserver import rackserver
from tests.web.browsing import Watched, serious, shoot
from tests.web.house import House

from muster.store import machines, runs
from muster.web.trials import Trials

pytestmark = pytest.mark.slow

SCRIPT = """#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: my-check
# title: Looks
# script_type: testing
# timeout: 00:05:00
# --- End MAAS 1.0 script metadata ---
echo {}
"""
LAB = """
import sys, time
print("m1: kernel", flush=True)
print("\\x1b[31mred <b>line</b>\\x1b[0m", open(sys.argv[3]).read().count("echo"), flush=True)
{}
"""


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.signed_in()


def lab(home: House, rest: str) -> None:
    """In place of `muster script try`: what it prints and how it ends."""
    home.app.state.trials = Trials((sys.executable, "-c", LAB.format(rest)))


def test_what_a_version_changed_is_shown(page: Page, home: House) -> None:
    for word in ("hello", "<b>good-bye</b>"):
        body = {"source": base64.b64encode(SCRIPT.format(word).encode()).decode()}
        assert home.ask("POST", "/scripts", json=body).status_code < 300
    page.goto("/scripts/my-check")
    page.get_by_role("link", name="what it changed").click()
    expect(page.locator(".d-removed").last).to_have_text("-echo hello")
    expect(page.locator(".d-added").last).to_have_text("+echo <b>good-bye</b>")
    assert serious(page) == []
    shoot(page, "script-diff")


def test_a_script_is_tried_in_the_lab_with_its_output_as_it_comes(page: Page, home: House) -> None:
    lab(home, "time.sleep(60)")
    page.goto("/scripts/new")
    page.get_by_role("button", name="Try it in the lab").click()
    expect(page.locator(".log .a-fg1")).to_have_text("red <b>line</b>")
    expect(page.locator("h1 .badge")).to_have_text("running")
    shoot(page, "script-try")
    page.get_by_role("button", name="End it").click()
    expect(page.locator("h1 .badge")).to_have_text("ended", timeout=20000)
    lab(home, "sys.exit(0)")
    page.goto("/scripts/50-maas-01-commissioning")
    page.get_by_role("button", name="Try in the lab").click()
    expect(page.locator("h1 .badge")).to_have_text("passed", timeout=20000)


def test_a_lab_that_is_not_there_is_told(page: Page, home: House) -> None:
    lab(home, "print('muster script try: QEMU is missing: apt-get install qemu-system-x86');"
              "sys.exit(2)")  # fmt: skip
    page.goto("/scripts/50-maas-01-commissioning")
    page.get_by_role("button", name="Try in the lab").click()
    expect(page.locator("h1 .badge")).to_have_text("could not be tried", timeout=20000)
    expect(page.locator(".log")).to_contain_text("apt-get install qemu")
    assert serious(page) == []


def test_what_a_test_measured_is_seen_beside_others_of_the_model(page: Page, home: House) -> None:
    result = 0
    for number in range(1, 9):
        who = {"mac": f"52:54:00:dd:00:0{number}",
               "uuid": f"0e5c3f3e-11d4-4c0e-9a77-3f2d8c1b010{number}"}  # fmt: skip
        name = home.surveyed(json.dumps(rackserver()).encode(), **who)
        values: dict[str, Any] = {"read_mbs": 3400 + 20 * number if number < 8 else 1210, "ok": "y"}
        with home.store.write() as tx:
            machine = machines.find(tx, name).id
            machines.update(tx, machine, vendor="ACME", product="Rack9000")
            run = runs.some(tx, machine)[0]
            result = next(r.id for r in runs.results_of(tx, run.id) if "support" in r.name)
            runs.update_result(tx, result, values=values)
    page.goto(f"/results/{result}")
    expect(page.locator("dl.facts")).to_contain_text(
        "this model: 1210 to 3540, median 3470, 8 results -65 % from the median"
    )
    expect(page.locator(".spread canvas")).to_be_visible()
    assert serious(page) == []
    shoot(page, "spread")
