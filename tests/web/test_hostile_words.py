"""Hostile words in every field that a machine, a script or a person can set: none acts."""

import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page
from rackserver import rackserver
from tests.web.browsing import Watched
from tests.web.hostile import STRINGS
from tests.web.house import House, utc_now

from muster.lifecycle import bmclogs
from muster.store import events as journal
from muster.store import findings, hosts, machines, people, power_states, profiles, rules, tags
from muster.store.hosts import Host
from muster.store.power_states import PowerState
from muster.store.profiles import ProfileRow
from muster.store.rules import RuleRow
from muster.store.tags import Tag
from muster.web.ansi import visible

pytestmark = pytest.mark.slow

NUMBERS = iter(range(1, 1 << 15))
LINES = [word for word in STRINGS if word.isprintable()]
"""Those that a field of one line takes; the others are refused there."""


def fresh() -> dict[str, str]:
    """A machine that was never seen."""
    number = next(NUMBERS)
    return {"mac": f"52:54:00:ab:{number >> 8:02x}:{number & 255:02x}",
            "uuid": f"0e5c3f3e-11d4-4c0e-9a77-3f2d8c1c{number:04x}"}  # fmt: skip


@pytest.fixture
def admin(watched: Watched) -> Page:
    watched.expected += ["404", "400"]
    return watched.signed_in()


def harmless(page: Page, path: str) -> str:
    """The page's words; raises when anything of them has become a part of it."""
    page.goto(path)
    page.wait_for_load_state("load")
    assert page.evaluate("window.hacked === undefined"), path
    assert page.locator("main script:not([type='application/json'])").count() == 0, path
    odd = "main :is(img, iframe, object, embed, base, meta, link, style, video, audio, math, form "
    odd += "form, marquee, [onclick], [onerror], [onload], [hx-on\\:load], [style*=url])"
    assert page.locator(odd).count() == 0, path
    assert page.locator("main a[href^='javascript:' i]").count() == 0, path
    return " ".join(page.locator("main").inner_text().split())


def unseen(text: str, words: list[str]) -> list[str]:
    """The words that the page does not show as they are."""
    return [word for word in words if " ".join(visible(word).split()) not in text
            and " ".join(word.split()) not in text]  # fmt: skip


def test_hostile_words_of_machines_and_scripts_are_shown_and_none_acts(
    admin: Page, home: House
) -> None:
    """200 strings through evidence, document, script output, LLDP, refusals."""
    assert len(STRINGS) >= 200
    paths = {"/", "/machines?columns=state,model,tags,serial,mac,why", "/events", "/topology"}
    paths |= {"/scripts", "/settings", "/power", "/events?kind=audit.", "/tags", "/profiles"}
    for start in range(0, len(STRINGS), 25):
        paths |= hostile_machine(home, (STRINGS * 2)[start : start + 25])
    for path in sorted(paths):
        harmless(admin, path)


def hostile_machine(home: House, words: list[str]) -> set[str]:
    """A machine every field of which is one of `words`; returns where it is seen."""
    who = fresh()
    spare = iter(words * 8)

    def hostile(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: value[key] if key in KEPT else hostile(value[key]) for key in value}
        if isinstance(value, list):
            return [hostile(one) for one in value]
        return next(spare, "x") if isinstance(value, str) and value else value

    text = " ".join(words)
    nonce = home.boot(**who)
    report = {"phase": "root", "status": "started", "detail": text[:2000]}
    home.client.post(f"/boot/report/{nonce}", json=report)
    vendor = {"serial": words[0][:200], "vendor": words[1][:200], "product": words[2][:200]}
    nics = [{"mac": who["mac"], "name": "eth0"}]
    evidence = {"uuid": who["uuid"], "nics": nics} | vendor
    message = {"evidence": evidence, "nonce": nonce, "key": "k", "firmware": "uefi"}
    welcome = home.client.post("/agent/hello", json=message).json()
    lldp = f"<lldp><interface name='e0'><chassis><name><![CDATA[{text[:200]}]]></name></chassis>"
    lldp += f"<port><descr><![CDATA[{text[-200:]}]]></descr></port></interface></lldp>"
    outputs = {item["name"]: text.encode() for item in welcome["scripts"]
               if item["name"].startswith("00-maas-00")}  # fmt: skip
    outputs |= {"99-maas-01-capture-lldp": lldp.replace("\0", "").encode()}
    home.play(welcome, json.dumps(hostile(rackserver())).encode(), outputs=outputs)
    name = welcome["machine"]
    home.ask("POST", f"/machines/{name}/deny", json={"reason": text[:400].replace("\0", "")})
    home.ask("POST", "/keys", json={"name": "".join(c for c in words[3] if c.isprintable())[:60]})
    run = home.get(f"/machines/{name}/runs")[0]
    seen = {f"/machines/{name}", f"/machines/{name}/raw", f"/runs/{run['id']}"}
    return seen | {f"/results/{run['results'][0]['id']}"}


