"""Machines start from `muster image iso` where no DHCP server answers: CD, USB disk, BMC."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.served import SLOW, Served
from tests.e2e.test_bmcs import add_by_hand, finished

from muster.cli.client import machine_path
from muster.images import iso
from muster.images.iso import Words
from muster.images.library import Library
from muster.lab.machines import Bmc, Firmware, MediumBus, Order

pytestmark = pytest.mark.e2e

SITE = "10.99.0.1"
SERVER = f"http://{SITE}:8472"
ADDRESS = "10.99.0.77/24"
WAYS = [
    (Firmware.SECURE_BOOT, MediumBus.CD),
    (Firmware.BIOS, MediumBus.CD),
    (Firmware.BIOS, MediumBus.USB),
    (Firmware.UEFI, MediumBus.CD),
    (Firmware.SECURE_BOOT, MediumBus.USB),
]


@pytest.mark.parametrize(
    ("firmware", "bus"),
    [WAYS[0], *(pytest.param(*way, marks=pytest.mark.matrix) for way in WAYS[1:])],
)
def test_a_machine_enlists_from_a_medium_without_dhcp(
    served: Served, images: Path, tmp_path: Path, firmware: Firmware, bus: MediumBus
) -> None:
    served.kill()
    served.start(dhcp="none")
    library, medium = Library(images), tmp_path / "muster.iso"
    iso.build_iso(library, library.in_use(), Words(SERVER, ADDRESS), medium)
    served.lab.add(Order(name="m1", firmware=firmware, medium=str(medium), medium_bus=bus))
    (record,) = served.enlist("m1")

    assert (record["state"], record["firmware"]) == ("New", firmware.kind)
    assert served.last_run(record["id"])["reason"] == "every script passed"
    (boot,) = served.boots(record["id"])
    details = [mark["detail"] for mark in boot["timeline"]]
    assert details[0] == "started from a medium"
    assert any(ADDRESS in detail for detail in details), served.timelines()
    assert not [detail for detail in details if "TFTP" in detail or "offered" in detail]
    assert not boot["failure"]


KEYS = {":": "shift-semicolon", "/": "slash", ".": "dot", "\n": "ret"}


def type_at(folder: Path, text: str) -> None:
    """Press the keys of a lab machine, by the monitor of its QEMU."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(30)
        monitor.connect(str(folder / "monitor.sock"))
        for sign in text:
            heard = b""
            while not heard.rstrip().endswith(b"(qemu)"):
                heard += monitor.recv(4096)
            monitor.sendall(f"sendkey {KEYS.get(sign, sign)} 20\n".encode())
        monitor.shutdown(socket.SHUT_WR)
        while monitor.recv(4096):
            pass


@pytest.mark.matrix
def test_what_was_left_out_is_asked_for_on_the_console(
    served: Served, images: Path, tmp_path: Path
) -> None:
    served.kill()
    served.start(dhcp="none", start="cloud-init")
    library, medium = Library(images), tmp_path / "muster.iso"
    iso.build_iso(library, library.in_use(), Words(address="ask"), medium)
    served.lab.add(Order(name="m1", medium=str(medium)))
    machine = served.lab.machine("m1")
    machine.on()
    folder = Path(machine.document()["folder"])
    log = folder / "serial.log"
    for question, answer in (("which server?", SERVER), ("which address", ADDRESS)):
        served.wait(question, lambda question=question: question in log.read_text(errors="replace"))
        type_at(folder, f"{answer}\n")

    def entered() -> bool:
        # A key that is pressed before the console is read is lost, as on any console.
        type_at(folder, "\n")
        return "network started" in log.read_text(errors="replace")

    served.wait("no gateway is wanted", entered)
    served.wait("m1 is surveyed", lambda: served._surveyed("m1"))
    machine.wait_until("stopped", limit_s=300)
    record = served.record("m1") or {}
    assert record["state"] == "New"
    assert served.last_run(record["id"])["reason"] == "every script passed"


@pytest.mark.matrix
def test_where_there_is_no_dhcp_a_machine_is_commissioned_from_its_bmc_s_virtual_drive(
    served: Served, images: Path, tmp_path: Path
) -> None:
    served.kill()
    served.start(dhcp="none")
    library, medium = Library(images), tmp_path / "muster.iso"
    iso.build_iso(library, library.in_use(), Words(SERVER, ADDRESS), medium)
    machine = add_by_hand(served, "m1", Bmc.REDFISH)
    with files_at(served, tmp_path) as url:
        body = {"image": f"{url}/{medium.name}"}
        served.api.send("PUT", machine_path(machine, "/bmc/media"), body)
    served.api.send("POST", machine_path(machine, "/commission"), {})
    served.api.send("POST", machine_path(machine, "/power/cycle?boot=cd"))
    finished(served, machine)
    served.lab.machine("m1").wait_until("stopped", limit_s=SLOW)
    assert served.api.get(machine_path(machine))["state"] == "Ready", served.last_run(machine)
    (boot,) = served.boots(machine)
    assert boot["timeline"][0]["detail"] == "started from a medium"

    served.api.send("DELETE", machine_path(machine, "/bmc/media"))
    assert served.lab.machine("m1").document()["inserted"] == ""


@contextlib.contextmanager
def files_at(served: Served, folder: Path) -> Iterator[str]:
    """A web server where BMCs reach it: its URL."""
    listening = [sys.executable, "-m", "http.server", "--bind", SITE, "--directory", str(folder)]
    trying = [sys.executable, "-c", f"import socket; socket.create_connection(({SITE!r}, 8000))"]
    quiet = subprocess.DEVNULL
    running = served.lab.run_inside([*listening, "8000"], stdout=quiet, stderr=quiet)
    try:
        served.wait(
            "a web server", lambda: served.lab.run_inside(trying, stderr=quiet).wait(30) == 0
        )
        yield f"http://{SITE}:8000"
    finally:
        running.terminate()
        running.wait(30)
