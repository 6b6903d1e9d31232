# SPDX-License-Identifier: Apache-2.0
"""Redfish (DMTF DSP0266, DSP2046), over HTTPS; what asks often does so in a session.

Sends: `GET /redfish/v1/Systems/NODE_ID` to ask; `POST` to its `#ComputerSystem.Reset` with `On`
or `ForceOff`, or the nearest type that the BMC offers (inline or behind @Redfish.ActionInfo);
`PATCH` of BootSourceOverrideTarget, once, for the boot device, to @Redfish.Settings where the
property is there; `#VirtualMedia.InsertMedia` and `EjectMedia` of the first drive for CDs; `GET`
of the hardware's log (LogServices of the system, else of its manager). A BMC with several systems:
`node_id` chooses; left empty, it is learned as the only system with a Reset action, or the one with
the machine's UUID or serial number.
"""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from muster.power import https
from muster.power.drivers import (
    LOG_LINES,
    Known,
    LogLine,
    LogSummary,
    NoSuchBoot,
    Parameter,
    PowerError,
    Seen,
    newest_critical,
)
from muster.power.https import Answer, Link, NotThere
from muster.power.redfishsession import Sessions, signed_in

PARAMETERS = {
    "power_address": Parameter("host, host:port or https:// URL of the BMC", required=True),
    "power_user": Parameter("user with the Operator role", required=True),
    "power_pass": Parameter("its password", required=True, secret=True),
    "node_id": Parameter("which system of the BMC; learned when empty"),
    **https.TLS,
}
BMC = ("power_address",)

_SYSTEMS = "/redfish/v1/Systems"
_STATES = {"On": "on", "Off": "off"}
_ON = ("On", "ForceOn", "PushPowerButton")
_OFF = ("ForceOff", "PushPowerButton")
_DEVICES = {"pxe": "Pxe", "http": "UefiHttp", "disk": "Hdd", "cd": "Cd"}
# The hardware's own log comes before those of the BMC's users and updates.
_LOGS = ("sel", "iml", "log1", "platformlog", "log", "eventlog")
_ENTRY_REQUESTS = 20


def unlearned(parameters: dict[str, Any]) -> bool:
    """True before the first contact."""
    needs_pin = (parameters.get("tls") or "pin") == "pin" and not parameters.get("tls_fingerprint")
    return needs_pin or not parameters.get("node_id")


async def learn(parameters: dict[str, Any], known: Known) -> dict[str, str]:
    """The certificate's fingerprint when it is to be pinned, and which system."""
    learned: dict[str, str] = {}
    peer = https.peer_of(parameters)
    if peer.tls == "pin" and not peer.fingerprint:
        learned["tls_fingerprint"] = await https.fingerprint(peer)
    if not parameters.get("node_id"):
        async with https.connect(https.peer_of({**parameters, **learned})) as link:
            learned["node_id"] = await _choose(link, known)
    return learned


async def look(parameters: dict[str, Any]) -> Seen:
    """State and health with one request."""
    async with https.connect(https.peer_of(parameters)) as link:
        return seen(await _system(link, parameters))


class Poller:
    """State and health again and again, in a session that is kept where the BMC has sessions."""

    def __init__(self) -> None:
        self._sessions = Sessions()

    async def look(self, parameters: dict[str, Any]) -> Seen:
        """One request; two when the session is new."""
        return seen(await self._sessions.get(https.peer_of(parameters), _path(parameters)))

    async def close(self) -> None:
        """Ends the sessions."""
        await self._sessions.close()


async def state(parameters: dict[str, Any]) -> str:
    """PowerState; PoweringOn, PoweringOff and Paused are unknown."""
    return (await look(parameters)).state


async def on(parameters: dict[str, Any]) -> None:
    """Reset with On."""
    await _reset(parameters, _ON)


async def off(parameters: dict[str, Any]) -> None:
    """Reset with ForceOff: a machine that hangs does not heed a graceful one."""
    await _reset(parameters, _OFF)


async def set_boot(parameters: dict[str, Any], device: str) -> None:
    """The next start's device, once."""
    async with https.connect(https.peer_of(parameters)) as link:
        path = _path(parameters)
        system = await link.get(path)
        target = _DEVICES[device]
        boot = _object(system.body, "Boot")
        offered = boot.get("BootSourceOverrideTarget@Redfish.AllowableValues")
        if isinstance(offered, list) and offered and target not in offered:
            has = ", ".join(map(str, offered))
            raise NoSuchBoot(f"{link.peer.url.host}: cannot boot from {target}; it offers {has}")
        settings = _object(_object(system.body, "@Redfish.Settings"), "SettingsObject")
        if pending := str(settings.get("@odata.id") or ""):
            there = await link.get(pending)
            if "BootSourceOverrideTarget" in _object(there.body, "Boot"):
                path, system = pending, there
        body = {"Boot": {"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": "Once"}}
        await link.send("PATCH", path, body, _if_match(system))


