"""A host of instances, by the API, against Debian's LXD 5.0.2 with containers."""

import json
from typing import Any

import pytest
from tests.api.desk import Desk
from tests.power.lxd_host import LxdHost

pytestmark = pytest.mark.e2e


@pytest.fixture
def running(lxd_host: LxdHost) -> Any:
    """Two containers of somebody else's, one of which runs."""
    for name in lxd_host.instances():
        lxd_host.lxc("delete", "--force", name)
    for name, mac in (("web", "00:16:3e:00:00:01"), ("db", "00:16:3e:00:00:02")):
        lxd_host.lxc("init", "busybox", name, "-s", "pool1")
        nic = ("nic", "nictype=bridged", "parent=br0", f"hwaddr={mac}")
        lxd_host.lxc("config", "device", "add", name, "eth0", *nic)
    lxd_host.lxc("start", "web")
    yield
    for name in lxd_host.instances():
        lxd_host.lxc("delete", "--force", name)


def add(desk: Desk, host: LxdHost, **more: str) -> Any:
    parameters = {"power_address": host.address, "password": host.token()} | more
    return desk.ask("POST", "/hosts", json={"name": "lxd1", "parameters": parameters})


def configurations(host: LxdHost) -> list[Any]:
    found = json.loads(host.lxc("list", "--format=json"))
    return [{key: one[key] for key in ("name", "config", "devices", "status")} for one in found]


@pytest.mark.usefixtures("running")
def test_adding_a_host_reads_it_and_marks_nothing_that_runs_there(
    desk: Desk, lxd_host: LxdHost
) -> None:
    before = configurations(lxd_host)
    answer = add(desk, lxd_host)
    assert answer.status_code == 201, answer.text
    host = answer.json()
    assert (host["error"], host["summary"]["server"], host["summary"]["version"]) == (
        "",
        "lxd",
        "5.0.2",
    )
    assert (host["summary"]["pools"], host["summary"]["networks"]) == (["pool1"], ["br0"])
    assert host["summary"]["resources"]["cpu_count"] >= 1
    assert host["secrets"] == ["key"]
    assert "PRIVATE KEY" not in answer.text
    assert desk.get("/machines")["items"] == []
    listed = desk.get("/hosts/lxd1/instances")
    assert [(one["name"], one["state"], one["machine"], one["composed"]) for one in listed] == [
        ("db", "off", "", False),
        ("web", "on", "", False),
    ]
    document = desk.get("/hosts/lxd1/resources")
    assert document["api_version"] == "1.0"
    assert document["resources"]["memory"]["total"] > 1 << 30
    assert configurations(lxd_host) == before
    assert [one["id"] for one in desk.get("/hosts")] == [host["id"]]
    assert desk.get("/hosts/lxd1") == host


@pytest.mark.usefixtures("running")
def test_instances_are_taken_in_one_by_one_or_all_and_stay_when_the_host_goes(
    desk: Desk, lxd_host: LxdHost
) -> None:
    add(desk, lxd_host)
    (taken,) = desk.ask("POST", "/hosts/lxd1/machines", json={"instances": ["web"]}).json()
    assert taken == {
        "found": "web",
        "machine": "web",
        "outcome": "created",
        "reason": "container web of host lxd1",
    }
    every = desk.ask("POST", "/hosts/lxd1/machines", json={"everything": True}).json()
    assert [(one["machine"], one["outcome"]) for one in every] == [
        ("db", "created"),
        ("web", "known"),
    ]
    web = desk.get("/machines/web")
    assert (web["state"], web["permitted"], web["macs"]) == ("New", False, ["00:16:3e:00:00:01"])
    power = desk.get("/machines/web/power")
    assert (power["driver"], power["parameters"]["instance_name"]) == ("lxd", "web")
    assert (power["secrets"], power["wanted"]) == (["key"], None)
    assert lxd_host.instances() == {"web": "Running", "db": "Stopped"}
    assert desk.ask("DELETE", "/hosts/lxd1").status_code == 204
    assert desk.get("/hosts") == []
    assert [one["name"] for one in desk.get("/machines")["items"]] == ["db", "web"]
    assert lxd_host.instances() == {"web": "Running", "db": "Stopped"}


