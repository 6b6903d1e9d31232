"""A host of instances, by the API and the power driver, against Debian 13's Incus 6.0."""

import asyncio
import json
from typing import Any

import pytest
from tests.api.desk import Desk
from tests.power.incus_host import IncusHost

from muster.power import lxd
from muster.store import machines

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def engine() -> str:
    """Nothing here is about the database: one engine will do."""
    return "sqlite"


@pytest.fixture
def host(desk: Desk, incus_host: IncusHost) -> Any:
    """Added by a token; somebody else's container runs there, the same in every test."""
    if not incus_host.instances():
        incus_host.lxc("init", "busybox", "web", "-s", "pool1")
        nic = ("nic", "nictype=bridged", "parent=br0", "hwaddr=00:16:3e:00:00:01")
        incus_host.lxc("config", "device", "add", "web", "eth0", *nic)
        incus_host.lxc("start", "web")
    assert incus_host.instances() == {"web": "Running"}
    parameters = {"power_address": incus_host.address, "password": incus_host.token()}
    answer = desk.ask("POST", "/hosts", json={"name": "incus1", "parameters": parameters})
    assert answer.status_code == 201, answer.text
    return answer.json()


def switch_of(desk: Desk, name: str) -> dict[str, str]:
    with desk.store.read() as tx:
        machine = machines.find(tx, name)
    return machine.power_parameters | desk.keyring.open(machine.power_secret, of=machine.id)


def test_a_host_is_trusted_by_a_token_read_and_its_instances_listed(
    desk: Desk, incus_host: IncusHost, host: Any
) -> None:
    assert (host["error"], host["summary"]["server"]) == ("", "incus")
    assert host["summary"]["version"].startswith("6.")
    assert (host["summary"]["pools"], host["summary"]["networks"]) == (["pool1"], ["br0"])
    assert host["secrets"] == ["key"]
    trusted = json.loads(incus_host.lxc("config", "trust", "list", "--format=json"))
    assert host["parameters"]["certificate"].strip() in [
        one["certificate"].strip() for one in trusted
    ]
    listed = desk.get("/hosts/incus1/instances")
    assert [(one["name"], one["state"], one["composed"]) for one in listed] == [
        ("web", "on", False)
    ]
    assert desk.get("/hosts/incus1/resources")["resources"]["memory"]["total"] > 1 << 30
    assert desk.get("/machines")["items"] == []


@pytest.mark.usefixtures("host")
def test_an_instance_is_taken_in_and_switched_and_a_frozen_one_thaws(
    desk: Desk, incus_host: IncusHost
) -> None:
    (taken,) = desk.ask("POST", "/hosts/incus1/machines", json={"everything": True}).json()
    assert (taken["machine"], taken["outcome"]) == ("web", "created")
    given = switch_of(desk, "web")

    async def use() -> list[str]:
        seen = [await lxd.state(given)]
        for verb in (lxd.off, lxd.off, lxd.on, lxd.on):
            await verb(given)
            seen.append(await lxd.state(given) + " " + incus_host.instances()["web"])
        return seen

    off, on = "off Stopped", "on Running"
    assert asyncio.run(use()) == ["on", off, off, on, on]
    incus_host.lxc("pause", "web")
    assert asyncio.run(lxd.state(given)) == "unknown"
    asyncio.run(lxd.on(given))
    assert incus_host.instances()["web"] == "Running"


@pytest.mark.usefixtures("host")
def test_what_is_composed_can_be_deleted_and_nothing_else(
    desk: Desk, incus_host: IncusHost
) -> None:
    wanted = {"name": "made", "kind": "container", "image": "busybox", "cores": 1}
    answer = desk.ask("POST", "/hosts/incus1/instances", json=wanted)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["machine"], answer.json()["outcome"]) == ("made", "created")
    assert incus_host.lxc("config", "get", "made", "limits.cpu").strip() == "1"
    foreign = desk.ask("DELETE", "/hosts/incus1/instances/web?confirm=web")
    assert "web was not made by muster, which deletes nothing else" in foreign.json()["detail"]
    asyncio.run(lxd.on(switch_of(desk, "made")))
    done = desk.ask("DELETE", "/hosts/incus1/instances/made?confirm=made")
    assert done.status_code == 204, done.text
    assert desk.ask("DELETE", "/hosts/incus1").status_code == 204
    assert incus_host.instances() == {"web": "Running"}
