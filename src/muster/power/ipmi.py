# SPDX-License-Identifier: Apache-2.0
"""IPMI over LAN (Intel IPMI v2.0), by FreeIPMI's ipmipower and ipmi-chassis-config.

Sends Get Chassis Status, Chassis Control (power up, power down) and Set System Boot Options at
privilege OPERATOR; Get SEL Info and Entry by ipmi-sel, Get System GUID by bmc-info, FRU 0 by
ipmi-fru. Cipher suite 17 (SHA-256), else 3 (SHA-1): which one
is tried once at the first contact, kept, and never lowered afterwards. Suites without integrity
and encryption (0, 1, 2, 6, 7, 11, 15, 16) are no choice. A K_g, once set, is always used. Every
option but the address goes through a file in memory (man 5 freeipmi.conf), never through arguments.
"""

import csv
import re
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import Any
from uuid import RFC_4122, UUID

from muster.power import ipmiprompt, programs
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
from muster.power.ipmiprompt import Broken, Login, NotTaken, Prompts
from muster.power.programs import SECRET_FILE

PARAMETERS = {
    "power_address": Parameter("host of the BMC", required=True),
    "power_user": Parameter("user with the OPERATOR privilege"),
    "power_pass": Parameter("its password, at most 20 characters", secret=True),
    "power_driver": Parameter(
        "LAN_2_0, or LAN for IPMI 1.5", default="LAN_2_0", choices=("LAN_2_0", "LAN")
    ),
    "power_boot_type": Parameter(
        "firmware of the next start", default="auto", choices=("auto", "legacy", "efi")
    ),
    "k_g": Parameter("the BMC's key K_g, as text or 0x and 40 hex digits", secret=True),
    "cipher_suite_id": Parameter(
        "cipher suite; learned when empty", choices=("", "3", "8", "12", "17")
    ),
    "privilege_level": Parameter(
        "privilege asked for", default="OPERATOR", choices=("USER", "OPERATOR", "ADMIN")
    ),
    "workaround_flags": Parameter("FreeIPMI's work-arounds, with commas", default="opensesspriv"),
    "mac_address": Parameter("MAC of the BMC, for people"),
}
BMC = ("power_address",)

_SUITES = ("17", "3")
_DEVICES = {"pxe": "PXE", "disk": "HARD-DRIVE", "cd": "CD-DVD"}
_NO_SUITE = "cipher suite id unavailable"
_BMC_ERROR = "bmc error"
# IPMI v2.0, 32.1: every record of the SEL.
_ENTRY_BYTES = 16
_FRU_TEXT = 64
_GUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LIMITS_MS = {"session-timeout": 8000, "retransmission-timeout": 900}

# FreeIPMI's words (libipmipower and ipmi-config), what they mean here, whether it stays so.
_MEANINGS = [
    ("password invalid", "wrong password; set power_pass", True),
    ("username invalid", "no such user; set power_user", True),
    ("k_g invalid", "the BMC has another K_g; set k_g", True),
    ("privilege level", "the user may not do this; give it OPERATOR, or set privilege_level", True),
    (_NO_SUITE, "does not offer cipher suite {suite}; set cipher_suite_id, or enable 17 on the"
     " BMC. It is not lowered by itself", True),
    # OpenIPMI's simulator says so of suite 17 instead of "unavailable".
    (_BMC_ERROR, "answers with an error; if it stays so, restart the BMC", False),
    ("ipmi 2.0 unavailable", "speaks IPMI 1.5 only; set power_driver=LAN if you accept that", True),
    ("authentication type", "refuses this kind of authentication; enable the user for LAN", True),
    ("password verification timeout", "did not answer to the password: wrong user, password or"
     " privilege; or the BMC is overloaded", False),
    ("connection timeout", "does not answer; is the address right, IPMI over LAN enabled?", False),
    ("session timeout", "stopped answering; if it stays so, restart the BMC", False),
    # FreeIPMI's words for a packet that is shorter than it says.
    ("invalid argument", "breaks off in the middle of its answer; it may be restarting, or a"
     " firewall on the way cuts packets", False),
    ("bmc busy", "is busy; it is asked again", False),
    ("busy", "is busy; it is asked again", False),
    ("invalid hostname", "the name is not found; check power_address and the name servers", True),
    ("could not resolve", "the name is not found; check power_address and the name servers", True),
]  # fmt: skip


@dataclass(frozen=True)
class Board:
    """The board's part of the FRU inventory."""

    vendor: str = ""
    product: str = ""
    serial: str = ""


@dataclass(frozen=True)
class Identity:
    """Of the machine, as its BMC tells it (FRU Information Storage Definition v1.0)."""

    uuid: str = ""
    vendor: str = ""
    product: str = ""
    serial: str = ""
    chassis: str = ""
    board: Board = field(default_factory=Board)


class NoSuite(PowerError):
    """The BMC does not take the cipher suite."""