@pytest.mark.usefixtures("running")
def test_a_machine_that_enlisted_itself_gets_its_switch_and_no_second_record(
    desk: Desk, lxd_host: LxdHost
) -> None:
    desk.enlist(mac="00:16:3e:00:00:01")
    (machine,) = desk.get("/machines")["items"]
    add(desk, lxd_host)
    assert [one["machine"] for one in desk.get("/hosts/lxd1/instances")] == ["", machine["name"]]
    (taken,) = desk.ask("POST", "/hosts/lxd1/machines", json={"instances": ["web"]}).json()
    assert (taken["machine"], taken["outcome"]) == (machine["name"], "switched")
    assert desk.get(f"/machines/{machine['id']}/power")["driver"] == "lxd"


@pytest.mark.usefixtures("running")
def test_what_is_composed_can_be_deleted_and_nothing_else(desk: Desk, lxd_host: LxdHost) -> None:
    add(desk, lxd_host)
    wanted = {"name": "made", "kind": "container", "image": "busybox", "cores": 1}
    answer = desk.ask("POST", "/hosts/lxd1/instances", json=wanted)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["machine"], answer.json()["outcome"]) == ("made", "created")
    (mac,) = desk.get("/machines/made")["macs"]
    assert mac.startswith("00:16:3e:")
    assert lxd_host.lxc("config", "get", "made", "limits.cpu").strip() == "1"
    lxd_host.lxc("start", "made")
    unsure = desk.ask("DELETE", "/hosts/lxd1/instances/made?confirm=web")
    assert unsure.status_code == 409
    foreign = desk.ask("DELETE", "/hosts/lxd1/instances/web?confirm=web")
    assert "web was not made by muster, which deletes nothing else" in foreign.json()["detail"]
    done = desk.ask("DELETE", "/hosts/lxd1/instances/made?confirm=made")
    assert done.status_code == 204, done.text
    assert lxd_host.instances() == {"web": "Running", "db": "Stopped"}
    assert desk.get("/machines/made")["power_driver"] == "manual"
    assert desk.get("/machines/made")["state_reason"] == "its instance on lxd1 was deleted"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"kind": "container"}, "image: a container needs one; name an alias of the host"),
        ({"pool": "fast"}, "pool: the host has no pool 'fast'; it has: pool1"),
        ({"network": "lan"}, "network: the host has no network 'lan'; it has: br0"),
        ({"cores": 0}, "cores: must be from 1 to 4096"),
        ({}, "vhost_vsock kernel module not loaded"),
    ],
)
def test_what_cannot_be_composed_is_refused_with_the_reason(
    desk: Desk, lxd_host: LxdHost, wrong: dict[str, Any], expected: str
) -> None:
    add(desk, lxd_host)
    answer = desk.ask("POST", "/hosts/lxd1/instances", json={"name": "x"} | wrong)
    assert (answer.status_code, expected in answer.json()["detail"]) == (400, True), answer.text
    assert lxd_host.instances() == {}
    assert desk.get("/machines")["items"] == []


def test_a_host_that_gives_no_trust_leaves_no_record(desk: Desk, lxd_host: LxdHost) -> None:
    answer = add(desk, lxd_host, password="wrong")
    assert answer.status_code == 400
    assert "takes neither this token nor this trust password" in answer.json()["detail"]
    assert desk.get("/hosts") == []


def test_a_host_without_a_token_says_how_to_trust_and_is_read_when_it_does(
    desk: Desk, lxd_host: LxdHost, tmp_path: Any
) -> None:
    host = add(desk, lxd_host, password="").json()
    assert "does not trust muster" in host["error"]
    assert desk.get("/hosts/lxd1")["seen_at"] is None
    (tmp_path / "muster.crt").write_text(host["parameters"]["certificate"])
    lxd_host.lxc("config", "trust", "add", str(tmp_path / "muster.crt"))
    read = desk.ask("POST", "/hosts/lxd1/refresh").json()
    assert (read["error"], read["summary"]["server"]) == ("", "lxd")


def test_a_viewer_changes_no_host(desk: Desk) -> None:
    for method, path, body in (
        ("POST", "/hosts", {"name": "x", "parameters": {}}),
        ("POST", "/hosts/x/machines", {"everything": True}),
        ("POST", "/hosts/x/instances", {"name": "x"}),
        ("DELETE", "/hosts/x/instances/y?confirm=y", None),
        ("DELETE", "/hosts/x", None),
    ):
        assert desk.ask(method, path, role="viewer", json=body).status_code == 403
