"""The journey of DESIGN section 3, with real firmware, a real kernel and real cloud-init."""

import hashlib
import json
import shutil
import time
import xml.etree.ElementTree
from pathlib import Path

import pytest
from tests.e2e.served import SLOW, Served

from muster.cli.client import machine_path
from muster.images.library import Library
from muster.lab.machines import Firmware, Order

pytestmark = pytest.mark.e2e

PHASES = [
    "dhcp",
    "loader",
    "kernel",
    "network",
    "swift",
    "agent",
    "drivers",
    "root",
    "scripts",
    "end",
]
OUTAGE_S = 20.0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_bare_machines_enlist_themselves_and_become_ready(served: Served) -> None:
    names = ("m1", "m2")
    served.lab.add(Order(name="m1", firmware=Firmware.BIOS))
    served.lab.add(Order(name="m2", firmware=Firmware.UEFI))
    disks = {name: served.lab.machine(name).disk() for name in names}
    for disk in disks.values():
        # Something to lose: an empty disk would be identical by chance.
        with disk.open("r+b") as file:
            file.write(b"precious" * 1000)
    before = {name: _sha256(disk) for name, disk in disks.items()}

    for name, record in zip(names, served.enlist(*names), strict=True):
        order = served.lab.machine(name).document()
        assert record["state"] == "New"
        assert record["uuid"] == order["uuid"]
        assert record["firmware"] == order["firmware"]
        assert record["summary"]["memory_bytes"] == 2 * 1024**3
        assert [disk["size_bytes"] for disk in record["summary"]["disks"]] == [4 * 1024**3]
        reached = [mark["phase"] for mark in served.boots(record["id"])[0]["timeline"]]
        assert sorted(set(reached), key=PHASES.index) == PHASES
        assert _sha256(disks[name]) == before[name], "enlisting wrote to the disk"

    # A second boot of a machine that was looked at goes to its own disk, and is the same machine.
    known = served.record("m1")
    assert known is not None
    served.lab.machine("m1").on()
    local = served.wait(
        "m1's local boot",
        lambda: [b for b in served.boots(known["id"]) if b["purpose"] == "local"],
    )
    assert f"{known['name']} is New: same hardware UUID" in local[0]["timeline"][-1]["detail"]
    assert len(list(served.api.every("list_machines"))) == 2

    # Commissioning cycles m1, which is on, and switches m2 on, which is off.
    ids = {name: served.wire_power(name) for name in names}
    for machine in ids.values():
        served.api.send("POST", machine_path(machine, "/commission"), {})
    for name, machine in ids.items():
        served.wait(f"{name} ends", lambda m=machine: served.last_run(m)["ended_at"])
        record = served.api.get(machine_path(machine))
        assert (record["state"], record["state_reason"]) == ("Ready", "commissioning passed")
        served.lab.machine(name).wait_until("stopped", limit_s=SLOW)
        ended = {r["name"]: r["state"] for r in served.last_run(machine)["results"]}
        # The lab has neither a Wedge nor disks with SMART.
        skipped = {name for name, state in ended.items() if state == "skipped"}
        assert skipped == {"00-maas-06-get-fruid-api-data", "smartctl-validate"}
        assert set(ended.values()) == {"passed", "skipped"}


def test_a_killed_server_and_a_cut_network_lose_nothing(served: Served) -> None:
    served.lab.add(Order(name="m1"))
    served.enlist("m1")
    machine = served.wire_power("m1")
    served.api.send("POST", machine_path(machine, "/commission"), {})

    def running(script: str) -> bool:
        results = served.last_run(machine)["results"]
        return any(r["name"] == script and r["state"] != "pending" for r in results)

    served.wait("m1 runs", lambda: running("00-maas-00-support-info"))
    served.kill()
    served.start()
    served.wait("the second script", lambda: running("00-maas-01-lshw"))
    served.lab.network(up=False)
    cut = time.monotonic()
    while time.monotonic() < cut + OUTAGE_S:
        # The server itself must not have noticed: only the machine's way to it is cut.
        assert served.api.get(machine_path(machine))["state"] == "Commissioning"
        time.sleep(1)
    served.lab.network(up=True)

    served.wait("the run ends", lambda: served.last_run(machine)["ended_at"])
    run = served.last_run(machine)
    assert run["reason"] == "every script passed"
    assert served.api.get(machine_path(machine))["state"] == "Ready"
    output = {}
    for result in run["results"]:
        assert result["state"] in ("passed", "skipped")
        body, _ = served.api.raw("GET", f"/results/{result['id']}/output", stream="stdout")
        output[result["name"]] = body
    assert json.loads(output["50-maas-01-commissioning"])["api_version"] == "1.0"
    assert xml.etree.ElementTree.fromstring(output["00-maas-01-lshw"]).tag in ("list", "node")
    assert output["99-maas-05-kernel-cmdline"].count(b"BOOTIF=01-") == 1
    headings = [
        line
        for line in output["00-maas-00-support-info"].splitlines()
        if line.startswith((b"-----", b"=====", b"#"))
    ]
    assert len(headings) == len(set(headings)), "output was doubled"
    kinds = [event["kind"] for event in served.api.get("/events", machine=machine)]
    # Commissioning, Testing, Ready: each once.
    assert kinds.count("machine.state") == 3


@pytest.mark.parametrize(
    ("uuid", "told"),
    [
        (None, "no hardware UUID"),
        ("03000200-0400-0500-0006-000700080009", "is a known dummy of vendors"),
    ],
    ids=["none", "dummy"],
)
def test_a_machine_without_a_usable_uuid_is_known_by_its_mac(
    served: Served, uuid: str | None, told: str
) -> None:
    served.lab.add(Order(name="m1", uuid=uuid))
    (record,) = served.enlist("m1")
    assert record["uuid"] == ""
    assert record["state_reason"].endswith(told)

    served.lab.machine("m1").on()
    served.wait(
        "the second boot",
        lambda: [b for b in served.boots(record["id"]) if b["purpose"] == "local"],
    )
    assert len(list(served.api.every("list_machines"))) == 1


def test_a_missing_root_file_system_is_named_on_the_timeline(
    served: Served, images: Path, tmp_path: Path
) -> None:
    squashfs = Library(images).current().files["squashfs"].sha256  # type: ignore[union-attr]
    served.kill()
    served.images = tmp_path / "images"
    shutil.copytree(images, served.images, symlinks=True, ignore=shutil.ignore_patterns(squashfs))
    served.start()
    _fails_at(served, "root", "404 Not Found")


def test_an_unreachable_metadata_url_is_named_on_the_timeline(served: Served) -> None:
    served.kill()
    served.start(metadata_url="http://10.99.0.1:9", start="cloud-init")
    _fails_at(served, "metadata", "Connection refused")


def _fails_at(served: Served, phase: str, reason: str) -> None:
    served.lab.add(Order(name="m1"))
    served.lab.machine("m1").on()
    (boot,) = served.wait(
        f"{phase} fails", lambda: [b for b in served.api.get("/boots") if b["failure"]]
    )
    assert boot["failure"].startswith(f"{phase}: ")
    assert reason in boot["failure"]
    told = [mark for mark in boot["timeline"] if mark["phase"] == phase]
    at = [mark["status"] for mark in told].index("failed")
    started, failed = told[at - 1 : at + 1]
    assert (started["status"], failed["status"]) == ("started", "failed")
    assert failed["after_s"] - started["after_s"] < 15
