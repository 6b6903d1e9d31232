"""Pages that stay open: news without a reload, a restart told, big logs."""

import base64
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page
from rackserver import rackserver
from tests.web.browsing import Watched, serious, shoot
from tests.web.house import House, wait_for

from muster.store import events, machines

pytestmark = pytest.mark.slow

DOCUMENT = json.dumps(rackserver()).encode()
NUMBERS = iter(range(1, 1 << 15))


def fresh() -> dict[str, str]:
    """A machine that was never seen."""
    number = next(NUMBERS)
    return {"mac": f"52:54:00:aa:{number >> 8:02x}:{number & 255:02x}",
            "uuid": f"0e5c3f3e-11d4-4c0e-9a77-3f2d8c1b{number:04x}"}  # fmt: skip


@pytest.fixture
def admin(watched: Watched) -> Page:
    page = watched.signed_in()
    page.wait_for_selector("body[data-connected]")
    return page


def test_a_machine_appears_and_becomes_ready_without_a_reload(
    admin: Page, home: House, watched: Watched
) -> None:
    admin.evaluate("window.stays = true")
    who = fresh()
    welcome = home.enlist(**who)
    name = welcome["machine"]
    admin.wait_for_selector(f"text={name}")
    home.play(welcome, DOCUMENT, outputs={})
    admin.get_by_role("link", name=name, exact=True).first.click()
    admin.wait_for_selector("svg.diagram")
    admin.wait_for_selector("body[data-connected]")
    admin.get_by_role("button", name="Commission").click()
    assert name in admin.locator("ul.names").inner_text()
    assert serious(admin) == []
    shoot(admin, "confirm")
    admin.get_by_role("button", name="Commission").click()
    admin.wait_for_selector("h1 >> text=Commissioning")
    admin.wait_for_selector("body[data-connected]")
    admin.evaluate("window.stays = true")
    home.play(home.hello(home.boot(**who), **who).json(), DOCUMENT, outputs={})
    admin.wait_for_selector("h1 >> text=Ready")
    assert admin.evaluate("window.stays")


def running_log(home: House) -> tuple[dict[str, Any], Any, int]:
    """A machine whose first script prints; returns its welcome, a way to print, the result."""
    who = fresh()
    welcome = home.enlist(**who)
    result = welcome["scripts"][0]["result"]
    seq = iter(range(1, 1 << 30))

    def send(kind: str, **more: Any) -> None:
        told = {"seq": next(seq), "kind": kind, "result": result, **more}
        assert home.events(welcome["token"], [told]).status_code == 200

    send("started")
    return welcome, send, result


