"""Every page in a real browser: accessible, quiet, light and dark, on a desk and on a phone."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from rackserver import rackserver
from tests.web.browsing import Watched, serious, shoot
from tests.web.house import House, altered, utc_now

from muster.lifecycle import bmclogs
from muster.store import findings, hosts, machines, power_states
from muster.store.hosts import Host
from muster.store.power_states import PowerState

pytestmark = pytest.mark.slow

LLDP = b"""<lldp><interface name="%s" via="LLDP"><chassis><id type="mac">00:11:22:33:44:55</id>
<name>leaf-1</name><descr>Top of rack 7</descr></chassis>
<port><id type="ifname">Ethernet%d</id><descr>Ethernet%d</descr></port></interface></lldp>"""


def neighbour(number: int) -> dict[str, bytes]:
    return {"99-maas-01-capture-lldp": LLDP % (b"eth0", number, number)}


MANIFEST = """name,mac,rack,u,cables,pool,comment
db-1,52:54:00:00:00:01,R7,17,eth0=leaf-1:Ethernet1,,first of its row
db-2,52:54:00:00:00:02,R7,18-19,eth0=leaf-1:Ethernet7,big,
db-4,52:54:00:00:00:04,R7,40,eth0=leaf-1:Ethernet4; eth1=leaf-2:Ethernet4,,
db-5,52:54:00:00:00:05,R8,,,,
"""


def degraded(body: dict[str, Any]) -> None:
    function = body["extra"]["pcie"]["functions"][0]
    function["degraded"] = "x8 of x16"


@pytest.fixture(scope="module")
def rack(home: House) -> dict[str, str]:
    """Three machines surveyed, one of them twice; one that is stuck, one that starts."""
    document = json.dumps(rackserver()).encode()
    ids = {}
    for number in (1, 2, 3):
        mac, uuid = f"52:54:00:00:00:0{number}", f"5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0a0{number}"
        own = altered(document, degraded) if number == 2 else document
        ids[f"m{number}"] = home.surveyed(own, mac=mac, uuid=uuid, outputs=neighbour(number))
    with_bmcs(home, ids)
    home.ask("POST", f"/machines/{ids['m1']}/commission", json={})

    def less(body: dict[str, Any]) -> None:
        body["extra"]["dimms"]["slots"][1] = {"slot": "A2", "size": 0}

    welcome = home.hello(
        home.boot(mac="52:54:00:00:00:01", uuid="5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0a01"),
        mac="52:54:00:00:00:01",
        uuid="5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0a01",
    ).json()
    home.play(welcome, altered(document, less), outputs=neighbour(1))
    stuck = home.boot(mac="52:54:00:00:00:0a", uuid="5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0a0a")
    report = {"phase": "root", "status": "failed", "detail": "404 Not Found", "uptime_s": 9.5}
    home.client.post(f"/boot/report/{stuck}", json=report)
    home.boot(mac="52:54:00:00:00:0b", uuid="5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0a0b")
    # A board that moved: the MAC of one machine, the UUID of another.
    words = {"mac": "52:54:00:00:00:02", "uuid": "5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0a03"}
    assert "clash" in home.client.get("/boot/ipxe", params=words).text
    condition = {"condition": "pcie.degraded > 0", "tags": ["look-at-it"]}
    assert home.ask("PUT", "/rules/degraded", json=condition).status_code == 200
    golden = {"machines": [ids["m1"]], "condition": 'product = "Rack9000"'}
    assert home.ask("POST", "/profiles/r750/learn", json=golden).status_code == 201
    definition = {"kind": "expression", "definition": "cpu.sockets = 2"}
    home.ask("PUT", "/tags/two-sockets", json=definition)
    home.ask("PATCH", f"/machines/{ids['m1']}", json={"pool": "lab"})
    assert home.ask("POST", "/manifest/import", json={"text": MANIFEST}).json()["stored"]
    unreachable = Host("h1", "lxd1", "lxd", {"power_address": "127.0.0.1:1"}, "", {}, "",
                       None, None, utc_now(), utc_now())  # fmt: skip
    with home.store.write() as tx:
        hosts.add(tx, unreachable)
    run = home.get(f"/machines/{ids['m1']}/runs")[0]
    survey = next(r for r in run["results"] if r["name"] == "50-maas-01-commissioning")
    clash = str(home.get("/clashes")[0]["id"])
    return ids | {"run": str(run["id"]), "result": str(survey["id"]), "clash": clash}


def with_bmcs(home: House, ids: dict[str, str]) -> None:
    """They are of a model; two have BMCs, one of which does not answer."""
    now = utc_now()
    later = now + timedelta(hours=1)
    critical = {"at": "2026-05-01T03:12:44Z", "severity": "Critical",
                "message": "PSU 2: power input lost"}  # fmt: skip
    seen = [("m2", "on", "Warning", ""), ("m3", "unknown", "", "10.0.9.3: connection refused")]
    with home.store.write() as tx:
        for name in ("m1", "m2", "m3"):
            machine = machines.find(tx, ids[name]).id
            machines.update(tx, machine, vendor="ACME", product="Rack9000")
        for name, state, health, error in seen:
            machine = machines.find(tx, ids[name]).id
            address = {"power_address": f"10.0.9.{name[1]}"}
            machines.update(tx, machine, power_driver="redfish", power_parameters=address)
            power_states.enrol(tx, now=later)
            told = PowerState(machine, state, health, now, now, bool(error), error, later)
            power_states.save(tx, [told])
            log = {"entries": 212, "full_percent": 41, "newest_critical": critical, "error": error}
            findings.put(tx, machine, bmclogs.FINDING, log, result=0, now=now)


PAGES = {
    "arrivals": "/",
    "machines": "/machines",
    "machine": "/machines/{m2}",
    "history": "/machines/{m1}/history",
    "run": "/runs/{run}",
    "log": "/results/{result}",
    "raw": "/machines/{m1}/raw",
    "machine-power": "/machines/{m2}/power",
    "clashes": "/clashes",
    "clash": "/clashes/{clash}",
    "topology": "/topology",
    "racks": "/topology/racks",
    "rack-cables": "/topology?rack=R7",
    "manifest": "/topology/manifest",
    "rules": "/rules",
    "rule": "/rules/degraded",
    "rule-edit": "/rules/degraded/edit",
    "profiles": "/profiles",
    "profile": "/profiles/r750",
    "odd-ones": "/profiles/-/odd-ones?product=Rack9000",
    "tags": "/tags",
    "scan": "/power/scan",
    "hosts": "/power/hosts",
    "host": "/power/hosts/lxd1",
    "scripts": "/scripts",
    "script": "/scripts/50-maas-01-commissioning",
    "script-edit": "/scripts/new",
    "power": "/power",
    "images": "/images",
    "events": "/events",
    "audit": "/events?kind=audit.",
    "settings": "/settings",
}


@pytest.fixture(scope="module")
def signed_in(browser: Any, home: House) -> Iterator[Watched]:
    context = browser.new_context(base_url=home.url, viewport={"width": 1280, "height": 900})
    made = Watched(context, home.url)
    made.signed_in().close()
    yield made
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_quiet(
    name: str, signed_in: Watched, rack: dict[str, str]
) -> None:
    page = signed_in.page()
    page.goto(PAGES[name].format(**rack))
    page.wait_for_load_state("load")
    if page.locator("body").get_attribute("data-live"):
        page.wait_for_selector("body[data-connected]")
    assert serious(page) == []
    shoot(page, name)
    page.emulate_media(color_scheme="dark")
    assert serious(page) == []
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 390, "height": 844})
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, f"{name} is {wide} wide on a phone"
    assert serious(page) == []
    if name in ("arrivals", "machines", "machine", "topology", "racks"):
        page.screenshot(path=f"docs/screens/{name}-phone.png", animations="disabled")
    page.close()
    signed_in.check()


def test_the_sign_in_page_is_accessible_too(watched: Watched) -> None:
    page = watched.page()
    page.goto("/sign-in")
    assert serious(page) == []
    shoot(page, "sign-in")
