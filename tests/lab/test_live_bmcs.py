"""BMCs of lab machines, asked by ipmitool and sushy: power, and a boot device for one start."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from muster.lab.client import Lab, Machine
from muster.lab.errors import CannotStart
from muster.lab.machines import Bmc, Boot, DiskOrder, Order

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("able_host")]

IPXE = r"iPXE .* -- Open Source Network Boot Firmware"
# A boot sector that writes the text behind it to the first serial port, and stops. SeaBIOS, which
# writes through a buffer, is still at its own last words then.
CODE = bytes.fromhex("31c08ed8be157cac08c07406baf803eeebf5f4ebfd")
SECTOR = CODE + b"\r\n" * 8 + b"started from the disk\r\n\0"
CD_SECTOR = SECTOR.replace(b"disk", b"CD")

SUSHY = """
import sushy, sushy.auth, sys, urllib3
urllib3.disable_warnings()
address, password, verb = sys.argv[1:]
auth = sushy.auth.BasicAuth("admin", password)
system = sushy.Sushy(f"https://{address}", auth=auth, verify=False).get_system()
if verb == "pxe":
    once = sushy.BootSourceOverrideEnabled.ONCE
    system.set_system_boot_options(sushy.BootSource.PXE, enabled=once)
elif verb.startswith("http"):
    drives = system.virtual_media.get_members()
    next(drive for drive in drives if drive.identity == "Cd").insert_media(verb)
    once = sushy.BootSourceOverrideEnabled.ONCE
    system.set_system_boot_options(sushy.BootSource.CD, enabled=once)
elif verb != "status":
    system.reset_system(sushy.ResetType[verb])
print(system.power_state.value.lower())
"""


@pytest.fixture
def lab(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("MUSTER_LAB_ACCEL", "tcg")
    with Lab.up(name="test", folder=short_folder) as lab:
        yield lab


def machine_with(lab: Lab, bmc: Bmc) -> Machine:
    """Its firmware starts its disk first, from which something can be started."""
    order = Order(
        name="m1", memory_mib=128, cpus=1, disks=(DiskOrder(size_mib=8),), bmc=bmc, boot=Boot.DISK
    )
    machine = lab.add(order)
    with machine.disk().open("r+b") as disk:
        disk.write(SECTOR.ljust(510, b"\0") + b"\x55\xaa")
    return machine


def ask(lab: Lab, machine: Machine, verb: str) -> str:
    """By a client that is not ours; `verb`: status, on, off, pxe, reset."""
    bmc = machine.document()["bmc"]
    file = Path(bmc["password_file"])
    assert file.stat().st_mode & 0o077 == 0
    if bmc["kind"] == "redfish":
        names = {"on": "ON", "off": "FORCE_OFF", "reset": "FORCE_RESTART"}
        password = file.read_text().strip()
        argv = [sys.executable, "-c", SUSHY, bmc["address"], password, names.get(verb, verb)]
    else:
        words = ["bootdev", "pxe"] if verb == "pxe" else ["power", verb]
        argv = ["ipmitool", "-I", "lanplus", "-C", "3", "-H", bmc["address"], "-U", bmc["user"]]
        argv += ["-f", str(file), "chassis", *words]
    with lab.run_inside(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done:
        out, err = done.communicate(timeout=90)
    assert done.returncode == 0, err
    return str(out.split()[-1])


@pytest.mark.parametrize("kind", [Bmc.IPMI, Bmc.REDFISH])
def test_a_bmc_switches_its_machine_and_boots_it_once_from_the_network(lab: Lab, kind: Bmc) -> None:
    machine = machine_with(lab, kind)
    assert ask(lab, machine, "status") == "off"
    ask(lab, machine, "on")
    machine.wait_for("started from the disk", limit_s=60)
    assert ask(lab, machine, "status") == "on"
    ask(lab, machine, "off")
    machine.wait_until("stopped", limit_s=30)

    ask(lab, machine, "pxe")
    ask(lab, machine, "on")
    machine.wait_for(IPXE, limit_s=60)
    assert "started from the disk" not in machine.serial_text().rpartition("power on 2")[2]
    ask(lab, machine, "reset")
    machine.wait_for("started from the disk", limit_s=60)


def test_a_bmc_starts_its_machine_once_from_its_virtual_drive(lab: Lab, tmp_path: Path) -> None:
    machine = machine_with(lab, Bmc.REDFISH)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "boot.bin").write_bytes(CD_SECTOR.ljust(2048, b"\0"))
    making = ["xorriso", "-as", "mkisofs", "-quiet", "-no-emul-boot", "-boot-load-size", "4"]
    making += ["-b", "boot.bin", "-o", str(tmp_path / "cd.iso"), str(tree)]
    subprocess.run(making, check=True)
    serving = [sys.executable, "-m", "http.server", "--bind", "10.99.0.1", "8000"]
    web = lab.run_inside(serving, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        # To ask a BMC takes longer than a web server's start.
        assert ask(lab, machine, "status") == "off"
        ask(lab, machine, "http://10.99.0.1:8000/cd.iso")
    finally:
        web.terminate()
        web.wait(30)
    ask(lab, machine, "on")
    machine.wait_for("started from the CD", limit_s=60)
    ask(lab, machine, "reset")
    machine.wait_for("started from the disk", limit_s=60)


def test_a_bmc_that_died_comes_back_with_its_certificate_and_ends_with_its_machine(
    lab: Lab,
) -> None:
    machine = machine_with(lab, Bmc.REDFISH)
    assert ask(lab, machine, "status") == "off"
    certificate = (machine.folder / "bmc/bmc.pem").read_bytes()
    (pid,) = processes(machine.folder)
    os.kill(pid, 9)
    assert ask(lab, machine, "status") == "off"
    assert (machine.folder / "bmc/bmc.pem").read_bytes() == certificate
    machine.remove()
    assert processes(machine.folder) == []


def processes(folder: Path) -> list[int]:
    """Those whose command names something in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{folder}/" in (process / "cmdline").read_text():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_no_password_is_on_a_command_line_or_in_the_lab_s_document(lab: Lab) -> None:
    machine = machine_with(lab, Bmc.IPMI)
    password = Path(machine.document()["bmc"]["password_file"]).read_text().strip()
    assert ask(lab, machine, "status") == "off"
    assert re.fullmatch("[A-Za-z0-9]{16}", password)
    assert password not in json.dumps(lab.facts)
    assert password not in (lab.folder / "lab.json").read_text()
    seen = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert "ipmi_sim" in seen.stdout
    assert password not in seen.stdout


def test_a_bmc_that_cannot_be_simulated_is_told_with_its_package(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda tool, **_: None if tool == "ipmi_sim" else tool)
    with pytest.raises(CannotStart, match=r"ipmi_sim .apt install openipmi"):
        Lab.up(orders=[Order(name="m1", bmc=Bmc.IPMI)], name="test", folder=short_folder)