def unlearned(parameters: dict[str, Any]) -> bool:
    """True while the cipher suite is not known."""
    return parameters.get("power_driver") != "LAN" and not parameters.get("cipher_suite_id")


async def learn(parameters: dict[str, Any], _: Known) -> dict[str, str]:
    """The best suite that the BMC takes."""
    for suite in _SUITES:
        try:
            await state({**parameters, "cipher_suite_id": suite})
        except NoSuite as error:
            refused = error
            continue
        return {"cipher_suite_id": suite}
    raise refused


async def state(parameters: dict[str, Any]) -> str:
    """Get Chassis Status."""
    return _state(parameters, await _ipmipower(parameters, "--stat"))


class Poller:
    """Get Chassis Status of many BMCs by few processes; close it."""

    def __init__(self) -> None:
        self._prompts = Prompts()

    async def look(self, parameters: dict[str, Any]) -> Seen:
        """As `state`, together with whoever asks at the same time."""
        login = _login(parameters)
        if login is None:
            return Seen(await state(parameters))
        try:
            said = await self._prompts.state(login, parameters["power_address"])
        except NotTaken:
            return Seen(await state(parameters))
        except Broken as error:
            raise _failure(parameters, str(error)) from error
        return Seen(_state(parameters, said))

    async def close(self) -> None:
        """Ends its processes."""
        await self._prompts.close()


def _login(parameters: dict[str, Any]) -> Login | None:
    """None for those who are asked alone: one name that is not found would fail all of a group."""
    user, password = (str(parameters.get(name) or "") for name in ("power_user", "power_pass"))
    try:
        IPv4Address(parameters["power_address"])
    except AddressValueError:
        return None
    if not (ipmiprompt.takes(user) and ipmiprompt.takes(password)):
        return None
    shared = {**parameters, "power_user": "", "power_pass": ""}
    return Login(configuration(shared), user, password)


def _state(parameters: dict[str, Any], said: str) -> str:
    if said not in ("on", "off"):
        raise _failure(parameters, said)
    return said


async def on(parameters: dict[str, Any]) -> None:
    """Chassis Control: power up."""
    await _command(parameters, "--on")


async def off(parameters: dict[str, Any]) -> None:
    """Chassis Control: power down, at once: a machine that hangs does not heed a soft one."""
    await _command(parameters, "--off")


async def set_boot(parameters: dict[str, Any], device: str) -> None:
    """Set System Boot Options: boot flags for the next start only."""
    if device not in _DEVICES:
        raise NoSuchBoot(f"IPMI cannot boot from {device}; it has {', '.join(_DEVICES)}")
    pairs = {"Boot_Device": _DEVICES[device]}
    if parameters.get("power_boot_type", "auto") != "auto":
        kind = {"efi": "EFI", "legacy": "PC-COMPATIBLE"}[parameters["power_boot_type"]]
        pairs = {"BIOS_Boot_Type": kind, **pairs}
    words = [f"--key-pair=Chassis_Boot_Flags:{key}={value}" for key, value in pairs.items()]
    ended = await programs.run(
        "ipmi-chassis-config",
        *_where(parameters),
        "--commit",
        *words,
        secret=configuration(parameters),
        package="freeipmi-tools",
    )
    if ended.status != 0:
        raise _failure(parameters, ended.output)


async def log(parameters: dict[str, Any]) -> list[LogLine]:
    """The System Event Log, by ipmi-sel; without the sensors' names, which take a minute."""
    said = await _tool(
        parameters,
        "ipmi-sel",
        f"--tail={LOG_LINES}",
        "--comma-separated-output",
        "--no-header-output",
        "--output-event-state",
        "--ignore-sdr-cache",
    )
    return read_log(said)


async def sum_log(parameters: dict[str, Any]) -> LogSummary:
    """Get SEL Info, and the newest LOG_LINES entries."""
    entries, full = read_info(await _tool(parameters, "ipmi-sel", "--info"))
    newest = newest_critical(await log(parameters)) if entries else None
    return LogSummary(entries, full, newest)


async def identity(parameters: dict[str, Any]) -> Identity:
    """Get System GUID and the FRU inventory of device 0; "" for what the BMC does not have."""
    said: list[str] = []
    for words in (("bmc-info", "--get-system-guid"), ("ipmi-fru", "--ignore-sdr-cache")):
        with suppress(PowerError):
            said.append(await _tool(parameters, *words))
    return read_identity("\n".join(said))


def read_identity(output: str) -> Identity:
    """What bmc-info and ipmi-fru print, of the first FRU device."""
    told: dict[str, str] = {}
    guid = next(iter(re.findall(rf"(?m)^{_GUID}$", output)), "")
    for line in output.partition("\nFRU Inventory Device")[2].splitlines()[1:]:
        if line.startswith("FRU Inventory Device"):
            break
        name, _, words = line.strip().partition(": ")
        clean = "".join(c for c in words if c.isprintable()).strip()[:_FRU_TEXT]
        told.setdefault(name.removeprefix("FRU "), clean)
    return Identity(
        uuid=_system_uuid(guid) if guid else "",
        vendor=told.get("Product Manufacturer Name", ""),
        product=told.get("Product Name", ""),
        serial=told.get("Product Serial Number", ""),
        chassis=told.get("Chassis Serial Number", ""),
        board=Board(
            told.get("Board Manufacturer", ""),
            told.get("Board Product Name", ""),
            told.get("Board Serial Number", ""),
        ),
    )


