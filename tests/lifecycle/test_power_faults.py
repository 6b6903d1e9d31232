"""Every fault of a real BMC, through the reconciler: what is told, how often it is asked, the end.

The BMCs are the test's, on loopback; the clients are the product's: HTTPS and FreeIPMI.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from rack import Rack
from tests.power import ipmi_bmc
from tests.power.certificates import Authority
from tests.power.ipmi_bmc import IpmiBmc, listen
from tests.power.redfish_bmc import SYSTEM, RedfishBmc, half, hang, says, serving

from muster.lifecycle import polling, power, switches
from muster.power import https, ipmi, programs
from muster.store import boots, goals, machines
from muster.store.goals import Goal
from muster.store.schema import metadata

PASSWORD, WRONG, K_G = "tell-NOBODY-5c1e", "nor-THIS-77ab", "nor-the-KEY-9d"
POWER_S = 20
# At 0, 1, 3, 7 and 15 s, and once more when POWER_S is over.
TRIES = 6
# A command is sent once; whether it worked is looked at 1, 1, 1, 2, 3, 5, 5 and 5 s later.
LOOKS = 9
Bmc = Callable[["Site"], AbstractAsyncContextManager[dict[str, str]]]


class Site:
    """Where the BMCs of a test are: an address of its own, and a CA."""

    def __init__(self, host: str, authority: Authority) -> None:
        self.host, self.authority = host, authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def site(worker_id: str, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Whose clients wait less than real ones, and trust its CA."""
    monkeypatch.setattr(https, "ANSWER_S", 0.2)
    limits = {"session-timeout": 700, "retransmission-timeout": 300}
    monkeypatch.setattr(ipmi, "_LIMITS_MS", limits)
    context = ssl.create_default_context(cafile=str(authority.file))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    real = https._ssl_of
    monkeypatch.setattr(https, "_ssl_of", lambda p: context if p.tls == "verify" else real(p))
    return Site(f"127.0.78.{1 + int(re.sub(r'[^0-9]', '', worker_id) or 0)}", authority)


def redfish(answer: Any = None, *, shows: dict[str, Any] | None = None, **given: str) -> Bmc:
    """A BMC that takes commands and ignores them; `answer` in place of what it has to say."""

    @asynccontextmanager
    async def play(site: Site) -> AsyncIterator[dict[str, str]]:
        bmc = RedfishBmc(password=PASSWORD)
        bmc.fault, bmc.obeys = answer, False
        tls, shown = site.authority.context(**(shows or {"self_signed": True}))
        async with serving(bmc.handle, tls) as url:
            login = {"power_address": url, "power_user": "admin", "power_pass": PASSWORD}
            yield {**login, "node_id": "1", "tls_fingerprint": shown, **given}
        assert not shows or bmc.heard == [], "a password was sent"

    return play


def over_lan(given: dict[str, str] | None = None, **faults: Any) -> Bmc:
    """The same with IPMI; `given` are the parameters in the record."""

    @asynccontextmanager
    async def play(site: Site) -> AsyncIterator[dict[str, str]]:
        bmc = IpmiBmc(**{"password": PASSWORD, "obeys": False, **faults})
        transport = await listen(bmc, site.host, 623)
        try:
            login = {"power_address": site.host, "power_user": "maas", "power_pass": PASSWORD}
            yield {**login, "cipher_suite_id": "17", **(given or {})}
        finally:
            transport.close()
            await asyncio.sleep(0)

    return play


VERIFY = {"tls": "verify", "tls_fingerprint": ""}
ELSEWHERE = "https://elsewhere.example"
IGNORED = ("the BMC accepted 'on' once and still says off; look at the machine itself, or restart"
           " its BMC")  # fmt: skip

