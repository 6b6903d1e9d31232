import asyncio
import json
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.power.certificates import Authority
from tests.power.redfish_bmc import SYSTEM, RedfishBmc, half, hang, says, serving

from muster.power import https, redfish
from muster.power.drivers import Known, PowerError, Seen, check

UUID = "0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e0001"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def bmc() -> RedfishBmc:
    return RedfishBmc()


class Use:
    """Calls the driver while the BMC serves with a certificate."""

    def __init__(self, bmc: RedfishBmc, tls: ssl.SSLContext, fingerprint: str) -> None:
        self.bmc, self.tls, self.fingerprint = bmc, tls, fingerprint

    def __call__(self, verb: str, *words: Any, **changes: str) -> Any:
        async def call() -> Any:
            async with serving(self.bmc.handle, self.tls) as url:
                self.url = url
                given = {
                    "power_address": url,
                    "power_user": "admin",
                    "power_pass": "hush",
                    "node_id": "1",
                    "tls_fingerprint": self.fingerprint,
                }
                return await getattr(redfish, verb)(check("redfish", given | changes), *words)

        return asyncio.run(call())

    def refused(self, verb: str, *words: Any, **changes: str) -> PowerError:
        with pytest.raises(PowerError) as refused:
            self(verb, *words, **changes)
        assert "hush" not in str(refused.value)
        return refused.value


@pytest.fixture
def use(bmc: RedfishBmc, authority: Authority) -> Use:
    return Use(bmc, *authority.context(self_signed=True))