async def insert(parameters: dict[str, Any], image: str) -> None:
    """InsertMedia, read-only, after EjectMedia when something is in the drive."""
    async with https.connect(https.peer_of(parameters)) as link:
        drive = await _drive(link, parameters)
        if drive.get("Inserted") is True:
            await link.send("POST", _action(drive, "EjectMedia"), {})
        # Optional ones (TransferMethod, UserName) are left out: many BMCs refuse what they lack.
        body = {"Image": image, "Inserted": True, "WriteProtected": True}
        await link.send("POST", _action(drive, "InsertMedia"), body)


async def eject(parameters: dict[str, Any]) -> None:
    """EjectMedia, unless nothing is in the drive."""
    async with https.connect(https.peer_of(parameters)) as link:
        drive = await _drive(link, parameters)
        if drive.get("Inserted") is not False:
            await link.send("POST", _action(drive, "EjectMedia"), {})


async def log(parameters: dict[str, Any]) -> list[LogLine]:
    """The newest lines of the hardware's log, newest first."""
    return (await _hardware_log(parameters))[1]


async def sum_log(parameters: dict[str, Any]) -> LogSummary:
    """Of the hardware's log: how many entries, of MaxNumberOfRecords, and the newest critical."""
    service, lines, count = await _hardware_log(parameters)
    most = service.get("MaxNumberOfRecords")
    full = min(100, round(100 * count / most)) if isinstance(most, int) and most > 0 else None
    return LogSummary(count, full, newest_critical(lines))


async def _hardware_log(parameters: dict[str, Any]) -> tuple[dict[str, Any], list[LogLine], int]:
    """The log's service, its newest lines, newest first, and how many it has."""
    async with https.connect(https.peer_of(parameters)) as link, signed_in(link):
        system = await _system(link, parameters)
        services = [
            service
            async for service in _of_system_or_manager(link, system, "LogServices")
            if isinstance(service.get("Entries"), dict)
        ]
        if not services:
            raise PowerError(f"{link.peer.url.host}: has no log of this system", permanent=True)
        chosen = min(services, key=_rank)
        entries, count = await _entries(link, str(_object(chosen, "Entries").get("@odata.id")))
    lines = sorted(map(_line, entries), key=lambda line: line.at, reverse=True)
    return chosen, lines[:LOG_LINES], count


def _rank(service: dict[str, Any]) -> tuple[bool, int]:
    name = str(service.get("Id")).lower()
    return (
        service.get("LogEntryType") != "SEL" and name != "sel",
        _LOGS.index(name) if name in _LOGS else len(_LOGS),
    )


