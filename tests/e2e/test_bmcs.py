"""From off to Ready by a machine's BMC alone: real firmware, BMCs of other hands."""

from pathlib import Path
from typing import Any

import pytest
from tests.e2e.served import SLOW, Served

from muster.cli.client import machine_path
from muster.lab.machines import Bmc, Boot, Order
from muster.lifecycle.keyring import Keyring
from muster.store import machines
from muster.store.engine import Store

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
    finished(served, machine)
    served.lab.machine(name).wait_until("stopped", limit_s=SLOW)
    record: dict[str, Any] = served.api.get(machine_path(machine))
    return record


def finished(served: Served, machine: str) -> None:
    """From a cold start on an emulated processor."""
    served.wait("the end", lambda: served.last_run(machine)["ended_at"], limit_s=4 * SLOW)


@pytest.mark.parametrize("kind", [Bmc.REDFISH, Bmc.IPMI])
def test_a_machine_that_is_off_is_commissioned_by_its_bmc_alone(served: Served, kind: Bmc) -> None:
    machine = add_by_hand(served, "m1", kind)
    record = commission(served, "m1", machine)
    assert (record["state"], record["state_reason"]) == ("Ready", "commissioning passed")
    assert served.lab.machine("m1").document()["power_ons"] == 1
    assert record["uuid"] == served.lab.machine("m1").document()["uuid"]
    assert len(list(served.api.every("list_machines"))) == 1
    served.wait("its BMC is seen off", lambda: power_state(served, machine) == "off")
    told = [event["kind"] for event in served.api.get("/events", machine=machine)]
    assert told.count("power.learned") == 1
    assert "power.boot_device" not in told
    assert_no_secret(served, password_of(served.lab.machine("m1").document()["bmc"]))


def assert_no_secret(served: Served, *passwords: str) -> None:
    """Not in logs, database, or anything that the API tells."""
    machine = next(served.api.every("list_machines"))["id"]
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


def test_bmc_config_makes_a_user_that_answers_from_outside_and_a_second_run_changes_nothing(
    served: Served,
) -> None:
    served.lab.add(Order(name="m1", bmc=Bmc.IPMI))
    document = served.lab.machine("m1").document()
    body = {"name": "m1", "macs": document["macs"], "driver": "manual"}
    machine = str(served.api.send("POST", "/machines", body)["id"])
    # Nobody has told how it is switched: a person presses its button.
    served.api.send("POST", machine_path(machine, "/commission"), {"bmc_config": True})
    served.lab.machine("m1").on()
    finished(served, machine)
    served.wait("its BMC is tried", lambda: told_of(served, machine, "bmc.verified"))
    switch = served.api.get(machine_path(machine, "/power"))
    assert (switch["driver"], switch["secrets"]) == ("ipmi", ["power_pass"])
    assert switch["parameters"]["power_address"] == document["bmc"]["address"]
    assert switch["parameters"]["power_user"] == "muster"
    first = bmc_finding(served, machine)
    assert (first["kind"], first["user"], first["problem"]) == ("ipmi", "muster", "")
    found = first["weak"] + first["closed"]
    assert any("authentication none" in weakness for weakness in found)
    assert any("new password of 16 characters" in change for change in first["changed"])
    assert [ch["address"] for ch in first["lan"]] == [document["bmc"]["address"]]

    served.wait("its BMC is seen off", lambda: power_state(served, machine) == "off")

    # With that user, found in-band, the second run begins from off.
    record = commission(served, "m1", machine, bmc_config=True)
    assert record["state"] == "Ready"
    second = bmc_finding(served, machine)
    assert (second["changed"], second["slot"]) == ([], first["slot"])
    assert served.lab.machine("m1").document()["power_ons"] == 2
    sealed = Keyring(served.folder / "data/keys/secrets.key")
    store = Store(f"sqlite:///{served.folder}/data/muster.db")
    with store.read() as tx:
        kept = sealed.open(machines.find(tx, machine).power_secret, of=machine)
    store.close()
    assert_no_secret(served, kept["power_pass"])


def power_state(served: Served, machine: str) -> str:
    return str(served.api.get(machine_path(machine, "/power"))["state"])


def told_of(served: Served, machine: str, kind: str) -> list[Any]:
    found = served.api.get("/events", machine=machine)
    assert not [e["message"] for e in found if e["kind"] in ("bmc.unverified", "power.failed")]
    return [event for event in found if event["kind"] == kind]


def bmc_finding(served: Served, machine: str) -> dict[str, Any]:
    found = served.api.get(machine_path(machine, "/findings"))
    body: dict[str, Any] = next(one["body"] for one in found if one["name"] == "bmc")
    return body