def test_it_switches_and_sees_it(use: Use, bmc: RedfishBmc) -> None:
    assert use("look") == Seen("off", "Warning")
    use("on")
    assert use("state") == "on"
    use("off")
    assert (use("state"), bmc.power) == ("off", "Off")


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("On", "on"),
        ("Off", "off"),
        ("PoweringOn", "unknown"),
        ("Paused", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_state_in_between_is_unknown(use: Use, bmc: RedfishBmc, said: str, state: str) -> None:
    bmc.power = said
    assert use("state") == state


@pytest.mark.parametrize(
    ("device", "target"), [("pxe", "Pxe"), ("http", "UefiHttp"), ("disk", "Hdd")]
)
def test_the_boot_device_is_set_for_one_start(
    use: Use, bmc: RedfishBmc, device: str, target: str
) -> None:
    use("set_boot", device)
    assert bmc.boot == {"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": "Once"}
    assert bmc.heard[-1] == ("PATCH", SYSTEM)


def test_the_boot_device_goes_to_the_settings_where_they_have_it(use: Use, bmc: RedfishBmc) -> None:
    bmc.resources[SYSTEM]["@Redfish.Settings"] = {"SettingsObject": {"@odata.id": f"{SYSTEM}/Sd"}}
    bmc.resources[f"{SYSTEM}/Sd"] = {"Boot": {"BootSourceOverrideTarget": "None"}}
    use("set_boot", "pxe")
    assert bmc.heard[-1] == ("PATCH", f"{SYSTEM}/Sd")


def test_a_boot_device_that_is_not_offered_is_refused_with_those_that_are(
    use: Use, bmc: RedfishBmc
) -> None:
    bmc.resources[SYSTEM]["Boot"]["BootSourceOverrideTarget@Redfish.AllowableValues"] = ["Hdd"]
    told = str(use.refused("set_boot", "pxe"))
    assert told == "127.0.0.1: cannot boot from Pxe; it offers Hdd"


def test_reset_types_are_read_from_the_action_s_information(use: Use, bmc: RedfishBmc) -> None:
    reset = bmc.resources[SYSTEM]["Actions"]["#ComputerSystem.Reset"]
    del reset["ResetType@Redfish.AllowableValues"]
    reset["@Redfish.ActionInfo"] = f"{SYSTEM}/Info"
    values = {"Name": "ResetType", "AllowableValues": ["ForceOn"]}
    bmc.resources[f"{SYSTEM}/Info"] = {"Parameters": [values]}
    use("on")
    assert bmc.power == "On"
    error = use.refused("off")
    assert str(error) == "127.0.0.1: offers none of ForceOff, PushPowerButton; it offers ForceOn"
    assert error.permanent


def test_the_first_contact_learns_certificate_and_system_without_a_password(
    use: Use, bmc: RedfishBmc
) -> None:
    learned = use("learn", Known(), node_id="", tls_fingerprint="")
    assert learned == {"tls_fingerprint": use.fingerprint, "node_id": "1"}
    bmc.heard.clear()
    assert use("learn", Known(), tls_fingerprint="") == {"tls_fingerprint": use.fingerprint}
    assert bmc.heard == []


def several(bmc: RedfishBmc) -> None:
    """Node 2, and a baseboard without a button, stand before node 1 in the list."""
    paths = ("/redfish/v1/Systems/HGX", "/redfish/v1/Systems/Node2", SYSTEM)
    bmc.resources["/redfish/v1/Systems"] = {"Members": [{"@odata.id": path} for path in paths]}
    bmc.resources[paths[0]] = {"Actions": {}, "UUID": UUID}
    actions = {"Actions": {"#ComputerSystem.Reset": {}}}
    bmc.resources[paths[1]] = actions | {"SerialNumber": "SN2", "UUID": None}


@pytest.mark.parametrize(
    ("known", "node"),
    [
        (Known(uuid=UUID), "1"),
        (Known(uuid="4e9d1f0d-0a5d-434f-9a1e-5a4f9d1e0001"), "1"),
        (Known(serial="SN1"), "1"),
        (Known(serial="SN2"), "Node2"),
    ],
)
def test_of_several_systems_the_machine_s_own_is_chosen(
    use: Use, bmc: RedfishBmc, known: Known, node: str
) -> None:
    several(bmc)
    assert use("learn", known, node_id="") == {"node_id": node}


def test_of_several_systems_none_is_guessed(use: Use, bmc: RedfishBmc) -> None:
    several(bmc)
    error = use.refused("learn", Known(), node_id="")
    assert str(error) == "127.0.0.1: switches 2 systems; set node_id to one of Node2, 1"
    assert error.permanent


FAULTS: list[tuple[Callable, str, bool]] = [
    (hang, f"GET {SYSTEM}: 127.0.0.1 took the request and did not answer within 0.3 s; if it stays"
     " so, restart the BMC", False),
    (half, f"GET {SYSTEM}: 127.0.0.1 broke off in the middle of its answer; it may be restarting",
     False),
    (says(200, "<html>"), f"GET {SYSTEM}: 127.0.0.1 answers what is no JSON; is there a BMC at this"
     " address?", False),
    (says(200, "[]"), f"GET {SYSTEM}: 127.0.0.1 answers JSON that is no object", False),
    (says(302, Location="https://elsewhere.example/x"), "127.0.0.1 redirects to"
     " https://elsewhere.example, where no password is sent; set"
     " power_address=https://elsewhere.example if that is the BMC", True),
    (says(307, Location="/again"), f"GET {SYSTEM}: redirected 3 times; is the BMC misconfigured?",
     False),
    (says(403), f"127.0.0.1: user 'admin' may not GET {SYSTEM}; give it the Operator role", True),
    (says(404), f"GET {SYSTEM}: 127.0.0.1 has no such thing; is node_id right?", True),
    (says(500, '{"error": {"message": "Internal\\u001b[2J error"}}'), f"GET {SYSTEM}: 127.0.0.1"
     ' answers HTTP 500: "Internal[2J error"', False),
    (says(503, Retry_After="7"), "127.0.0.1: is busy (HTTP 503); asked to wait 7 s", False),
    (says(503), "127.0.0.1: is busy (HTTP 503); asked to wait a while", False),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "told", "permanent"), FAULTS)
def test_each_fault_has_its_own_message_and_remedy(
    use: Use,
    bmc: RedfishBmc,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable,
    told: str,
    permanent: bool,
) -> None:
    bmc.fault = fault
    if fault is hang:
        monkeypatch.setattr(https, "ANSWER_S", 0.3)
    error = use.refused("state")
    assert (str(error), error.permanent) == (told, permanent)


