"""A machine's BMC gets a user only when allowed, and is believed only when it answers us."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rack import MAC, Rack, event

from muster.lifecycle import bmc, bmcverify, commission, polling, power, survey, switches
from muster.lifecycle.commission import Options
from muster.lifecycle.readings import Unreadable
from muster.lifecycle.readings import bmc as read_bmc
from muster.lifecycle.secrets import Forbidden
from muster.power import ipmi, redfish
from muster.power.drivers import PowerError
from muster.scripts import catalogue
from muster.store import bmc_offers, events, findings
from muster.wire.hello import ScriptItem

REPORT = {
    "kind": "ipmi",
    "firmware": "uefi",
    "device": "/dev/ipmi0",
    "lan": [{"channel": 1, "address": "192.0.2.9", "mac": "b0:7b:25:00:00:01", "ipv6": []}],
    "redfish": [],
    "weak": ["channel 1: cipher suite 0 needs no password and gives administrator"],
    "changed": ["user 3 is named muster"],
    "user": "muster",
    "slot": 3,
    "channel": 1,
    "password": 1,
    "problem": "",
}


@pytest.fixture(autouse=True)
def with_bmc_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of these tests have the script, too."""
    few = [*catalogue.for_commission()]
    few += [s for s in catalogue.builtin("commissioning") if "bmc-config" in s.tags]
    monkeypatch.setattr(catalogue, "for_commission", lambda: few)


class Visit:
    """One commissioning boot of the machine m, up to its bmc-config script."""

    def __init__(self, rack: Rack, **options: Any) -> None:
        self.rack = rack
        if not rack.machines():
            rack.arrive(macs=[MAC])
            with rack.store.write() as tx:
                tx.exec_driver_sql("UPDATE machines SET name = 'm'")
        commission.start(
            rack.store, rack.policy, "m", Options(tests=["none"], **options), actor="ada",
            now=rack.now(),
        )  # fmt: skip
        _, self.welcome = rack.arrive(macs=[MAC])
        assert self.welcome.mode == "commission"

    @property
    def item(self) -> ScriptItem:
        return next(i for i in self.welcome.scripts if i.name == "30-maas-01-bmc-config")

    def secret(self, token: str = "", result: int = 0) -> dict[str, Any]:
        rack = self.rack
        return bmc.secret(
            rack.store, rack.keyring, token or self.welcome.token, result or self.item.result,
            rack.now(),
        )  # fmt: skip

    def report(self, **changes: Any) -> None:
        raw = json.dumps(REPORT | changes).encode()
        item = self.item.result
        self.rack.send(
            self.welcome.token,
            event(1, "started", item),
            event(2, "output", item, data=raw, stream="stdout"),
            event(3, "finished", item, exit_status=0),
        )

    def end(self) -> None:
        """Every other script passes."""
        others = [i for i in self.welcome.scripts if i.result != self.item.result]
        happened = []
        for item in others:
            happened.append(("started", item.result, {}))
            if item.name == survey.RESOURCES:
                happened.append(("output", item.result, {"data": self.rack.document}))
            happened.append(("finished", item.result, {"exit_status": 0}))
        happened.append(("end", 0, {}))
        self.rack.send(
            self.welcome.token,
            *(event(seq, kind, on, **words) for seq, (kind, on, words) in enumerate(happened, 4)),
        )


def verify(rack: Rack) -> int:
    board = power.Switchboard(rack.store, rack.keyring, rack.policy, rack.now)
    return asyncio.run(bmcverify.verify(board))