KEPT = ("api_version", "schema", "id", "pci_address", "port", "slot")


def each(limit: int = 64) -> list[tuple[int, str]]:
    return [(number, word[:limit]) for number, word in enumerate(LINES)]


def test_hostile_names_and_comments_of_people_are_shown_and_none_acts(
    admin: Page, home: House
) -> None:
    """Each string as a name and a comment of every kind of thing, past the checks of names."""
    now = utc_now()
    with home.store.write() as tx:
        owner = people.user_named(tx, "admin")
        assert owner
        for number, word in each():
            more = {"comment": word, "updated_by": word, "updated_at": now}
            acts = {"tags": [word], "hold": word, "pool": word, "name": word}
            tried = {"enabled": True, "tried": "", "tried_to": None, "tried_at": None}
            condition = f"vendor = {json.dumps(word)}"
            rules.add(tx, RuleRow(word, number, condition, acts, **tried, **more))  # type: ignore[arg-type]
            profiles.put(tx, ProfileRow(word, word, {word: {"count": 1}}, **more))
            tags.put(tx, Tag(word, word, "expression", word, None, word, now))
            people.keep_view(tx, owner.id, word, "filter=" + str(number), shared=True)
            people.add_key(tx, owner.id, name=word, key_hash=f"h{number}", now=now)
            people.add_user(tx, word, role="viewer", password_hash="", now=now)
            about = {"server": word, "version": word, "pools": [word], "networks": [word]}
            hosts.add(tx, Host(f"h{number}", word, "lxd", {"power_address": word}, "", about,
                               word, now, None, now, now))  # fmt: skip
            journal.add(tx, now, word[:48], word, actor=word)
    shown = {
        "/rules": LINES, "/profiles": LINES, "/tags": LINES, "/machines": LINES,
        "/settings": LINES, "/power/hosts": LINES, "/events": LINES[-100:],
    }  # fmt: skip
    for path, words in shown.items():
        assert unseen(harmless(admin, path), [word[:48] for word in words]) == [], path
    harmless(admin, "/events?kind=audit.")
    for number, _ in each()[::40]:
        harmless(admin, f"/power/hosts/h{number}")
    # No definition or condition is kept unread: machines of other tests would be held against them.
    with home.store.write() as tx:
        for _, word in each():
            for kind in (rules, profiles, tags):
                kind.delete(tx, word)


def test_hostile_words_in_notes_scripts_power_and_the_bmc_s_log_act_nowhere(
    admin: Page, home: House
) -> None:
    now = utc_now()
    name = home.enlist(**fresh())["machine"]
    with home.store.write() as tx:
        one = machines.find(tx, name)
        for number, word in each(255):
            machine = replace(
                one, id=f"x{number}", name=word[:63], uuid="", serial=word, vendor=word,
                product=word, pool=word[:64], state_reason=word, power_driver="redfish",
                power_parameters={"power_address": word, word[:40]: word}, denied_reason=word,
            )  # fmt: skip
            machines.add(tx, machine)
            power_states.enrol(tx, now=now)
            seen = PowerState(machine.id, word[:16], word[:16], now, now, 1, word, now)
            power_states.save(tx, [seen])
            line = {"at": word, "severity": word, "message": word}
            log = {"entries": 3, "newest_critical": line, "error": word}
            findings.put(tx, machine.id, bmclogs.FINDING, log, result=0, now=now)
    for word in STRINGS:
        text = {"text": word.replace("\0", "")}
        assert home.ask("POST", f"/machines/{one.id}/notes", json=text).status_code < 500
    kept = harmless(admin, f"/machines/{one.id}")
    assert unseen(kept, STRINGS[-40:]) == []
    rows = harmless(admin, "/machines?limit=500&columns=state,model,serial,pool,power,why")
    assert unseen(rows, [word[:63] for word in LINES]) == []
    # The page names 200 of them.
    power = unseen(harmless(admin, "/power"), [word[:63] for word in LINES])
    assert len(power) <= len(LINES) - 199
    for number, word in each(255)[::12]:
        assert unseen(harmless(admin, f"/machines/x{number}"), [word]) == []
        assert unseen(harmless(admin, f"/machines/x{number}/power"), [word]) == []


