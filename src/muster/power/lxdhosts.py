# SPDX-License-Identifier: Apache-2.0
"""A whole LXD or Incus host: its own resources, its instances, new ones and their end.

Asks `GET /1.0`, `/1.0/resources`, `/1.0/networks`, their `/state`, `/1.0/storage-pools` and
`/1.0/instances`; makes an instance by `POST /1.0/instances` (a virtual machine is empty and boots
from the network first) and removes one by `DELETE`. Nothing that runs is touched by looking. What
muster made carries the configuration key `user.muster`.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from muster.power import lxd
from muster.power.drivers import PowerError, check
from muster.power.https import Link

MARK = "user.muster"
_TEXT = 256
_NETWORKS = 256
_ARCHITECTURES = {"x86_64", "aarch64", "armv7l", "ppc64le", "s390x", "riscv64"}


@dataclass(frozen=True)
class Instance:
    """`state`: on, off or unknown; `uuid` is the one that a virtual machine shows as its own."""

    name: str
    kind: str
    state: str
    architecture: str
    uuid: str
    macs: list[str]
    cpus: str
    memory: str
    composed: bool


@dataclass(frozen=True)
class HostSeen:
    """`document` is of the shape that machines send; `networks` are those an instance can join."""

    server: str
    version: str
    document: bytes
    instances: list[Instance]
    pools: list[str]
    networks: list[str]


@dataclass(frozen=True)
class Wanted:
    """An instance to make; 0 and "" leave it to the host or to the only choice there is."""

    name: str
    kind: str = "virtual-machine"
    cores: int = 1
    memory_bytes: int = 2 << 30
    disk_bytes: int = 0
    pool: str = ""
    network: str = ""
    image: str = ""
    mac: str = ""


def parameters_of(given: dict[str, str]) -> dict[str, str]:
    """A host's parameters are those of its instances but for the name; raises PowerError."""
    if "instance_name" in given:
        raise PowerError("instance_name: a host has many; leave it out", permanent=True)
    checked = check("lxd", {**given, "instance_name": "any"})
    return {name: value for name, value in checked.items() if name != "instance_name"}


async def look(parameters: dict[str, Any]) -> HostSeen:
    """Everything that the host says of itself; raises PowerError."""
    async with lxd.talking(parameters) as link:
        server = await _one(link, "/1.0")
        environment = _dict(server, "environment")
        networks = await _many(link, f"/1.0/networks?recursion=1&{lxd.project_of(parameters)}")
        states = {}
        for network in networks[:_NETWORKS]:
            name = _text(network.get("name"))
            if name and network.get("type") != "unknown":
                states[name] = await _state_of(link, name)
        document = {
            "api_version": "1.0",
            "api_extensions": server.get("api_extensions") or [],
            "environment": {k: v for k, v in environment.items() if isinstance(v, str)},
            "resources": await _one(link, "/1.0/resources"),
            "networks": {name: state for name, state in states.items() if state},
        }
        pools = await _many(link, "/1.0/storage-pools?recursion=1")
        instances = await _instances(link, parameters)
    joinable = [n for n in networks if n.get("managed") or n.get("type") == "bridge"]
    return HostSeen(
        server=_text(environment.get("server")),
        version=_text(environment.get("server_version")),
        document=json.dumps(document).encode(),
        instances=instances,
        pools=_names(pools),
        networks=_names(joinable),
    )


async def instances(parameters: dict[str, Any]) -> list[Instance]:
    """What is on the host in its project, by name; raises PowerError."""
    async with lxd.talking(parameters) as link:
        return await _instances(link, parameters)


async def compose(parameters: dict[str, Any], wanted: Wanted) -> Instance:
    """Make an instance, stopped; raises PowerError."""
    project = lxd.project_of(parameters)
    async with lxd.talking(parameters) as link:
        networks = await _many(link, f"/1.0/networks?recursion=1&{project}")
        pools = _names(await _many(link, "/1.0/storage-pools?recursion=1"))
        body = {
            "name": wanted.name,
            "type": wanted.kind,
            "source": _source(wanted),
            "profiles": [],
            "config": _configuration(wanted),
            "devices": {
                "root": _root(wanted, _choose("pool", wanted.pool, pools)),
                "eth0": _nic(wanted, networks),
            },
        }
        await lxd.act(link, "POST", f"/1.0/instances?{project}", body)
        made = {**parameters, "instance_name": wanted.name}
        return _instance(await _one(link, lxd.path_of(made)))