async def _entries(link: Link, path: str) -> tuple[list[dict[str, Any]], int]:
    """Whole ones where the collection has them; else the last ones are asked for one by one.

    And how many the log has, which may be more than a page of it.
    """
    collection = await _there(link, path)
    members = [one for one in _list(collection, "Members") if isinstance(one, dict)]
    said = collection.get("Members@odata.count")
    count = said if isinstance(said, int) and said >= len(members) else len(members)
    whole = [one for one in members if "Message" in one or "Created" in one]
    if whole or not members:
        return whole, count
    ends = [*members[: _ENTRY_REQUESTS // 2], *members[-_ENTRY_REQUESTS // 2 :]]
    paths = dict.fromkeys(str(one.get("@odata.id")) for one in ends)
    return [await _there(link, path) for path in paths], count


def _line(entry: dict[str, Any]) -> LogLine:
    words = (entry.get("Created"), entry.get("Severity"), entry.get("Message"))
    clean = ["".join(c for c in str(w or "")[:500] if c.isprintable()) for w in words]
    return LogLine(clean[0][:40], clean[1][:16], clean[2])


async def _drive(link: Link, parameters: dict[str, Any]) -> dict[str, Any]:
    """The first virtual drive that takes CD images."""
    system = await _system(link, parameters)
    async for drive in _of_system_or_manager(link, system, "VirtualMedia"):
        if {"CD", "DVD"} & set(map(str, _list(drive, "MediaTypes"))) and _actions(drive):
            return drive
    raise PowerError(
        f"{link.peer.url.host}: has no virtual drive for CDs; it may need a licence", permanent=True
    )


async def _of_system_or_manager(
    link: Link, system: dict[str, Any], name: str
) -> AsyncIterator[dict[str, Any]]:
    """Members of a collection: the system's, then its managers' (before Redfish 2020.4)."""
    managers = _list(_object(system, "Links"), "ManagedBy")
    parents = [system]
    for manager in managers[:2]:
        if isinstance(manager, dict):
            parents.append(await _there(link, manager.get("@odata.id")))
    for parent in parents:
        path = _object(parent, name).get("@odata.id")
        members = _list(await _there(link, path), "Members")
        for member in members[:16]:
            if isinstance(member, dict):
                yield await _there(link, member.get("@odata.id"))


async def _there(link: Link, path: object) -> dict[str, Any]:
    """The resource; {} for one that the BMC lists and does not have, as some do."""
    try:
        return (await link.get(path)).body if isinstance(path, str) else {}
    except NotThere:
        return {}


def _actions(drive: dict[str, Any]) -> dict[str, Any]:
    return _object(_object(drive, "Actions"), "#VirtualMedia.InsertMedia")


def _action(drive: dict[str, Any], name: str) -> str:
    action = _object(_object(drive, "Actions"), f"#VirtualMedia.{name}")
    return str(action.get("target") or f"{drive.get('@odata.id')}/Actions/VirtualMedia.{name}")


def seen(system: dict[str, Any]) -> Seen:
    """What a ComputerSystem says, whatever its shape."""
    status = _object(system, "Status")
    health = str(status.get("HealthRollup") or status.get("Health") or "")
    return Seen(_STATES.get(str(system.get("PowerState")), "unknown"), health[:16])


async def _system(link: Link, parameters: dict[str, Any]) -> dict[str, Any]:
    return (await link.get(_path(parameters))).body


def _path(parameters: dict[str, Any]) -> str:
    node = parameters.get("node_id", "")
    if not node or "/" in node or ".." in node:
        raise PowerError(f"node_id: {node!r} names no system", permanent=True)
    return f"{_SYSTEMS}/{node}"


async def _reset(parameters: dict[str, Any], wanted: tuple[str, ...]) -> None:
    async with https.connect(https.peer_of(parameters)) as link:
        system = await _system(link, parameters)
        action = _object(_object(system, "Actions"), "#ComputerSystem.Reset")
        target = str(action.get("target") or f"{_path(parameters)}/Actions/ComputerSystem.Reset")
        offered = await _offered(link, action)
        kind = next((one for one in wanted if not offered or one in offered), "")
        if not kind:
            has = ", ".join(offered)
            raise PowerError(
                f"{link.peer.url.host}: offers none of {', '.join(wanted)}; it offers {has}",
                permanent=True,
            )
        await link.send("POST", target, {"ResetType": kind})


async def _offered(link: Link, action: dict[str, Any]) -> list[str]:
    """The reset types that the BMC offers; [] when it does not say."""
    inline = action.get("ResetType@Redfish.AllowableValues")
    if isinstance(inline, list):
        return [str(value) for value in inline]
    info = action.get("@Redfish.ActionInfo")
    if not isinstance(info, str):
        return []
    for parameter in _list((await link.get(info)).body, "Parameters"):
        if isinstance(parameter, dict) and parameter.get("Name") == "ResetType":
            return [str(value) for value in _list(parameter, "AllowableValues")]
    return []


async def systems_of(link: Link) -> list[tuple[str, dict[str, Any]]]:
    """What the BMC switches: (node_id, ComputerSystem)."""
    members = []
    for member in _list((await link.get(_SYSTEMS)).body, "Members"):
        path = member.get("@odata.id") if isinstance(member, dict) else None
        if isinstance(path, str):
            members.append((path, (await link.get(path)).body))
    # A GPU baseboard (HGX) is a system, too, without a power button.
    return [
        (path.rstrip("/").rpartition("/")[2], system)
        for path, system in members
        if "#ComputerSystem.Reset" in _object(system, "Actions")
    ]


async def _choose(link: Link, known: Known) -> str:
    systems = await systems_of(link)
    if len(systems) > 1:
        systems = [found for found in systems if is_machine(found[1], known)] or systems
    if len(systems) == 1:
        return systems[0][0]
    names = ", ".join(name for name, _ in systems)
    raise PowerError(
        f"{link.peer.url.host}: switches {len(systems)} systems"
        + (f"; set node_id to one of {names}" if names else ": none has a Reset action"),
        permanent=True,
    )


def is_machine(system: dict[str, Any], known: Known) -> bool:
    """True when the system has the machine's UUID (in either byte order) or serial number."""
    serial = str(system.get("SerialNumber") or "").strip()
    if known.serial and serial == known.serial:
        return True
    try:
        theirs, ours = UUID(str(system.get("UUID"))), UUID(known.uuid)
    except ValueError:
        return False
    return ours in (theirs, UUID(bytes=theirs.bytes_le))


def _if_match(answer: Answer) -> dict[str, str]:
    etag = next((v for k, v in answer.headers.items() if k.lower() == "etag"), "")
    return {"If-Match": etag} if etag else {}


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _list(parent: dict[str, Any], name: str) -> list[Any]:
    value = parent.get(name)
    return value if isinstance(value, list) else []