def test_the_time_that_a_busy_bmc_asks_for_is_kept(use: Use, bmc: RedfishBmc) -> None:
    for asked, kept in [("7", 7), ("99999", 300), ("soon", None), ("-1", None), ("", None)]:
        bmc.fault = says(503, Retry_After=asked)
        assert use.refused("state").retry_after == kept


def test_a_wrong_password_is_not_tried_again(use: Use) -> None:
    error = use.refused("state", power_pass="wrong")
    assert error.permanent
    assert str(error) == (
        "127.0.0.1: wrong password for user 'admin', or no such user; set power_pass"
    )


def test_a_redirect_within_the_host_is_followed(use: Use, bmc: RedfishBmc) -> None:
    async def move(request: web.Request) -> web.StreamResponse:
        bmc.fault = None
        raise web.HTTPPermanentRedirect(f"{request.path}/")

    bmc.fault = move
    assert use("state") == "off"


def test_a_changed_certificate_gets_no_password(
    use: Use, bmc: RedfishBmc, authority: Authority
) -> None:
    was = use.fingerprint
    use.tls, now = authority.context(self_signed=True)
    error = use.refused("state")
    assert error.permanent
    assert str(error).startswith(
        f"127.0.0.1: its certificate changed: it was {was}, now it is {now}; no password was sent."
    )
    assert bmc.heard == []


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        ({"self_signed": True}, "is signed by itself: install one of your CA, or set tls=pin"),
        ({"expired": True}, "has expired: renew it on the BMC, or set tls=pin"),
        ({"address": "10.0.0.1"}, "is for another address: set power_address to the name in it,"
         " or set tls=pin"),
    ],
)  # fmt: skip
def test_what_verification_refuses_is_told_with_the_remedy(
    use: Use, authority: Authority, monkeypatch: pytest.MonkeyPatch, certificate: dict, why: str
) -> None:
    trust(monkeypatch, authority)
    use.tls, _ = authority.context(**certificate)
    error = use.refused("state", tls="verify")
    assert (str(error), error.permanent) == (f"127.0.0.1: its certificate {why}", True)
    assert use.bmc.heard == []


def trust(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    """The CA is one of this machine's."""
    context = ssl.create_default_context(cafile=str(authority.file))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    real = https._ssl_of
    monkeypatch.setattr(https, "_ssl_of", lambda p: context if p.tls == "verify" else real(p))


def test_a_certificate_of_a_trusted_ca_is_accepted(
    use: Use, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(monkeypatch, authority)
    use.tls, _ = authority.context()
    assert use("state", tls="verify") == "off"


def test_an_insecure_bmc_must_be_called_so(use: Use) -> None:
    use.tls = None  # type: ignore[assignment]
    assert "http:// sends the password readable" in str(use.refused("state"))
    assert use("state", tls="insecure") == "off"


def test_who_is_not_there_is_told_apart(use: Use) -> None:
    refused = str(use.refused("state", power_address="https://127.0.0.1:1"))
    assert refused.startswith("127.0.0.1: cannot be reached: ")
    unknown = str(use.refused("state", power_address="nobody.invalid"))
    assert unknown.startswith("power_address: the name nobody.invalid is not found")


@pytest.mark.parametrize("address", ["10.0.0.5", "10.0.0.5:8443", "fe80::1", "[fe80::1]:443"])
def test_addresses_are_read_as_people_write_them(address: str) -> None:
    peer = https.peer_of({"power_address": address, "power_pass": "hush"})
    assert peer.url.scheme == "https"
    assert "hush" not in repr(peer)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(system=st.fixed_dictionaries({}, optional={
    name: junk for name in ("PowerState", "Status", "Boot", "Actions", "UUID", "SerialNumber")
}))  # fmt: skip
def test_no_shape_of_a_system_is_an_exception(system: dict) -> None:
    assert redfish.seen(json.loads(json.dumps(system))).state in ("on", "off", "unknown")
    redfish.is_machine(system, Known(uuid=UUID, serial="SN1"))
