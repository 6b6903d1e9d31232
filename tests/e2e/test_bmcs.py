"""From off to Ready by a machine's BMC alone: real firmware, BMCs of other hands."""

from pathlib import Path
from typing import Any

import pytest
from tests.e2e.served import SLOW, Served

from muster.cli.client import machine_path
from muster.lab.machines import Bmc, Boot, Order

pytestmark = pytest.mark.e2e

# A boot sector that does nothing for ever: without the one-time network boot, nobody comes.
STUCK = bytes.fromhex("ebfe").ljust(510, b"\0") + b"\x55\xaa"


def add_by_hand(served: Served, name: str, kind: Bmc) -> str:
    """A machine that is off, starts its disk first, and is known by a MAC and its BMC only."""
    lab = served.lab.add(Order(name=name, bmc=kind, boot=Boot.DISK))
    with lab.disk().open("r+b") as disk:
        disk.write(STUCK)
    document = lab.document()
    bmc = document["bmc"]
    parameters = {
        "power_address": bmc["address"],
        "power_user": bmc["user"],
        "power_pass": password_of(bmc),
    }
    body = {"name": name, "macs": document["macs"], "driver": str(kind), "parameters": parameters}
    return str(served.api.send("POST", "/machines", body)["id"])


def password_of(bmc: dict[str, Any]) -> str:
    return Path(bmc["password_file"]).read_text().strip()


def commission(served: Served, name: str, machine: str, **options: Any) -> dict[str, Any]:
    """Commission to the end, until its BMC says off; returns the record."""
    before = len(served.api.get(machine_path(machine, "/runs")))
    served.api.send("POST", machine_path(machine, "/commission"), options)
    assert len(served.api.get(machine_path(machine, "/runs"))) == before + 1
    served.wait(f"{name} ends", lambda: served.last_run(machine)["ended_at"])
    served.lab.machine(name).wait_until("stopped", limit_s=SLOW)
    record: dict[str, Any] = served.api.get(machine_path(machine))
    return record


@pytest.mark.parametrize("kind", [Bmc.REDFISH, Bmc.IPMI])
def test_a_machine_that_is_off_is_commissioned_by_its_bmc_alone(served: Served, kind: Bmc) -> None:
    machine = add_by_hand(served, "m1", kind)
    record = commission(served, "m1", machine)
    assert (record["state"], record["state_reason"]) == ("Ready", "commissioning passed")
    assert served.lab.machine("m1").document()["power_ons"] == 1
    assert record["uuid"] == served.lab.machine("m1").document()["uuid"]
    assert len(served.api.every("/machines")) == 1
    off = served.wait(
        "its BMC is seen off",
        lambda: served.api.get(machine_path(machine, "/power"))["state"] == "off",
    )
    assert off
    told = [event["kind"] for event in served.api.get("/events", machine=machine)]
    assert told.count("power.learned") == 1
    assert "power.boot_device" not in told
    assert_no_secret(served, password_of(served.lab.machine("m1").document()["bmc"]))


def assert_no_secret(served: Served, *passwords: str) -> None:
    """Not in logs, database, or anything that the API tells."""
    machine = served.api.every("/machines")[0]["id"]
    told = [
        repr(served.api.get(machine_path(machine, rest)))
        for rest in ("", "/power", "/runs", "/boots", "/findings")
    ]
    told.append(repr(served.api.get("/events", machine=machine)))
    for result in served.last_run(machine)["results"]:
        told.append(repr(served.api.raw("GET", f"/results/{result['id']}/output")[0]))
    kept = [file.read_bytes() for file in (served.folder / "data").glob("muster.db*")]
    kept.append((served.folder / "server.log").read_bytes())
    kept.append(served.lab.machine("m1").serial_log.read_bytes())
    for password in passwords:
        assert not [text[:200] for text in told if password in text]
        assert not any(password.encode() in data for data in kept)
