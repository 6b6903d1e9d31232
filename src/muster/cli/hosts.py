# SPDX-License-Identifier: Apache-2.0
"""Hosts of virtual machines."""

import sys
import urllib.parse
from typing import Any, Literal

import cyclopts

from muster.cli import tables
from muster.cli.client import ApiError, Client, fail
from muster.cli.verbs import value_of
from muster.cli.words import clean, plain, size

app = cyclopts.App(name="host", help="Hosts of virtual machines (LXD, Incus).")
_GIB = 1 << 30


@app.command
def add(name: str, power_address: str, /, *parameters: str) -> None:
    """Trust a host and read it: muster host add lxd1 10.0.0.5 password=-

    Parameters
    ----------
    name
        What the host shall be called
    power_address
        Host, host:port or https:// URL
    parameters
        NAME=VALUE as project=default; password is the token of `lxc config trust add`. NAME=@FILE
        takes the value from a file and NAME=- asks for it
    """
    pairs = [parameter.partition("=") for parameter in parameters]
    given = {key: value_of(key, value) for key, _, value in pairs}
    body = {"name": name, "parameters": {"power_address": power_address, **given}}
    _print(_ask("POST", "/hosts", body))


@app.command(name="list")
def every() -> None:
    """Every host and what it was read to be."""
    table = tables.table("name", "address", "server", "instances", "CPUs", "memory", "why")
    for host in _ask("GET", "/hosts"):
        told = host["summary"]
        resources = told.get("resources", {})
        table.add_row(
            host["name"],
            clean(host["parameters"]["power_address"]),
            clean(f"{told.get('server', '')} {told.get('version', '')}"),
            str(told.get("instances", "")),
            str(resources.get("cpu_count", "")),
            size(resources["memory_bytes"]) if resources else "",
            clean(host["error"]),
        )
    tables.put(table)


@app.command
def show(host: str, /) -> None:
    """One host and its instances."""
    _print(_ask("GET", _path(host)))
    table = tables.table("instance", "kind", "power", "CPUs", "memory", "MAC", "machine")
    for one in _ask("GET", _path(host, "/instances")):
        words = [clean(one[key]) for key in ("name", "kind", "state", "cpus", "memory")]
        table.add_row(*words, clean(", ".join(one["macs"])), one["machine"])
    tables.put(table)


@app.command
def refresh(host: str, /) -> None:
    """Read a host anew."""
    _print(_ask("POST", _path(host, "/refresh")))


@app.command
def take(host: str, /, *instances: str, everything: bool = False) -> None:
    """Make machines, New, of instances: muster host take lxd1 vm1 vm2

    Parameters
    ----------
    host
        Name or id
    instances
        Which ones
    everything
        All that are there
    """
    body = {"instances": list(instances), "everything": everything}
    for taken in _ask("POST", _path(host, "/machines"), body):
        _print_taken(taken)


@app.command
def compose(
    host: str,
    name: str,
    /,
    *,
    kind: Literal["virtual-machine", "container"] = "virtual-machine",
    cores: int = 1,
    memory_gib: float = 2,
    disk_gib: float = 0,
    pool: str = "",
    network: str = "",
    image: str = "",
) -> None:
    """Make an instance, stopped, and its machine, New.

    Parameters
    ----------
    host
        Name or id
    name
        The instance's name
    kind
        A container needs an image and cannot be commissioned
    cores
        CPUs
    memory_gib
        Memory in GiB
    disk_gib
        Root disk in GiB; 0: what the pool gives
    pool
        Storage pool; the only one there is
    network
        Network or bridge; the only one there is
    image
        Alias of an image; without one a virtual machine is empty and boots from the network
    """
    body = {
        "name": name,
        "kind": kind,
        "cores": cores,
        "memory_bytes": int(memory_gib * _GIB),
        "disk_bytes": int(disk_gib * _GIB),
        "pool": pool,
        "network": network,
        "image": image,
    }
    _print_taken(_ask("POST", _path(host, "/instances"), body))


@app.command
def delete(host: str, instance: str, /, *, yes: bool = False) -> None:
    """Delete an instance that muster composed, with its disk; its machine's record stays.

    Parameters
    ----------
    host
        Name or id
    instance
        Which one
    yes
        Do not ask
    """
    question = f"delete {instance} on {host} and all that is on its disk? [y/N] "
    if not yes and not (sys.stdin.isatty() and input(question) == "y"):
        fail("nothing was deleted; say --yes when you do not want to be asked")
    name = urllib.parse.quote(instance, safe="")
    _ask("DELETE", _path(host, f"/instances/{name}?confirm={name}"))
    print(plain(f"{instance} was deleted"))


@app.command
def remove(host: str, /) -> None:
    """Forget a host; its instances and machines stay."""
    _ask("DELETE", _path(host))
    print(plain(f"{host} was removed; its machines stay"))


def _path(host: str, rest: str = "") -> str:
    return f"/hosts/{urllib.parse.quote(host, safe='')}{rest}"


def _ask(method: str, path: str, body: object = None) -> Any:
    try:
        return Client().send(method, path, body)
    except ApiError as error:
        fail(str(error))


def _print(host: dict[str, Any]) -> None:
    told = host["summary"]
    resources = told.get("resources", {})
    words = [f"{host['name']}: {told.get('server', '?')} {told.get('version', '')}"]
    if resources:
        words += [f"{resources['cpu_count']} CPUs", size(resources["memory_bytes"])]
        words += [f"{told['instances']} instances"]
    if host["machine"]:
        words.append(f"runs on {host['machine']}")
    print(plain(", ".join(words)))
    if host["error"]:
        print(plain(host["error"]))


def _print_taken(taken: dict[str, str]) -> None:
    print(plain(f"{taken['found']}: {taken['outcome']} {taken['machine']}: {taken['reason']}"))