# Driver, fault, the BMC, what the operator is told (HOST is the BMC), how often it was asked.
FAULTS: list[tuple[str, str, Bmc, str, int]] = [
    ("redfish", "wrong password", redfish(power_pass=WRONG),
     "HOST: wrong password for user 'admin', or no such user; set power_pass", 1),
    ("redfish", "too little privilege", redfish(says(403)),
     f"HOST: user 'admin' may not GET {SYSTEM}; give it the Operator role", 1),
    ("redfish", "expired certificate", redfish(shows={"expired": True}, **VERIFY),
     "HOST: its certificate has expired: renew it on the BMC, or set tls=pin", 1),
    ("redfish", "self-signed certificate", redfish(shows={"self_signed": True}, **VERIFY),
     "HOST: its certificate is signed by itself: install one of your CA, or set tls=pin", 1),
    ("redfish", "certificate of another", redfish(shows={"address": "10.0.0.1"}, **VERIFY),
     "HOST: its certificate is for another address: set power_address to the name in it, or set"
     " tls=pin", 1),
    ("redfish", "changed certificate",
     redfish(shows={"self_signed": True}, tls_fingerprint="ab" * 32),
     f"HOST: its certificate changed: it was {'ab' * 32}, now it is HEX; no password was sent. If"
     " you changed it, give the power parameters again without tls_fingerprint; if not, somebody"
     " else may answer there", 1),
    ("redfish", "hang", redfish(hang),
     f"GET {SYSTEM}: HOST took the request and did not answer within 0.2 s; if it stays so, restart"
     " the BMC", TRIES),
    ("redfish", "half an answer", redfish(half),
     f"GET {SYSTEM}: HOST broke off in the middle of its answer; it may be restarting", TRIES),
    ("redfish", "no JSON", redfish(says(200, "<html>")),
     f"GET {SYSTEM}: HOST answers what is no JSON; is there a BMC at this address?", TRIES),
    ("redfish", "redirect to another host", redfish(says(302, Location=f"{ELSEWHERE}/x")),
     f"HOST redirects to {ELSEWHERE}, where no password is sent; set power_address={ELSEWHERE} if"
     " that is the BMC", 1),
    ("redfish", "redirects in a circle", redfish(says(307, Location="/again")),
     f"GET {SYSTEM}: redirected 3 times; is the BMC misconfigured?", TRIES),
    ("redfish", "HTTP 500", redfish(says(500)), f"GET {SYSTEM}: HOST answers HTTP 500", TRIES),
    ("redfish", "HTTP 503 with Retry-After", redfish(says(503, Retry_After="9")),
     "HOST: is busy (HTTP 503); asked to wait 9 s", 4),
    ("redfish", "HTTP 503", redfish(says(503)),
     "HOST: is busy (HTTP 503); asked to wait a while", TRIES),
    ("redfish", "nobody there", redfish(power_address="https://127.0.0.1:1"),
     "HOST: cannot be reached: Connect call failed ('127.0.0.1', 1); is the address right?", TRIES),
    ("redfish", "reset accepted and ignored", redfish(), IGNORED, LOOKS),
    ("ipmi", "wrong password", over_lan({"power_pass": WRONG}),
     "HOST: wrong password; set power_pass", 1),
    ("ipmi", "wrong user", over_lan({"power_user": "nobody"}),
     "HOST: no such user; set power_user", 1),
    ("ipmi", "too little privilege", over_lan(refuses_role=True),
     "HOST: the user may not do this; give it OPERATOR, or set privilege_level", 1),
    ("ipmi", "wrong suite", over_lan(suites=(3,)),
     "HOST: does not offer cipher suite 17; set cipher_suite_id, or enable 17 on the BMC. It is not"
     " lowered by itself", 1),
    ("ipmi", "no suite that protects", over_lan({"cipher_suite_id": ""}, suites=()),
     "HOST: does not offer cipher suite 3; set cipher_suite_id, or enable 17 on the BMC. It is not"
     " lowered by itself", 1),
    ("ipmi", "another K_g", over_lan({"k_g": K_G}, k_g=b"the-key"),
     "HOST: the BMC has another K_g; set k_g", 1),
    ("ipmi", "hang", over_lan(answers=False),
     "HOST: does not answer; is the address right, IPMI over LAN enabled?", TRIES),
    ("ipmi", "half an answer", over_lan(part=0.6),
     "HOST: breaks off in the middle of its answer; it may be restarting, or a firewall on the way"
     " cuts packets", TRIES),
    ("ipmi", "busy", over_lan(code=ipmi_bmc.BUSY), "HOST: is busy; it is asked again", TRIES),
    ("ipmi", "command accepted and ignored", over_lan(), IGNORED, LOOKS),
]  # fmt: skip
# ipmipower gives up by its own clock.
SLOW = {("ipmi", "hang"): pytest.mark.slow}


