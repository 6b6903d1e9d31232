# SPDX-License-Identifier: Apache-2.0
"""`muster demo`: a rack of virtual bare machines enlists itself and becomes Ready, as you watch."""

import os
import secrets
import signal
import tempfile
import threading
import time
from typing import Any

from rich.console import Console
from rich.text import Text

from muster.cli.client import ApiError, Client, machine_path
from muster.cli.show import print_boot
from muster.cli.words import clean, state
from muster.lab import launch, readiness
from muster.lab.client import Lab, default_orders, server_command
from muster.lab.errors import LabError
from muster.lab.folder import default_folder

POLL_S = 0.25
LIMIT_S = 900.0
"""For both boots of every machine; a quiet host needs a tenth of it."""

out = Console()


class Failed(Exception):
    """The demo did not come to its end; the message says where."""


def demo(
    *,
    machines: int = 2,
    firmware: str = "bios,uefi",
    listen: str = "127.0.0.1:8472",
    name: str = "demo",
) -> int:
    """Watch virtual bare machines become Ready; stays up until Ctrl-C.

    With DEMO_EXIT=1 in the environment it ends by itself; exit status 0 when all are Ready.

    Parameters
    ----------
    machines
        How many
    firmware
        bios or uefi, or a list that is dealt out in turn
    listen
        Where this host reaches the server
    name
        Name of the lab
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _demo(machines, firmware, listen, name)
    except (LabError, ApiError, Failed) as error:
        Console(stderr=True).print(f"muster demo: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def _demo(machines: int, firmware: str, listen: str, name: str) -> int:
    orders = default_orders(machines, firmware.split(","), memory_mib=2048)
    folder = default_folder(name, os.environ).absolute()
    listener = launch.open_listener(listen)
    password = secrets.token_hex(6)
    out.print("building a private rack: network, server, virtual machines (nothing leaves it)")
    with tempfile.NamedTemporaryFile("w") as secret:
        # A password has no place in an argument, an environment or a log.
        secret.write(password)
        secret.flush()
        with Lab.up(
            orders=orders,
            name=name,
            folder=folder,
            server=server_command(folder, None),
            server_env={"MUSTER_FIRST_PASSWORD_FILE": secret.name},
            listen=listener,
            tied=True,
        ) as lab:
            listener.close()
            readiness.await_server(lab)
            return _perform(lab, password)


def _perform(lab: Lab, password: str) -> int:
    url = str(lab.facts["server_url"])
    body = {"user": "admin", "password": password, "key_name": "demo"}
    client = Client(url, Client(url).send("POST", "/login", body)["key"])
    out.print(f"open [bold]{url}[/bold] in a browser and watch: user admin, password {password}")
    if not client.get("/images"):
        raise Failed("there is no image to boot: run 'muster image build' first")
    Show(lab, client).play()
    return _stay(lab, url)


def _stay(lab: Lab, url: str) -> int:
    if os.environ.get("DEMO_EXIT") == "1":
        return 0
    out.print(f"\neverything stays up at [bold]{url}[/bold] until you press Ctrl-C")
    out.print(f"consoles: {lab.folder}/machines/*/serial.log", markup=False)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        out.print("taking the rack down")
    return 0


class Show:
    """The two acts: enlist, commission; every new line of every timeline is printed."""

    def __init__(self, lab: Lab, client: Client) -> None:
        self._lab = lab
        self._client = client
        self._owners = {
            mac: machine.name for machine in lab.machines() for mac in machine.document()["macs"]
        }
        self._told: dict[str, int] = {}

    def play(self) -> None:
        """Both acts and the last bow."""
        names = sorted(set(self._owners.values()))
        out.rule("power on: the machines enlist themselves")
        for name in names:
            self._lab.machine(name).on()
        ids = self._until_surveyed(names)
        out.rule("commission: accepted by an operator")
        for name, machine in ids.items():
            self._wire_power(name, machine)
            self._client.send("POST", machine_path(machine, "/commission"), {})
        self._until_ready(ids)
        out.rule("Ready")
        self._bow(ids)

    def _until_surveyed(self, names: list[str]) -> dict[str, str]:
        def surveyed() -> dict[str, str] | None:
            found = {}
            for machine in self._client.every("list_machines"):
                for mac in machine["macs"]:
                    if mac in self._owners and machine["surveyed_at"]:
                        found[self._owners[mac]] = machine["id"]
            return found if len(found) == len(names) else None

        found: dict[str, str] = self._watch("every machine is New and surveyed", surveyed)
        for name in names:
            self._lab.machine(name).wait_until("stopped", limit_s=120)
        return found

    def _until_ready(self, ids: dict[str, str]) -> None:
        def ended() -> list[dict[str, Any]] | None:
            found = [self._client.get(machine_path(machine)) for machine in ids.values()]
            working = [m for m in found if m["state"] in ("Commissioning", "Testing")]
            return None if working else found

        for machine in self._watch("every machine is Ready", ended):
            if machine["state"] != "Ready":
                raise Failed(f"{machine['name']} is {machine['state']}: {machine['state_reason']}")

    def _watch(self, what: str, done: Any) -> Any:
        """Print timelines until `done` gives something; raises Failed after the limit."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            result = done()
            self._tell()
            if result:
                return result
            time.sleep(POLL_S)
        raise Failed(f"not within {LIMIT_S:.0f} s: {what}; see the timelines above")

    def _tell(self) -> None:
        for boot in reversed(self._client.get("/boots", limit=50)):
            owner = self._owners.get(boot["mac"], boot["mac"])
            told = self._told.get(boot["id"], 0)
            for mark in boot["timeline"][told:]:
                when = Text(f"{owner:<4}{mark['after_s']:7.1f} s  {mark['phase']:<9}")
                detail = clean(f" {mark['detail'][:110]}")
                out.print(when, state(mark["status"]), detail, sep="", soft_wrap=True)
            self._told[boot["id"]] = len(boot["timeline"])

    def _wire_power(self, name: str, machine: str) -> None:
        base = f"{self._lab.facts['power_url']}/machines/{name}"
        parameters = {
            "power_on_uri": f"{base}/on",
            "power_off_uri": f"{base}/off",
            "power_query_uri": base,
        }
        body = {"driver": "webhook", "parameters": parameters}
        self._client.send("PUT", machine_path(machine, "/power"), body)

    def _bow(self, ids: dict[str, str]) -> None:
        for name, machine in ids.items():
            record = self._client.get(machine_path(machine))
            boots = self._client.get(machine_path(machine, "/boots"), limit=1)
            out.print()
            out.print(Text(f"{name} is "), Text(record["name"], style="bold"), Text(": "),
                      state(record["state"]), sep="")  # fmt: skip
            for boot in boots:
                print_boot(out, boot)


def _interrupt(*_: object) -> None:
    """SIGTERM ends the demo as Ctrl-C does: the rack is taken down."""
    raise KeyboardInterrupt