def _system_uuid(guid: str) -> str:
    """As SMBIOS has it: BMCs store it in one of three orders (ipmitool knows them, too).

    FreeIPMI prints the order of IPMI, 20.8: last byte first. A UUID says by its version and variant
    whether it is read so; where two orders are likely, identity.match takes either.
    """
    last_first = UUID(guid)
    as_stored = UUID(bytes=last_first.bytes[::-1])
    orders = (last_first, as_stored, UUID(bytes_le=as_stored.bytes))
    likely = (one for one in orders if one.variant == RFC_4122 and one.version in range(1, 6))
    return str(next(likely, last_first))


def read_info(output: str) -> tuple[int, int | None]:
    """What `ipmi-sel --info` prints: entries, and percent of the log that they take."""
    said = {
        name.strip(): words.split()
        for name, _, words in (line.partition(":") for line in output.splitlines())
    }
    count, free = said.get("Number of log entries"), said.get("Free space remaining")
    if not count or not _is_number(count[0]):
        raise PowerError("ipmi-sel told no number of log entries")
    used = int(count[0]) * _ENTRY_BYTES
    if not free or not _is_number(free[0]) or not used + int(free[0]):
        return int(count[0]), None
    return int(count[0]), round(100 * used / (used + int(free[0])))


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 9


async def _tool(parameters: dict[str, Any], name: str, *words: str) -> str:
    secret = configuration(parameters)
    where = _where(parameters)
    ended = await programs.run(name, *where, *words, secret=secret, package="freeipmi-tools")
    if ended.status != 0:
        raise _failure(parameters, ended.output)
    return ended.output


def read_log(output: str) -> list[LogLine]:
    """What ipmi-sel prints: number, date, time, sensor, its type, state, event; newest first."""
    lines = []
    for row in csv.reader(output.splitlines()):
        if len(row) >= 7:
            clean = ["".join(c for c in word[:200] if c.isprintable()) for word in row]
            lines.append(LogLine(f"{clean[1]} {clean[2]}", clean[5], ": ".join(clean[4:7:2])))
    return lines[::-1]


def configuration(parameters: dict[str, Any]) -> str:
    """The options as a file of FreeIPMI; raises PowerError for what it cannot hold."""
    lan_2 = parameters.get("power_driver", "LAN_2_0") == "LAN_2_0"
    options = {
        "driver-type": "LAN_2_0" if lan_2 else "LAN",
        "username": parameters.get("power_user", ""),
        "password": parameters.get("power_pass", ""),
        "k_g": parameters.get("k_g", "") if lan_2 else "",
        "privilege-level": parameters.get("privilege_level") or "OPERATOR",
        "cipher-suite-id": (parameters.get("cipher_suite_id") or "17") if lan_2 else "",
        "workaround-flags": parameters.get("workaround_flags", ""),
        **{name: str(limit) for name, limit in _LIMITS_MS.items()},
    }
    return "".join(f"{name} {_quoted(text)}\n" for name, text in options.items() if text)


def _quoted(text: str) -> str:
    """In quotes, with backslashes before what FreeIPMI's reader takes for its own."""
    return '"' + re.sub(r'(["#\\])', r"\\\1", text) + '"'


def _where(parameters: dict[str, Any]) -> list[str]:
    return [f"--hostname={parameters['power_address']}", f"--config-file={SECRET_FILE}"]


async def _ipmipower(parameters: dict[str, Any], action: str) -> str:
    """What ipmipower says of the host: "on", "off", "ok", or its words for a failure."""
    ended = await programs.run(
        "ipmipower",
        *_where(parameters),
        action,
        secret=configuration(parameters),
        package="freeipmi-tools",
    )
    return ended.output.strip().rpartition(": ")[2] or "busy"


async def _command(parameters: dict[str, Any], action: str) -> None:
    said = await _ipmipower(parameters, action)
    if said != "ok":
        raise _failure(parameters, said)


def _failure(parameters: dict[str, Any], said: str) -> PowerError:
    host = parameters["power_address"]
    suite = parameters.get("cipher_suite_id") or "17"
    for words, meaning, permanent in _MEANINGS:
        if words in said.lower():
            kind = NoSuite if words in (_NO_SUITE, _BMC_ERROR) else PowerError
            return kind(f"{host}: {meaning.format(suite=suite)}", permanent=permanent)
    clean = "".join(c for c in said.strip()[-200:] if c.isprintable())
    return PowerError(f"{host}: {clean}")