SCRIPT = """#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: hostile-{number}
# title: {title}
# description: {title}
# script_type: testing
# --- End MAAS 1.0 script metadata ---
echo {word}
"""


def test_hostile_words_in_scripts_and_their_versions_act_nowhere(admin: Page, home: House) -> None:
    taken = []
    for number, word in enumerate(STRINGS):
        for title in (json.dumps(word), "plain"):
            text = SCRIPT.format(number=number, title=title, word=word.replace("\0", ""))
            source = base64.b64encode(text.encode()).decode()
            body = {"source": source, "comment": word.replace("\0", "")[:200]}
            answer = home.ask("POST", "/scripts", json=body)
            assert answer.status_code < 500, answer.text
            if answer.status_code < 300:
                taken.append(number)
                break
    assert len(set(taken)) >= 150
    harmless(admin, "/scripts")
    for number in taken[::9]:
        text = harmless(admin, f"/scripts/hostile-{number}")
        assert f"hostile-{number}" in text


def test_hostile_rows_of_the_manifest_are_shown_and_none_acts(admin: Page, home: House) -> None:
    for number in (1, 2):
        who = {"mac": f"52:54:00:ac:00:0{number}", "uuid": fresh()["uuid"]}
        lldp = LLDP % (LINES[number], LINES[number], LINES[number])
        home.surveyed(json.dumps(rackserver()).encode(), **who,
                      outputs={"99-maas-01-capture-lldp": lldp.encode()})  # fmt: skip
    rows: list[dict[str, Any]] = []
    for number, word in each(200):
        mac = f"52:54:00:ac:{number >> 8:02x}:{number & 255:02x}"
        cable = {"nic": word, "switch": word or "x", "port": f"{word} {number}"}
        rows.append({"serial": f"{word} {number}", "macs": [mac], "product": word, "rack": word,
                     "position": number % 40 + 1, "comment": word, "cables": [cable]})  # fmt: skip
    sent = {"text": json.dumps(rows), "partly": True}
    taken = home.ask("POST", "/manifest/import", json=sent).json()
    assert len(taken["added"]) >= 190, taken["problems"][:3]
    words = [row["comment"] for row in rows if row["serial"] in taken["added"]]
    seen = harmless(admin, "/topology/manifest") + harmless(
        admin, "/topology/manifest?after=" + url(second(home, 100))
    )
    assert len(unseen(seen, words)) < 30
    assert len(unseen(harmless(admin, "/topology"), words)) < 5
    racks = harmless(admin, "/topology/racks")
    assert len(unseen(racks, words)) < 5
    for word in words[::25]:
        harmless(admin, "/topology/racks?rack=" + url(word))
        harmless(admin, "/topology?rack=" + url(word))
    for one in home.get("/machines", params={"limit": 1000})["items"][-3:]:
        harmless(admin, f"/machines/{one['id']}")
        admin.locator("#expected section, #expected p").first.wait_for()
        assert admin.evaluate("window.hacked === undefined")


LLDP = """<lldp><interface name="eth0"><chassis><id type="mac">00:11:22:33:44:56</id>
<name><![CDATA[%s]]></name><descr><![CDATA[%s]]></descr></chassis>
<port><id type="ifname"><![CDATA[%s]]></id></port></interface></lldp>"""


def url(text: str) -> str:
    return quote(text, safe="")


def second(home: House, number: int) -> str:
    """The key of the row before which a page begins."""
    return str(home.get("/manifest", params={"limit": number})["items"][-1]["key"])