def wired(rack: Rack, driver: str, given: dict[str, str]) -> str:
    machine: str = rack.arrive()[1].machine
    switches.set_switch(rack.store, rack.keyring, machine, driver, given, actor="a", now=rack.now())
    return machine


def board(rack: Rack) -> power.Switchboard:
    return power.Switchboard(rack.store, rack.keyring, rack.policy, rack.now)


def goal_of(rack: Rack, name: str) -> Goal:
    with rack.store.read() as tx:
        found = goals.find(tx, machines.find(tx, name).id)
    assert found is not None
    return found


async def settle(rack: Rack, name: str) -> tuple[Goal, int]:
    """The goal at its end, and how many steps it took."""
    for steps in range(1, 30):
        await power.step(board(rack))
        if (due := goal_of(rack, name).due_at) is None:
            return goal_of(rack, name), steps
        rack.now.now = max(due, rack.now())
    pytest.fail(f"still tried after {steps} steps")


def everything(rack: Rack) -> str:
    with rack.store.read() as tx:
        rows = (tx.execute(sa.select(table)) for table in metadata.sorted_tables)
        return "".join(repr(list(of)) for of in rows)


@pytest.mark.parametrize(
    ("driver", "bmc", "told", "tries"),
    [
        pytest.param(d, b, t, n, id=f"{d}: {fault}", marks=SLOW.get((d, fault), ()))
        for d, fault, b, t, n in FAULTS
    ],
)
def test_each_fault_ends_with_its_own_message_and_tells_no_secret(
    rack: Rack, site: Site, caplog: Any, driver: str, bmc: Bmc, told: str, tries: int
) -> None:
    if driver == "ipmi" and not any(
        Path(folder, "ipmipower").exists() for folder in programs.PATH.split(":")
    ):
        pytest.skip("FreeIPMI is not installed (apt-get install freeipmi-tools)")
    rack.policy = replace(rack.policy, power_s=POWER_S)

    async def act() -> tuple[str, Goal, int]:
        async with bmc(site) as given:
            name = wired(rack, driver, given)
            power.ask(rack.store, rack.policy, name, "on", actor="ada", now=rack.now())
            return name, *await settle(rack, name)

    name, goal, steps = asyncio.run(act())
    host = site.host if driver == "ipmi" else "127.0.0.1"
    said = re.sub("now it is [0-9a-f]{64}", "now it is HEX", goal.detail).replace(host, "HOST")
    assert (goal.status, said) == ("failed", told.replace("127.0.0.1", "HOST"))
    assert steps == tries
    failures = rack.told("power.failed")
    assert 1 <= len(failures) <= 2, "told at the first failure and at the end, not each time"
    assert failures[0] == f"power on of {name}: {goal.detail}"
    kept = everything(rack) + caplog.text
    assert all(secret not in kept for secret in (PASSWORD, WRONG, K_G))


@pytest.mark.parametrize("driver", ["redfish", "ipmi"])
def test_a_bmc_that_lies_about_a_machine_that_speaks_is_not_believed(
    rack: Rack, site: Site, driver: str
) -> None:
    async def look_twice() -> None:
        async with {"redfish": redfish(), "ipmi": over_lan()}[driver](site) as given:
            name = wired(rack, driver, given)
            await polling.sweep(board(rack))
            rack.now.advance(5)
            with rack.store.write() as tx:
                (boot,) = boots.open_of_machine(tx, machines.find(tx, name).id)
                begun = rack.now() - timedelta(60)
                boots.update(tx, boot.id, started_at=begun, last_heard_at=rack.now())
            rack.now.advance(3600)
            with rack.store.write() as tx:
                boots.update(tx, boot.id, last_heard_at=rack.now())
            await polling.sweep(board(rack))

    asyncio.run(look_twice())
    (told,) = rack.told("power.unseen")
    assert told.endswith(
        "the BMC says off while the machine's agent is heard: it lies, or it is another machine's;"
        " check power_address and node_id, or restart the BMC"
    )