def told(rack: Rack, kind: str) -> list[str]:
    with rack.store.read() as tx:
        return [event.message for event in events.some(tx, kind=kind)]


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The BMC answers everybody; what it was asked with."""
    asked: list[dict[str, str]] = []

    async def state(parameters: dict[str, str]) -> str:
        asked.append(dict(parameters))
        return "on"

    monkeypatch.setattr(ipmi, "state", state)
    # Polls go to an ipmipower that waits for them: here each BMC is asked by itself.
    monkeypatch.delattr(ipmi, "Poller")
    return asked


def refusing(why: str, *, permanent: bool) -> Callable[..., Any]:
    async def state(parameters: dict[str, str]) -> str:
        raise PowerError(why, permanent=permanent)

    return state


def test_nothing_is_given_out_unless_the_operator_allowed_it(rack: Rack) -> None:
    visit = Visit(rack)
    assert visit.item.secret
    assert visit.secret() == {}
    visit.report(user="muster")
    assert verify(rack) == 0
    assert rack.machine("m").power_driver == "manual"


def test_a_setting_or_one_commissioning_allows_it_and_skipping_leaves_the_script_out(
    rack: Rack,
) -> None:
    assert Visit(rack, bmc_config="configure").secret()["user"] == "muster"
    rack.policy = type(rack.policy)(bmc_config=True)
    commission.abort(rack.store, rack.policy, "m", actor="ada", now=rack.now())
    assert Visit(rack).secret()["user"] == "muster"
    commission.abort(rack.store, rack.policy, "m", actor="ada", now=rack.now())
    assert Visit(rack, bmc_config="look").secret() == {}
    commission.abort(rack.store, rack.policy, "m", actor="ada", now=rack.now())
    names = [item.name for item in Visit(rack, bmc_config="skip").welcome.scripts]
    assert survey.RESOURCES in names
    assert "30-maas-01-bmc-config" not in names


def test_an_enlisting_machine_never_sees_the_script(rack: Rack) -> None:
    rack.policy = type(rack.policy)(bmc_config=True)
    _, welcome = rack.arrive(macs=[MAC])
    assert welcome.mode == "enlist"
    assert not [item for item in welcome.scripts if item.secret or "bmc-config" in item.name]


def test_passwords_are_of_several_kinds_and_the_same_until_one_is_taken(rack: Rack) -> None:
    visit = Visit(rack, bmc_config="configure")
    first = visit.secret()
    assert (first["user"], first["privilege"], first["known"]) == ("muster", 3, False)
    kinds = [(len(text), text.isalnum()) for text in first["passwords"]]
    assert kinds == [(16, False), (16, True), (20, False)]
    assert visit.secret() == first
    assert not [text for text in first["passwords"] if text in repr(visit.welcome)]
    with rack.store.read() as tx:
        machine = rack.machine("m").id
        offer = bmc_offers.find(tx, machine)
    assert offer is not None
    assert not [text for text in first["passwords"] if text in repr(offer)]
    commission.abort(rack.store, rack.policy, "m", actor="ada", now=rack.now())
    assert Visit(rack, bmc_config="configure").secret() == first


@pytest.mark.parametrize("special", ["", "-_.+="])
def test_a_password_has_every_kind_of_character(special: str) -> None:
    made = {bmc.new_password(16, special) for _ in range(200)}
    assert len(made) == 200
    for text in made:
        assert len(text) == 16
        assert text[0].isalpha()
        assert any(c.islower() for c in text)
        assert any(c.isupper() for c in text)
        assert any(c.isdigit() for c in text)
        assert text.isalnum() == (not special)


def test_who_may_not_ask_is_refused(rack: Rack) -> None:
    visit = Visit(rack, bmc_config="configure")
    other = next(i for i in visit.welcome.scripts if not i.secret)
    assert visit.secret(result=other.result) == {}
    with pytest.raises(Forbidden, match="unknown session token"):
        visit.secret(token="x")
    with pytest.raises(Forbidden, match="result 999"):
        visit.secret(result=999)
    visit.report()
    with pytest.raises(Forbidden, match="is not for boot"):
        visit.secret()


def test_what_the_bmc_answers_from_outside_becomes_the_machine_s_switch(
    rack: Rack, outside: list[dict[str, str]]
) -> None:
    visit = Visit(rack, bmc_config="configure")
    passwords = visit.secret()["passwords"]
    visit.report()
    assert rack.machine("m").power_driver == "manual", "not before it answered"
    assert verify(rack) == 1
    machine = rack.machine("m")
    assert machine.power_driver == "ipmi"
    known = switches.parameters_of(rack.keyring, machine)
    assert (known["power_address"], known["power_user"]) == ("192.0.2.9", "muster")
    assert known["power_pass"] == passwords[1] == outside[-1]["power_pass"]
    assert (known["power_boot_type"], known["mac_address"]) == ("efi", "b0:7b:25:00:00:01")
    assert known["cipher_suite_id"] == "17"
    assert machine.bmc == "192.0.2.9"
    assert told(rack, "bmc.verified") == ["m: its BMC answers muster by ipmi at 192.0.2.9"]
    assert told(rack, "bmc.weak") == [f"m: {REPORT['weak'][0]}"]
    assert verify(rack) == 0
    with rack.store.read() as tx:
        assert bmc_offers.sealed(tx) == {}
        body = findings.body(tx, machine.id, "bmc")
    assert body["addresses"] == ["192.0.2.9"]
    assert not [text for text in passwords if text in repr((body, told(rack, "")))]


def test_a_second_time_gives_the_same_password_and_changes_no_switch(
    rack: Rack, outside: list[dict[str, str]]
) -> None:
    visit = Visit(rack, bmc_config="configure")
    passwords = visit.secret()["passwords"]
    visit.report()
    verify(rack)
    visit.end()
    assert rack.machine("m").state == "Ready"
    before = rack.machine("m")
    again = Visit(rack, bmc_config="configure")
    assert (again.secret()["passwords"], again.secret()["known"]) == ([passwords[1]], False)
    board = power.Switchboard(rack.store, rack.keyring, rack.policy, rack.now)
    asyncio.run(polling.sweep(board))
    assert again.secret()["known"], "its BMC let us in when it was polled"
    again.report(password=0, changed=[])
    assert verify(rack) == 1
    after = rack.machine("m")
    assert (after.power_secret, after.power_parameters) == (
        before.power_secret,
        before.power_parameters,
    )
    assert len(told(rack, "bmc.verified")) == 2
    assert len(told(rack, "machine.power_set")) == 1
    assert len(told(rack, "bmc.weak")) == 1, "it is the same weakness"


def test_a_bmc_that_speaks_redfish_is_asked_so_first(
    rack: Rack, outside: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def learn(parameters: dict[str, str], known: Any) -> dict[str, str]:
        asked.append(parameters["power_address"])
        if "[" not in parameters["power_address"]:
            raise PowerError("10.0.0.1: no Redfish here")
        return {"tls_fingerprint": "00" * 32, "node_id": "1"}

    async def state(parameters: dict[str, str]) -> str:
        return "on"

    monkeypatch.setattr(redfish, "learn", learn)
    monkeypatch.setattr(redfish, "state", state)
    visit = Visit(rack, bmc_config="configure")
    visit.secret()
    lan = [{"channel": 1, "address": "0.0.0.0", "ipv6": ["fe80::9/64", "fd00::9/64"]}]
    host = [{"service_address": "169.254.1.1", "service_port": 443}]
    visit.report(lan=lan, redfish=host)
    assert verify(rack) == 1
    machine = rack.machine("m")
    assert (machine.power_driver, asked) == ("redfish", ["[fd00::9]"])
    assert machine.power_parameters["node_id"] == "1"


def test_a_wrong_password_is_never_kept(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipmi, "state", refusing("192.0.2.9: wrong password", permanent=True))
    visit = Visit(rack, bmc_config="configure")
    visit.secret()
    visit.report()
    assert verify(rack) == 1
    assert rack.machine("m").power_driver == "manual"
    assert told(rack, "bmc.unverified") == [
        "m: its BMC made the user muster and does not answer it from here, so it is not used:"
        " 192.0.2.9: wrong password"
    ]
    assert verify(rack) == 0


def test_a_bmc_that_does_not_answer_is_tried_some_times(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ipmi, "state", refusing("192.0.2.9: does not answer", permanent=False))
    visit = Visit(rack, bmc_config="configure")
    visit.secret()
    visit.report()
    tries = 0
    for _ in range(100):
        tries += verify(rack)
        rack.now.now += timedelta(seconds=30)
    assert tries == 6
    assert len(told(rack, "bmc.unverified")) == 1


def test_a_server_killed_while_it_tried_loses_nothing(
    rack: Rack, outside: list[dict[str, str]]
) -> None:
    visit = Visit(rack, bmc_config="configure")
    visit.secret()
    visit.report()
    lease = timedelta(seconds=120)
    with rack.store.write() as tx:
        assert len(bmc_offers.claim_due(tx, now=rack.now(), lease=lease, limit=9)) == 1
    assert verify(rack) == 0, "another server may be at it"
    rack.now.now += lease
    assert verify(rack) == 1
    assert rack.machine("m").power_driver == "ipmi"


def test_a_bmc_without_an_address_for_us_is_told(rack: Rack) -> None:
    visit = Visit(rack, bmc_config="configure")
    visit.secret()
    visit.report(lan=[{"channel": 1, "address": "169.254.3.4"}])
    assert verify(rack) == 1
    assert "no address that can be reached from here" in told(rack, "bmc.unverified")[0]


def test_another_s_switch_is_left_as_it_is(rack: Rack, outside: list[dict[str, str]]) -> None:
    visit = Visit(rack, bmc_config="configure")
    visit.secret()
    given = {"name": "m", "power_pass": "theirs"}
    set_fake = (rack.store, rack.keyring, "m", "fake", given)
    switches.set_switch(*set_fake, actor="ada", now=rack.now())
    assert visit.secret() == {}
    visit.report()
    assert verify(rack) == 1
    assert rack.machine("m").power_driver == "fake"
    assert told(rack, "bmc.left") == [
        "m is switched by fake: its BMC is only looked at",
        "m got another switch meanwhile; its BMC's user muster is not used",
    ]


def test_a_machine_that_claims_what_nobody_offered_is_not_believed(
    rack: Rack, outside: list[dict[str, str]]
) -> None:
    visit = Visit(rack, bmc_config="configure")
    visit.report()
    assert verify(rack) == 0
    assert outside == []


def test_a_password_that_was_not_offered_is_refused(
    rack: Rack, outside: list[dict[str, str]]
) -> None:
    visit = Visit(rack, bmc_config="configure")
    visit.secret()
    visit.report(password=7)
    assert verify(rack) == 1
    assert (outside, rack.machine("m").power_driver) == ([], "manual")


def test_a_rotation_takes_offered_passwords_along(
    rack: Rack, outside: list[dict[str, str]]
) -> None:
    visit = Visit(rack, bmc_config="configure")
    passwords = visit.secret()["passwords"]
    assert switches.rotate(rack.store, rack.keyring, actor="ada", now=rack.now())[1] == 1
    visit.report()
    verify(rack)
    known = switches.parameters_of(rack.keyring, rack.machine("m"))
    assert known["power_pass"] == passwords[1]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": "toaster"}, "kind: 'toaster'"),
        ({"weak": "all"}, "weak: is no list"),
        ({"slot": "x"}, "slot: is no small whole number"),
        ({"lan": 5}, "lan"),
        ({"user": 5}, "user"),
        ({"redfish": [{"service_address": "a", "service_port": 1 << 40}]}, "service_port"),
    ],
)
def test_a_report_that_is_none_is_named(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read_bmc(json.dumps(REPORT | changes).encode())
