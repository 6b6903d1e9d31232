"""Debian's LXD 5.0.2 with a container: trusted by token and by password, switched, refused."""

import asyncio
from typing import Any

import pytest
from tests.power.lxd_host import LxdHost

from muster.power import lxd
from muster.power.drivers import Known, PowerError, check

pytestmark = pytest.mark.e2e


def given(host: LxdHost, **more: str) -> dict[str, str]:
    return check("lxd", {"power_address": host.address, "instance_name": "c1"} | more)


def learned(parameters: dict[str, str]) -> dict[str, str]:
    """As the server does: until nothing is left to learn."""

    async def learn() -> dict[str, str]:
        found = dict(parameters)
        while lxd.unlearned(found):
            found |= await lxd.learn(found, Known())
        return found

    return asyncio.run(learn())


def refusal(work: Any) -> tuple[str, bool]:
    with pytest.raises(PowerError) as error:
        asyncio.run(work)
    return str(error.value), error.value.permanent


@pytest.fixture(scope="module")
def c1(lxd_host: LxdHost) -> dict[str, str]:
    """Parameters of a stopped container, trusted by a token."""
    lxd_host.lxc("init", "busybox", "c1", "-s", "pool1")
    return learned(given(lxd_host, password=lxd_host.token()))


def test_a_token_is_used_once_and_a_certificate_of_our_own_stays(
    lxd_host: LxdHost, c1: dict[str, str]
) -> None:
    assert c1["password"] == ""
    assert "BEGIN CERTIFICATE" in c1["certificate"]
    assert c1["certificate"].strip() in [one["certificate"].strip() for one in lxd_host.trusted()]
    # What it learned is what its parameters may be.
    assert check("lxd", c1) == c1


def test_a_container_is_switched_on_and_off_and_twice_changes_nothing(
    lxd_host: LxdHost, c1: dict[str, str]
) -> None:
    async def use() -> list[str]:
        seen = [await lxd.state(c1)]
        for switch in (lxd.on, lxd.on, lxd.off, lxd.off):
            await switch(c1)
            seen.append(await lxd.state(c1) + " " + lxd_host.instances()["c1"])
        return seen

    on, off = "on Running", "off Stopped"
    assert asyncio.run(use()) == ["off", on, on, off, off]


def test_a_frozen_container_is_neither_on_nor_off_and_thaws(
    lxd_host: LxdHost, c1: dict[str, str]
) -> None:
    asyncio.run(lxd.on(c1))
    lxd_host.lxc("pause", "c1")
    assert asyncio.run(lxd.state(c1)) == "unknown"
    asyncio.run(lxd.on(c1))
    assert lxd_host.instances()["c1"] == "Running"
    lxd_host.lxc("pause", "c1")
    asyncio.run(lxd.off(c1))
    assert lxd_host.instances()["c1"] == "Stopped"


def test_a_container_that_cannot_start_says_why(lxd_host: LxdHost, c1: dict[str, str]) -> None:
    lxd_host.lxc("init", "busybox", "broken", "-s", "pool1")
    lxd_host.lxc("config", "device", "add", "broken", "eth0", "nic", "nictype=bridged", "parent=no")
    told, _ = refusal(lxd.on(c1 | {"instance_name": "broken"}))
    lxd_host.lxc("delete", "broken")
    assert told.startswith("PUT /1.0/instances/broken/state: 127.0.0.1")
    assert """Parent device "no" doesn't exist""" in told


def test_the_boot_order_of_nics_and_disks_is_taken_by_lxd(
    lxd_host: LxdHost, c1: dict[str, str]
) -> None:
    lxd_host.lxc("config", "device", "add", "c1", "eth0", "nic", "nictype=bridged", "parent=br0")

    async def order(device: str) -> list[str]:
        async with lxd.talking(c1) as link:
            instance = (await link.get(lxd.path_of(c1))).body["metadata"]
            devices = lxd.boot_devices(instance, device)
            await lxd.act(link, "PATCH", lxd.path_of(c1), {"devices": devices})
        return [lxd_host.lxc("config", "device", "get", "c1", name, "boot.priority").strip()
                for name in ("eth0", "root")]  # fmt: skip

    assert asyncio.run(order("pxe")) == ["10", "1"]
    assert asyncio.run(order("disk")) == ["1", "10"]


def test_a_container_has_no_firmware_to_boot_from_the_network(c1: dict[str, str]) -> None:
    asyncio.run(lxd.set_boot(c1, "disk"))
    told, permanent = refusal(lxd.set_boot(c1, "pxe"))
    assert refusal(lxd.check_boot(c1, "network")) == (told, permanent)
    assert told == (
        "c1 is a container, which has no firmware to boot from the network; only virtual machines"
        " can be commissioned"
    )
    assert permanent


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"instance_name": "../c1"}, "Invalid instance name"),
        ({"instance_name": "c1", "project": "x&y"}, "are instance_name and project right?"),
        ({"tls_fingerprint": "00" * 32}, "its certificate changed"),
        ({"tls": "verify"}, "its certificate"),
        ({"key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}, "are no cert"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(
    c1: dict[str, str], wrong: dict[str, str], expected: str
) -> None:
    told, permanent = refusal(lxd.state(c1 | wrong))
    assert expected in told
    assert permanent


def test_a_host_that_does_not_trust_us_says_how_it_would(
    lxd_host: LxdHost, c1: dict[str, str]
) -> None:
    stranger = learned(given(lxd_host, password="")) | {"password": ""}
    assert refusal(lxd.state(stranger)) == (
        "127.0.0.1: does not trust muster; run `lxc config trust add` (or incus) there and give"
        " the token as password",
        True,
    )
    told, permanent = refusal(lxd.learn(stranger | {"password": "wrong"}, Known()))
    assert told.startswith("127.0.0.1: takes neither this token nor this trust password")
    assert permanent
    lxd_host.lxc("config", "set", "core.trust_password", "sesame")
    assert asyncio.run(lxd.state(learned(stranger | {"password": "sesame"}))) == "off"


def test_a_token_of_another_host_is_shown_to_nobody(lxd_host: LxdHost) -> None:
    other = lxd._token(lxd_host.token())
    assert len(other["fingerprint"]) == 64
    forged = given(lxd_host, password=lxd_host.token()) | {"tls_fingerprint": "ab" * 32}
    half = forged | asyncio.run(lxd.learn(forged, Known()))
    told, _ = refusal(lxd.learn(half, Known()))
    assert "its certificate changed" in told
    assert "no password was sent" in told


@pytest.mark.parametrize(
    "text", ["x", "-----BEGIN A-----\nx", "-----BEGIN A-----\n$\n-----END A-----"]
)
def test_a_certificate_must_be_pem(text: str) -> None:
    with pytest.raises(PowerError, match="certificate: is no PEM"):
        check("lxd", {"power_address": "h", "instance_name": "i", "certificate": text})
