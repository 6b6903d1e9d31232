# SPDX-License-Identifier: Apache-2.0
"""Hosts of virtual machines (LXD, Incus): added, read, instances taken in, composed, deleted."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from litestar import Response, delete, get, post
from litestar.params import Parameter

from muster.api.access import role
from muster.api.shapes import shown
from muster.lifecycle import hosts as verbs
from muster.lifecycle.hosts import Desk
from muster.lifecycle.keyring import Keyring
from muster.power.lxdhosts import Wanted
from muster.store import hosts, machines
from muster.store.engine import Conflict, Missing, Store, Tx
from muster.store.hosts import Host
from muster.store.people import User
from muster.wire.codec import Limited, limited

Reference = Annotated[str, Parameter(max_length=63, description="A host's id or name.")]
PATH = "/hosts/{reference:str}"


@dataclass(frozen=True)
class NewHost(Limited):
    """`parameters`: those of the driver lxd without instance_name; `password` takes a token."""

    name: str = limited(most=63)
    parameters: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A parameter is text that every database keeps."""
        super().__post_init__()
        for name, value in self.parameters.items():
            if "\0" in name or "\0" in value:
                raise ValueError(f"parameters.{name}: holds a NUL")


@dataclass(frozen=True)
class HostShown:
    """`secrets` are the names of those that are set. `machine`: the one it runs on, if known.

    `summary`: server, version, pools, networks, resources; `error`: why it cannot be read now.
    """

    id: str
    name: str
    driver: str
    parameters: dict[str, str]
    secrets: list[str]
    summary: dict[str, Any]
    error: str
    seen_at: datetime | None
    machine: str
    created_at: datetime


@dataclass(frozen=True)
class InstanceShown:
    """`machine` is the name of its record, "" when it was not taken in; `composed` by muster."""

    name: str
    kind: str
    state: str
    architecture: str
    uuid: str
    macs: list[str]
    cpus: str
    memory: str
    composed: bool
    machine: str


@dataclass(frozen=True)
class Chosen(Limited):
    """Names of instances; `everything` takes in all that are there."""

    instances: list[str] = limited(most=1000, factory=list)
    everything: bool = False

    def __post_init__(self) -> None:
        """A name is text that every database keeps."""
        super().__post_init__()
        if any("\0" in name for name in self.instances):
            raise ValueError("instances[0]: holds a NUL")