async def remove(parameters: dict[str, Any], name: str) -> None:
    """Stop and delete an instance that muster made, with its disk; raises PowerError."""
    named = {**parameters, "instance_name": name}
    async with lxd.talking(parameters) as link:
        found = _instance(await _one(link, lxd.path_of(named)))
        if not found.composed:
            raise PowerError(
                f"{name} was not made by muster, which deletes nothing else; delete it on the host",
                permanent=True,
            )
        if found.state != "off":
            body = {"action": "stop", "force": True, "timeout": 30}
            await lxd.act(link, "PUT", lxd.path_of(named, "/state"), body)
        await lxd.act(link, "DELETE", lxd.path_of(named))


def _source(wanted: Wanted) -> dict[str, str]:
    if wanted.image:
        return {"type": "image", "alias": wanted.image}
    if wanted.kind == "container":
        raise PowerError("image: a container needs one; name an alias of the host", permanent=True)
    return {"type": "none"}


def _configuration(wanted: Wanted) -> dict[str, str]:
    config = {
        "limits.cpu": str(wanted.cores),
        "limits.memory": str(wanted.memory_bytes),
        MARK: "composed",
    }
    if wanted.kind == "virtual-machine":
        # Our boot loader for machines without Secure Boot comes unsigned (iPXE).
        config["security.secureboot"] = "false"
    return config


def _root(wanted: Wanted, pool: str) -> dict[str, str]:
    size = {"size": str(wanted.disk_bytes)} if wanted.disk_bytes else {}
    return {"type": "disk", "path": "/", "pool": pool, "boot.priority": "1", **size}


def _nic(wanted: Wanted, networks: list[dict[str, Any]]) -> dict[str, str]:
    joinable = [n for n in networks if n.get("managed") or n.get("type") == "bridge"]
    name = _choose("network", wanted.network, _names(joinable))
    managed = any(n.get("managed") for n in joinable if n.get("name") == name)
    where = {"network": name} if managed else {"nictype": "bridged", "parent": name}
    mac = {"hwaddr": wanted.mac} if wanted.mac else {}
    return {"type": "nic", "name": "eth0", "boot.priority": "10", **where, **mac}


def _choose(what: str, wanted: str, there: list[str]) -> str:
    if wanted in there or (not wanted and len(there) == 1):
        return wanted or there[0]
    has = ", ".join(there) or "none"
    wrong = f"the host has no {what} {wanted!r}" if wanted else f"which {what}?"
    raise PowerError(f"{what}: {wrong}; it has: {has}", permanent=True)


async def _instances(link: Link, parameters: dict[str, Any]) -> list[Instance]:
    path = f"/1.0/instances?recursion=1&{lxd.project_of(parameters)}"
    found = [_instance(one) for one in await _many(link, path)]
    return sorted((one for one in found if one.name), key=lambda one: one.name)


def _instance(told: dict[str, Any]) -> Instance:
    config = {**_dict(told, "config"), **_dict(told, "expanded_config")}
    devices = _dict(told, "expanded_devices") or _dict(told, "devices")
    macs = [
        _text(device.get("hwaddr") or config.get(f"volatile.{name}.hwaddr"))
        for name, device in devices.items()
        if isinstance(device, dict) and device.get("type") == "nic"
    ]
    kind = _text(told.get("type"))
    architecture = _text(told.get("architecture"))
    return Instance(
        name=_text(told.get("name"))[:63],
        kind=kind,
        state=lxd.state_of(told.get("status_code")),
        architecture=architecture if architecture in _ARCHITECTURES else "",
        # A container shows the host's own.
        uuid=_text(config.get("volatile.uuid")) if kind == "virtual-machine" else "",
        macs=sorted(mac for mac in macs if mac),
        cpus=_text(config.get("limits.cpu")),
        memory=_text(config.get("limits.memory")),
        composed=config.get(MARK) == "composed",
    )


async def _state_of(link: Link, network: str) -> dict[str, Any]:
    try:
        return await _one(link, f"/1.0/networks/{quote(network, safe='')}/state")
    except PowerError:
        # A network that is defined and not up has none; the host's inventory is worth more.
        return {}


async def _one(link: Link, path: str) -> dict[str, Any]:
    return _dict((await link.get(path)).body, "metadata")


async def _many(link: Link, path: str) -> list[dict[str, Any]]:
    found = (await link.get(path)).body.get("metadata")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _names(found: list[dict[str, Any]]) -> list[str]:
    return sorted(filter(None, (_text(one.get("name")) for one in found)))


def _dict(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return "".join(c for c in str(value or "")[:_TEXT] if c.isprintable())
