import asyncio
import inspect
from pathlib import Path

import pytest

from muster.power import drivers, fake
from muster.power.drivers import NAMES, PowerError, check, load

URIS = {f"power_{what}_uri": f"http://switch/{what}" for what in ("on", "off", "query")}


@pytest.mark.parametrize("name", NAMES)
def test_every_driver_has_three_coroutines_and_documented_parameters(name: str) -> None:
    driver = load(name)
    for function in (driver.state, driver.on, driver.off):
        assert inspect.iscoroutinefunction(function)
        assert len(inspect.signature(function).parameters) == 1
    assert set(driver.BMC) <= set(driver.PARAMETERS)
    assert hasattr(driver, "learn") == hasattr(driver, "unlearned")
    for optional in ("set_boot", "learn", "look"):
        assert not hasattr(driver, optional) or inspect.iscoroutinefunction(
            getattr(driver, optional)
        )
    for key, parameter in driver.PARAMETERS.items():
        assert parameter.help
        assert parameter.secret == (
            key == "key"
            or any(word in key for word in ("pass", "token", "community", "k_g", "secret"))
        ), f"{key}: is it secret or not?"
        assert not parameter.choices or parameter.default in parameter.choices
        assert not (parameter.required and parameter.default)


def test_every_module_of_the_room_is_a_driver_that_can_be_loaded() -> None:
    files = Path(drivers.__file__).parent.glob("*.py")
    assert {file.stem for file in files} - {
        "__init__",
        "discovery",
        "drivers",
        "https",
        "ipmiprompt",
        "lxdhosts",
        "programs",
        "redfishsession",
        "redfishtree",
    } == set(NAMES)


ALL = ", ".join(NAMES)
WRONG = [
    ("ipmo", {}, f"no power driver 'ipmo'; there are: {ALL}"),
    ("../os", {}, f"no power driver '../os'; there are: {ALL}"),
    ("drivers", {}, f"no power driver 'drivers'; there are: {ALL}"),
    ("manual", {"a": "1"}, "a: the driver manual has no such parameter; it has: none"),
    (
        "fake",
        {"name": "x", "nmae": "x"},
        "nmae: the driver fake has no such parameter; it has: name, delay_s, fault, power_pass",
    ),
    ("fake", {}, "name: the driver fake needs it: which of the fake switches"),
    ("fake", {"name": ""}, "name: the driver fake needs it: which of the fake switches"),
    (
        "webhook",
        URIS | {"power_query_uri": ""},
        "power_query_uri: the driver webhook needs it: URI that tells the state (GET)",
    ),
]


@pytest.mark.parametrize(("name", "parameters", "expected"), WRONG)
def test_wrong_parameters_are_refused_by_name(name: str, parameters: dict, expected: str) -> None:
    with pytest.raises(PowerError) as refusal:
        check(name, parameters)
    assert (str(refusal.value), refusal.value.permanent) == (expected, True)


def test_right_parameters_get_their_defaults() -> None:
    assert check("manual", {}) == {}
    assert check("webhook", URIS) == URIS | {
        "power_on_regex": r"status.*\:.*running",
        "power_off_regex": r"status.*\:.*stopped",
        "power_user": "",
        "power_pass": "",
        "power_token": "",
        "power_verify_ssl": "y",
    }


def test_the_fake_remembers_what_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "switches", {})
    one, other = {"name": "one", "delay_s": "0", "fault": ""}, {"name": "other"}

    async def switch() -> list[str]:
        seen = [await fake.state(one)]
        await fake.on(one)
        seen += [await fake.state(one), await fake.state(other)]
        await fake.off(one)
        return [*seen, await fake.state(one)]

    assert asyncio.run(switch()) == ["off", "on", "off", "off"]


@pytest.mark.parametrize("verb", ["state", "on", "off"])
def test_the_fake_fails_as_it_is_told(verb: str) -> None:
    with pytest.raises(PowerError) as failure:
        asyncio.run(getattr(fake, verb)({"name": "one", "fault": "BMC busy"}))
    assert (str(failure.value), failure.value.permanent) == ("BMC busy", False)


def test_a_machine_switched_by_hand_is_never_known_and_refuses_with_the_remedy() -> None:
    manual = load("manual")
    assert asyncio.run(manual.state({})) == "unknown"
    for verb in (manual.on, manual.off):
        with pytest.raises(PowerError) as refusal:
            asyncio.run(verb({}))
        assert refusal.value.permanent
        assert str(refusal.value) == (
            "this machine is switched by hand; set a power driver to let muster do it"
        )


def test_an_installed_package_adds_a_driver_and_takes_none_of_ours_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip leaves a package: a module and its metadata on the path."""
    (tmp_path / "acme_power.py").write_text(
        "from muster.power.drivers import Parameter\n"
        "PARAMETERS = {'outlet': Parameter('which', required=True)}\n"
        "BMC = ('outlet',)\n"
        "async def state(parameters): return 'on'\n"
        "async def on(parameters): pass\n"
        "async def off(parameters): pass\n"
    )
    about = tmp_path / "acme_power-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-power\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        "[muster.power]\nacme = acme_power\nipmi = acme_power\nbroken = acme_nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert check("acme", {"outlet": "7"}) == {"outlet": "7"}
    assert asyncio.run(load("acme").state({"outlet": "7"})) == "on"
    assert drivers.bmc_of("acme", {"outlet": "7"}) == "7"
    assert load("ipmi").__name__ == "muster.power.ipmi"
    assert drivers.names() == sorted([*NAMES, "acme", "broken"])
    with pytest.raises(PowerError, match="the power driver broken cannot be loaded: No module"):
        load("broken")


@pytest.mark.parametrize(
    ("address", "bmc"),
    [
        ("10.0.0.5", "10.0.0.5"),
        ("https://10.0.0.5/", "10.0.0.5"),
        ("10.0.0.5:443", "10.0.0.5"),
        ("10.0.0.5:8443", "10.0.0.5:8443"),
        ("https://[2001:DB8::443]", "2001:db8::443"),
        ("2001:db8:0::443", "2001:db8::443"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("bmc-7.example.net", "bmc-7.example.net"),
        ("https://bmc-7.example.net:443", "bmc-7.example.net"),
    ],
)
def test_one_bmc_is_one_however_its_address_is_written(address: str, bmc: str) -> None:
    assert drivers.bmc_of("redfish", {"power_address": address}) == bmc


def test_a_hypervisor_is_not_a_bmc_s_address() -> None:
    given = {"power_address": "qemu+ssh://root@10.0.0.5/system", "power_id": "m1"}
    assert drivers.bmc_of("virsh", given) == "qemu+ssh://root@10.0.0.5/system m1"