@dataclass(frozen=True)
class TakenShown:
    """`outcome`: created, switched (a known machine got its switch), known, refused."""

    found: str
    machine: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class NewInstance(Limited):
    """Sizes in bytes; disk 0, pool and network "": as the host has it, or its only one.

    A virtual machine without `image` is empty and boots from the network.
    """

    name: str = limited(most=63)
    kind: Literal["virtual-machine", "container"] = "virtual-machine"
    cores: int = 1
    memory_bytes: int = 2 << 30
    disk_bytes: int = 0
    pool: str = limited(most=63, default="")
    network: str = limited(most=63, default="")
    image: str = limited(most=255, default="")

    def __post_init__(self) -> None:
        """Sizes that any host could have."""
        super().__post_init__()
        for name, least, most in (
            ("cores", 1, 4096), ("memory_bytes", 1 << 20, 1 << 50), ("disk_bytes", 0, 1 << 60),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: must be from {least} to {most}")


@get("/hosts", sync_to_thread=True)
def list_hosts(store: Store, keyring: Keyring, user: User) -> list[HostShown]:
    """Every host, by name."""
    with store.read() as tx:
        return [_shown(tx, keyring, host) for host in hosts.every(tx)]


@post("/hosts", dependencies=role("operator"))
async def add_host(
    data: NewHost, store: Store, keyring: Keyring, user: User, now: datetime
) -> HostShown:
    """Trust a host and read it; nothing that runs there is marked or changed."""
    desk = Desk(store, keyring, user.name, now)
    host = await verbs.add(desk, data.name, data.parameters)
    return await desk.read(lambda tx: _shown(tx, keyring, host))


@get(PATH, sync_to_thread=True)
def show_host(reference: Reference, store: Store, keyring: Keyring, user: User) -> HostShown:
    """One host as it was read last."""
    with store.read() as tx:
        return _shown(tx, keyring, hosts.find(tx, reference))


@post(PATH + "/refresh", status_code=200, dependencies=role("operator"))
async def refresh_host(
    reference: Reference, store: Store, keyring: Keyring, user: User, now: datetime
) -> HostShown:
    """Read a host anew."""
    desk = Desk(store, keyring, user.name, now)
    host = await verbs.refresh(desk, reference)
    return await desk.read(lambda tx: _shown(tx, keyring, host))


@get(PATH + "/resources", sync_to_thread=True, media_type="application/json")
def host_resources(reference: Reference, store: Store, user: User) -> Response[bytes]:
    """The host's own resources document, in the shape that machines send."""
    with store.read() as tx:
        body = hosts.document(tx, hosts.find(tx, reference).id)
    return Response(body, media_type="application/json")


@get(PATH + "/instances")
async def list_instances(
    reference: Reference, store: Store, keyring: Keyring, user: User, now: datetime
) -> list[InstanceShown]:
    """What is on the host now, asked of it."""
    found = await verbs.instances(Desk(store, keyring, user.name, now), reference)
    return [shown(InstanceShown, one, machine=machine) for one, machine in found]


@post(PATH + "/machines", status_code=200, dependencies=role("operator"))
async def take_in(
    reference: Reference,
    data: Chosen,
    store: Store,
    keyring: Keyring,
    user: User,
    now: datetime,
) -> list[TakenShown]:
    """Make machines, New, of instances that are there."""
    if bool(data.instances) == data.everything:
        raise Conflict("say either which instances, or everything")
    desk = Desk(store, keyring, user.name, now)
    taken = await verbs.take_in(desk, reference, data.instances)
    return [shown(TakenShown, one) for one in taken]


@post(PATH + "/instances", dependencies=role("operator"))
async def compose(
    reference: Reference,
    data: NewInstance,
    store: Store,
    keyring: Keyring,
    user: User,
    now: datetime,
) -> TakenShown:
    """Make an instance, stopped, and its machine, New."""
    names = ("name", "kind", "cores", "memory_bytes", "disk_bytes", "pool", "network", "image")
    wanted = Wanted(**{name: getattr(data, name) for name in names})
    desk = Desk(store, keyring, user.name, now)
    return shown(TakenShown, await verbs.compose(desk, reference, wanted))


@delete(PATH + "/instances/{instance:str}", dependencies=role("operator"))
async def delete_instance(
    reference: Reference,
    instance: Annotated[str, Parameter(max_length=63)],
    store: Store,
    keyring: Keyring,
    user: User,
    now: datetime,
    confirm: Annotated[str, Parameter(max_length=63, description="Its name, said again.")] = "",
) -> None:
    """Delete an instance that muster composed, with its disk; its machine's record stays."""
    desk = Desk(store, keyring, user.name, now)
    await verbs.delete_instance(desk, reference, instance, confirm=confirm)


@delete(PATH, dependencies=role("operator"))
async def remove_host(
    reference: Reference, store: Store, keyring: Keyring, user: User, now: datetime
) -> None:
    """Forget a host; no instance and no machine is deleted."""
    await verbs.remove(Desk(store, keyring, user.name, now), reference)


def _shown(tx: Tx, keyring: Keyring, host: Host) -> HostShown:
    machine = ""
    if host.machine_id:
        try:
            machine = machines.find(tx, host.machine_id).name
        except Missing:
            machine = ""
    secrets = sorted(keyring.open(host.secret, of=host.id))
    return shown(HostShown, host, machine=machine, secrets=secrets)


ROUTES = [
    list_hosts,
    add_host,
    show_host,
    refresh_host,
    host_resources,
    list_instances,
    take_in,
    compose,
    delete_instance,
    remove_host,
]
