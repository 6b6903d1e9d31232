# SPDX-License-Identifier: Apache-2.0
"""What is found from outside: BMCs in ranges that an operator names, hosts of virtual machines."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, Parameter
from litestar.response import Redirect

from muster.lifecycle import hosts as verbs
from muster.lifecycle import scan as scans
from muster.lifecycle.hosts import Desk
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.scan import Seen, Wanted
from muster.power.drivers import PowerError
from muster.power.lxdhosts import Wanted as Instance
from muster.store import hosts, machines
from muster.store.engine import Conflict, Missing, Store
from muster.store.hosts import Host
from muster.web.page import page
from muster.web.session import AnyRequest, Looking, check_form
from muster.wire.codec import BadMessage

Form = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)]
Reference = Annotated[str, Parameter(max_length=63)]
MOST = 256
"""Addresses of one look, which is answered when all were asked."""
EMPTY = {"ranges": "", "user": "", "redfish_port": "443", "ipmi_port": "623"}


@get("/power/scan", sync_to_thread=False)
def ask(request: AnyRequest, looking: Looking) -> Response[Any]:
    """The form: where to look, and as whom."""
    looking.need("operator")
    return page(request, "scan.html", looking, seen=None, wrong="", given=EMPTY)


@post("/power/scan", status_code=200)
async def scan(
    data: Form, request: AnyRequest, store: Store, keyring: Keyring, looking: Looking, now: datetime
) -> Response[Any]:
    """Ask each address for Redfish and IPMI; with a user, take in what is there."""
    check_form(request, looking, data)
    looking.need("operator")
    given = EMPTY | {name: str(data.get(name, ""))[:4096].strip() for name in EMPTY}
    seen: list[Seen] | None = None
    wrong = ""
    try:
        wanted = _wanted(given, str(data.get("password", ""))[:256], str(data.get("k_g", ""))[:64])
        addresses = scans.addresses_of(wanted, most=MOST)
        seen = await scans.scan(Desk(store, keyring, looking.user.name, now), wanted, addresses)
    except (PowerError, BadMessage) as error:
        wrong = str(error)
    return page(
        request, "scan.html", looking, seen=seen, wrong=wrong, given=given,
        status=400 if wrong else 200,
    )  # fmt: skip


def _wanted(given: dict[str, str], password: str, k_g: str) -> Wanted:
    ports = {}
    for name in ("redfish_port", "ipmi_port"):
        text = given[name]
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535):
            raise BadMessage(name, "must be from 1 to 65535")
        ports[name] = int(text)
    ranges = given["ranges"].replace(",", " ").split()
    if not ranges:
        raise BadMessage("ranges", "say where to look: 10.0.0.0/24, 10.0.0.5-40 or 10.0.0.5")
    return Wanted(ranges, given["user"][:64], password, k_g, **ports)


@get("/power/hosts", sync_to_thread=True)
def every(request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """Every host of virtual machines."""
    return _hosts(request, store, looking)


def _hosts(
    request: AnyRequest, store: Store, looking: Looking, *, wrong: str = "", name: str = "",
    address: str = "",
) -> Response[Any]:  # fmt: skip
    with store.read() as tx:
        found = hosts.every(tx)
    return page(
        request, "hosts.html", looking, hosts=found, wrong=wrong, name=name, address=address,
        status=400 if wrong else 200,
    )  # fmt: skip


@post("/power/hosts", status_code=200)
async def add(
    data: Form, request: AnyRequest, store: Store, keyring: Keyring, looking: Looking, now: datetime
) -> Response[Any]:
    """Trust a host by its token and read it; nothing that runs there is changed."""
    check_form(request, looking, data)
    looking.need("operator")
    name, address = (str(data.get(one, "")).strip()[:255] for one in ("name", "address"))
    given = {"power_address": address, "password": str(data.get("token", "")).strip()[:8192]}
    if project := str(data.get("project", "")).strip()[:63]:
        given["project"] = project
    try:
        host = await verbs.add(Desk(store, keyring, looking.user.name, now), name, given)
    except (PowerError, BadMessage, Conflict) as error:
        return _hosts(request, store, looking, wrong=str(error), name=name, address=address)
    return Redirect(f"/power/hosts/{host.name}", status_code=303)


@get("/power/hosts/{reference:str}")
async def one(
    reference: Reference, request: AnyRequest, store: Store, keyring: Keyring, looking: Looking,
    now: datetime,
) -> Response[Any]:  # fmt: skip
    """One host, and what is on it now, asked of it."""
    desk = Desk(store, keyring, looking.user.name, now)
    host = await desk.read(lambda tx: hosts.find(tx, reference))
    return await _host(request, looking, desk, host)


async def _host(
    request: AnyRequest, looking: Looking, desk: Desk, host: Host, *, wrong: str = "",
    taken: list[Any] | None = None,
) -> Response[Any]:  # fmt: skip
    found: list[Any] = []
    unread = ""
    try:
        found = await verbs.instances(desk, host.id)
    except PowerError as error:
        unread = str(error)

    def known(tx: Any) -> str:
        try:
            return machines.find(tx, host.machine_id).name if host.machine_id else ""
        except Missing:
            return ""

    machine = await desk.read(known)
    return page(
        request, "host.html", looking, host=host, instances=found, unread=unread, wrong=wrong,
        taken=taken or [], machine=machine, status=400 if wrong else 200,
    )  # fmt: skip


@post("/power/hosts/{reference:str}", status_code=200)
async def act(
    reference: Reference, data: Form, request: AnyRequest, store: Store, keyring: Keyring,
    looking: Looking, now: datetime,
) -> Response[Any]:  # fmt: skip
    """Read it anew, take instances in, compose one, delete one, or forget the host."""
    check_form(request, looking, data)
    looking.need("operator")
    desk = Desk(store, keyring, looking.user.name, now)
    host = await desk.read(lambda tx: hosts.find(tx, reference))
    do, taken, wrong = str(data.get("do", "")), [], ""
    try:
        if do == "remove":
            await verbs.remove(desk, host.id)
            return Redirect("/power/hosts", status_code=303)
        taken = await _done(desk, host, do, data)
    except (PowerError, BadMessage, Conflict, Missing) as error:
        wrong = str(error)
    host = await desk.read(lambda tx: hosts.find(tx, host.id))
    return await _host(request, looking, desk, host, wrong=wrong, taken=taken)


async def _done(desk: Desk, host: Host, do: str, data: Form) -> list[Any]:
    if do == "refresh":
        await verbs.refresh(desk, host.id)
        return []
    if do == "take-in":
        given = data.get("instance", [])
        names = [str(name)[:63] for name in (given if isinstance(given, list) else [given])]
        if not names:
            raise Conflict("no instance was chosen: mark some first")
        return await verbs.take_in(desk, host.id, names)
    if do == "compose":
        wanted = Instance(
            str(data.get("name", "")).strip()[:63], str(data.get("kind", "virtual-machine"))[:20],
            _number(data, "cores", 4096), _number(data, "memory", 1 << 20) << 30,
            _number(data, "disk", 1 << 20) << 30,
        )  # fmt: skip
        return [await verbs.compose(desk, host.id, wanted)]
    if do == "delete":
        name, confirm = (str(data.get(one, ""))[:63] for one in ("name", "confirm"))
        await verbs.delete_instance(desk, host.id, name, confirm=confirm)
        return []
    raise Conflict(f"do: {do!r} is nothing that can be done here")


def _number(data: Form, name: str, most: int) -> int:
    text = str(data.get(name, ""))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= most):
        raise BadMessage(name, f"a whole number up to {most}")
    return int(text)


ROUTES = [ask, scan, every, add, one, act]