def printed(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def test_log_lines_come_while_the_script_runs_with_their_colours(admin: Page, home: House) -> None:
    _, send, result = running_log(home)
    admin.goto(f"/results/{result}")
    admin.wait_for_selector("body[data-connected]")
    send("output", data=printed("plain\n\x1b[1;31mred <b>bold</b>\x1b[0m\n"))
    red = admin.wait_for_selector(".log .a-fg1.a-bold")
    assert red.inner_text() == "red <b>bold</b>"
    send("output", data=printed("\x1b]0;title\x07 50%\r100%\nright \u202e left\n"))
    admin.wait_for_selector("text=100%")
    text = admin.locator(".log").inner_text()
    assert "50%" not in text
    assert "title" not in text
    assert "right <U+202E> left" in text
    shoot(admin, "log-live")


def test_a_log_of_10_mb_opens_at_once_and_is_whole(admin: Page, home: House) -> None:
    _, send, result = running_log(home)
    line = "line {:07d} \x1b[32mok\x1b[0m and some more words to make it about eighty wide\n"
    body = "".join(line.format(n) for n in range(125_000)).encode()[: 10 * 2**20]
    for start in range(0, len(body), 45 * 1024):
        send("output", data=printed(body[start : start + 45 * 1024]))
    send("finished", runtime_s=3.0)
    began = time.monotonic()
    admin.goto(f"/results/{result}", wait_until="commit")
    admin.wait_for_selector("text=line 0000000")
    first_ms = (time.monotonic() - began) * 1000
    admin.get_by_role("button", name="End").click()
    last = body.decode().splitlines()[-2].split()[1]
    admin.wait_for_selector(f"text=line {last}")
    # In blocks, nothing is doubled and nothing is missing.
    pages = [admin.request.get(f"/results/{result}/block?index={n}").text() for n in range(4)]
    numbers = [int(row.split()[1]) for part in pages for row in part.splitlines() if row]
    assert numbers == list(range(len(numbers)))
    assert first_ms < 3000, "even on a busy host"


def test_a_page_says_when_the_server_was_restarted_and_goes_on(
    watched: Watched, home: House
) -> None:
    watched.expected += ["ERR_CONNECTION", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE"]
    page = watched.signed_in()
    page.wait_for_selector("body[data-connected]")
    page.evaluate("window.stays = true")
    home.stop()
    page.wait_for_selector("#connection >> text=/server stops|connection .* lost/")
    shoot(page, "restart")
    home.start()
    page.wait_for_selector("#connection >> text=/restarted|Connected again/")
    name = home.enlist(**fresh())["machine"]
    page.wait_for_selector(f"text={name}")
    assert page.evaluate("window.stays")
    wait_for(lambda: home.app.state.broadcaster.watchers() == 1, "one stream, the old one gone")


def test_a_page_that_goes_leaves_nothing_behind(watched: Watched, home: House) -> None:
    pages = [watched.signed_in() for _ in range(3)]
    for page in pages:
        page.wait_for_selector("body[data-connected]")
    wait_for(lambda: home.app.state.broadcaster.watchers() == 3, "three streams")
    for page in pages:
        page.goto("/images")
    wait_for(lambda: home.app.state.broadcaster.watchers() == 0, "no stream")


def test_the_stream_resumes_behind_the_last_event_that_was_seen(home: House) -> None:
    headers = {"Authorization": f"Bearer {home.keys['viewer']}"}

    def say(text: str) -> None:
        with home.store.write() as tx:
            events.add(tx, home._clock(), "test", text)

    def read(count: int, **more: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        url = "/api/v1/events/stream"
        with home.client.stream("GET", url, headers=headers | more) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line.startswith("data: {") and '"kind"' in line:
                    found.append(json.loads(line[6:]))
                elif '"server"' in line and not more:
                    say("while it was open")
                if len(found) == count:
                    return found
        raise AssertionError(found)

    (seen,) = read(1)
    say("while it was gone")
    (missed,) = read(1, **{"Last-Event-ID": str(seen["id"])})
    assert (seen["message"], missed["message"]) == ("while it was open", "while it was gone")


@pytest.mark.parametrize("who", ["viewer", ""])
def test_the_stream_opens_for_keys_and_sessions_only(home: House, who: str) -> None:
    if who:
        answer = home.ask("GET", "/events/stream", role=who, params={"topics": "nonsense"})
        assert answer.status_code == 400
    else:
        assert home.ask("GET", "/events/stream", role="").status_code == 401


def test_bulk_selection_by_keys(admin: Page, home: House) -> None:
    names = sorted(home.enlist(**fresh())["machine"] for _ in range(2))
    admin.goto("/machines?filter=" + " or ".join(f"name = {name}" for name in names))
    admin.keyboard.press("j")
    admin.keyboard.press("x")
    admin.keyboard.press("j")
    admin.keyboard.press("x")
    assert admin.locator("#marked").inner_text() == "2 marked"
    admin.get_by_role("button", name="Accept").click()
    assert all(name in admin.locator("ul.names").inner_text() for name in names)


def test_a_clash_is_seen_from_both_sides_decided_and_taken_back(admin: Page, home: House) -> None:
    one, other = fresh(), fresh()
    names = [home.enlist(**who)["machine"] for who in (one, other)]
    home.client.get("/boot/ipxe", params={"mac": other["mac"], "uuid": one["uuid"]})
    admin.goto("/clashes")
    admin.locator("ul.events a").first.click()
    told = admin.locator("main").inner_text()
    assert all(name in told for name in names)
    admin.locator("select[name=keep]").select_option(label=names[0])
    admin.get_by_role("button", name="The machine is this one").click()
    admin.wait_for_selector("text=Decided by admin")
    assert other["mac"] in home.get(f"/machines/{names[0]}")["macs"]
    admin.get_by_role("button", name="Take it back").click()
    admin.wait_for_selector("text=It is a new machine")
    assert other["mac"] in home.get(f"/machines/{names[1]}")["macs"]


def test_500_machines_are_tagged_together(admin: Page, home: House) -> None:
    name = home.enlist(**fresh())["machine"]
    with home.store.read() as tx:
        one = machines.find(tx, name)
    with home.store.write() as tx:
        for number in range(500):
            name = f"row-{number:03d}"
            machines.add(tx, replace(one, id=name, name=name, uuid="", serial=name))
    admin.goto('/machines?limit=500&filter=name matches "row-*"')
    admin.get_by_label("mark all on this page").check()
    assert admin.locator("#marked").inner_text() == "500 marked"
    admin.get_by_role("button", name="Tag", exact=True).click()
    admin.get_by_label("Tag").fill("spare")
    admin.keyboard.press("Enter")
    admin.wait_for_selector("text=500 of 500 done")
    assert home.get("/tags/spare")["machines"] == 500


def test_a_filter_is_completed_and_its_mistake_explained(admin: Page) -> None:
    admin.goto("/machines")
    admin.keyboard.press("/")
    admin.keyboard.type("mem")
    admin.wait_for_selector("#filter-list li >> text=memory")
    admin.keyboard.press("Tab")
    assert admin.locator("#filter").input_value() == "memory "
    admin.keyboard.type("> lots")
    admin.keyboard.press("Enter")
    admin.wait_for_selector("text=This filter cannot be read")
    assert serious(admin) == []
    shoot(admin, "filter-wrong")


def test_a_script_is_linted_as_one_types(admin: Page) -> None:
    admin.goto("/scripts/new")
    admin.wait_for_selector("#lint >> text=Nothing is wrong")
    box = admin.locator("#source")
    box.fill(box.input_value().replace("timeout: 00:05:00", "timeout: soon"))
    admin.wait_for_selector("#lint .problems >> text=timeout")
    shoot(admin, "script-lint")


def test_the_choice_of_colours_stays(admin: Page) -> None:
    admin.locator("#theme").select_option("dark")
    admin.wait_for_selector("html[data-bs-theme=dark]")
    admin.goto("/machines")
    admin.wait_for_selector("html[data-bs-theme=dark]")
