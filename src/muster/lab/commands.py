# SPDX-License-Identifier: Apache-2.0
"""`muster lab`: a virtual rack from the command line."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Column, Table

from muster.lab import folder as state
from muster.lab import launch, readiness
from muster.lab.client import Lab, default_orders, order, server_command
from muster.lab.errors import LabError
from muster.lab.follow import growth, plain

app = App(name="lab", help="A private virtual rack: try everything without hardware.")
out = Console()

NameFlag = Annotated[str, Parameter(help="Which lab; each name is a lab of its own.")]
DirFlag = Annotated[
    Path | None,
    Parameter(name="--dir", help="State folder, by default /run/muster-lab/NAME."),
]


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """A refusal is one message on standard error and exit status 1."""
    try:
        yield
    except LabError as error:
        Console(stderr=True).print(f"muster lab: {error}", style="red", markup=False)
        sys.exit(1)


def _folder(name: str, directory: Path | None) -> Path:
    return (directory or state.default_folder(state.check_name(name), os.environ)).absolute()


@app.command
def up(
    *,
    machines: int = 2,
    firmware: str = "bios,uefi",
    memory: int = 2048,
    bmc: str = "",
    name: NameFlag = "lab",
    directory: DirFlag = None,
    listen: str = "127.0.0.1:8472",
    data: Path | None = None,
    no_server: bool = False,
    no_power_on: bool = False,
) -> None:
    """Start a lab: its network, muster's server and virtual machines that boot from it.

    Parameters
    ----------
    machines
        How many, named m1, m2 ...
    firmware
        bios, uefi, uefi-http, secure-boot, secure-boot-http or uefi-ipv6, or a list dealt out
        in turn.
    memory
        MiB for each machine.
    bmc
        redfish, ipmi or kcs, or a list that is dealt out in turn; such machines stay off.
    listen
        Where this host reaches the server.
    data
        The server's data folder; by default inside the lab, and gone with it.
    no_server
        Only network and machines: bring your own DHCP and boot server.
    no_power_on
        Leave the machines off.
    """
    with refusals():
        bmcs = bmc.split(",") if bmc else []
        orders = default_orders(machines, firmware.split(","), memory_mib=memory, bmcs=bmcs)
        folder = _folder(name, directory)
        socket = None if no_server else launch.open_listener(listen)
        server = None if no_server else server_command(folder, data)
        with out.status("starting the lab"):
            lab = Lab.up(orders=orders, name=name, folder=folder, server=server, listen=socket)
        if socket is not None:
            socket.close()
        with _or_down(lab):
            _fill(lab, server=not no_server, power_on=not (no_power_on or bmc))
        _show(lab.facts)


@contextlib.contextmanager
def _or_down(lab: Lab) -> Iterator[None]:
    """A lab whose start fails half-way, or is interrupted, is taken down again."""
    try:
        yield
    except BaseException:
        lab.down()
        raise


def _fill(lab: Lab, *, server: bool, power_on: bool) -> None:
    if server:
        with out.status("waiting for the server"):
            readiness.await_server(lab)
    for machine in lab.machines() if power_on else []:
        with out.status(f"switching {machine.name} on"):
            machine.on()


@app.command
def down(*, name: NameFlag = "lab", directory: DirFlag = None) -> None:
    """End a lab, running or crashed, and delete its state folder."""
    with refusals():
        folder = _folder(name, directory)
        with out.status("ending the lab"):
            foreign = launch.stop(folder)
        if foreign:
            out.print(f"left in {folder}, not the lab's: {', '.join(foreign)}", markup=False)


@app.command
def status(*, name: NameFlag = "lab", directory: DirFlag = None) -> None:
    """Show a lab: machines, server, network."""
    with refusals():
        _show(Lab.load(_folder(name, directory)).facts)


@app.command
def power(machine: str, verb: str, *, name: NameFlag = "lab", directory: DirFlag = None) -> None:
    """Switch a machine: on, off, cycle, reset, or soft (ask its system to switch off)."""
    with refusals():
        lab = Lab.load(_folder(name, directory))
        document = lab.call("POST", f"/machines/{machine}/{verb}")
        out.print(f"{machine} is {document['status']}: {document['reason']}", markup=False)


@app.command
def add(
    machine: str,
    *,
    firmware: str = "bios",
    memory: int = 2048,
    bmc: str = "",
    name: NameFlag = "lab",
    directory: DirFlag = None,
) -> None:
    """Add a machine, switched off, to a running lab."""
    with refusals():
        lab = Lab.load(_folder(name, directory))
        lab.add(order(machine, firmware, memory_mib=memory, bmc=bmc))
        _show(lab.facts)


@app.command
def console(
    machine: str,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    raw: bool = False,
    name: NameFlag = "lab",
    directory: DirFlag = None,
) -> None:
    """Print a machine's serial console since it was made.

    Parameters
    ----------
    follow
        Go on printing until Ctrl-C.
    raw
        Keep terminal codes. A guest can then drive your terminal.
    """
    with refusals(), contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        lab = Lab.load(_folder(name, directory))
        log = Path(lab.call("GET", f"/machines/{machine}")["folder"]) / "serial.log"
        for chunk in growth(log, limit_s=None if follow else 0):
            sys.stdout.write(chunk.decode(errors="replace") if raw else plain(chunk))
            sys.stdout.flush()


def _show(facts: dict[str, Any]) -> None:
    table = Table("machine", "power", "firmware", Column("MACs", no_wrap=True))
    table.add_column("UUID", overflow="fold")
    for machine in facts["machines"]:
        table.add_row(
            machine["name"],
            f"{machine['status']}: {machine['reason']}",
            machine["firmware"],
            "\n".join(machine["macs"]),
            machine["uuid"] or "none (all-zero)",
        )
    out.print(table)
    for machine in facts["machines"]:
        if bmc := machine["bmc"]:
            # It is to be copied whole.
            out.print(_add_command(machine, bmc), markup=False, soft_wrap=True)
    server = facts["server"]
    out.print(f"lab {facts['name']}: {facts['folder']}, {facts['accel']['reason']}", markup=False)
    if server:
        out.print(f"server: {server['state']}, {facts['server_url']}", markup=False)


def _add_command(machine: dict[str, Any], bmc: dict[str, Any]) -> str:
    """How the machine is made known to a server with its BMC, before it was ever on."""
    parameters = f"power_address={bmc['address']} power_user={bmc['user']}"
    secret = f"power_pass=@{bmc['password_file']}"
    return f"muster add {machine['name']} {machine['macs'][0]} {bmc['kind']} {parameters} {secret}"
