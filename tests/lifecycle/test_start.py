"""Which machines start swiftly, and what is heard of one after its hello."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import MAC, UUID, Desk, resources, story
from tests.server.shelf import stocked

from muster.images.library import Library
from muster.lifecycle import commission
from muster.store.engine import Store

URL = "http://10.0.0.1:8472"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """An image that can start swiftly."""
    library = stocked(tmp_path)
    plain = library.in_use()
    image = replace(plain, swift=True).sealed()
    library.add(image, {name: library.blob(e.sha256) for name, e in plain.files.items()})
    library.use(image.id)
    return library


@pytest.fixture
def desk(store: Store, clock: Any, library: Library) -> Iterator[Desk]:
    made = Desk(store, library, clock, url=URL)
    with made.client:
        yield made


def swift(desk: Desk) -> bool:
    """Whether the boot answer says so."""
    script = desk.client.get(
        "/boot/ipxe", params={"mac": MAC, "uuid": UUID, "arch": "x86_64", "firmware": "efi"}
    ).text
    assert "kernel " in script
    return " muster.start=swift " in script


def test_an_unknown_machine_starts_swiftly(desk: Desk) -> None:
    assert swift(desk)


def test_an_image_without_a_small_root_starts_through_cloud_init(
    desk: Desk, library: Library
) -> None:
    library.use(next(image.id for image in library.all() if not image.swift))
    assert not swift(desk)


def test_a_user_s_script_for_unknown_machines_needs_a_system(desk: Desk) -> None:
    body = (
        "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: mine\n"
        "# script_type: commissioning\n# tags: enlisting\n"
        "# --- End MAAS 1.0 script metadata ---\ntrue\n"
    )
    source = base64.b64encode(body.encode()).decode()
    answer = desk.ask("POST", "/scripts", json={"source": source})
    assert answer.status_code == 200, answer.text
    assert not swift(desk)


@pytest.mark.parametrize(("enable_ssh", "swiftly"), [(False, True), (True, False)])
def test_ssh_needs_cloud_init(desk: Desk, now: Any, enable_ssh: bool, swiftly: bool) -> None:
    name = desk.enlist()["machine"]
    options = commission.Options(enable_ssh=enable_ssh)
    commission.start(desk.store, desk.policy, name, options, actor="test", now=now)
    assert swift(desk) == swiftly


def test_what_is_fetched_is_heard_of_after_the_hello_and_moves_no_deadline(desk: Desk) -> None:
    nonce = desk.boot()
    welcome = desk.hello(nonce).json()
    assert welcome["decision"] == "run"
    before = desk.get("/boots")[0]

    def report(phase: str, status: str) -> int:
        body = {"phase": phase, "status": status, "detail": "told"}
        return int(desk.client.post(f"/boot/report/{nonce}", json=body).status_code)

    assert report("root", "failed") == 204
    assert desk.get("/boots")[0]["failure"] == "root: told"
    assert report("swift", "done") == 204, "the report may come late: the agent is quick"
    assert report("firmware", "done") == 204
    assert report("drivers", "done") == 204
    assert desk.get("/boots")[0]["failure"] == "root: told", "what came hides nothing"
    assert report("root", "done") == 204
    after = desk.get("/boots")[0]
    assert (after["failure"], after["phase"]) == ("", before["phase"])
    assert after["deadline_at"] == before["deadline_at"]
    assert report("network", "done") == 403
    desk.events(welcome["token"], story(welcome, document=resources()))
    assert report("root", "done") == 403
