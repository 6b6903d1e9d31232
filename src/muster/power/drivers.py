# SPDX-License-Identifier: Apache-2.0
"""Finds drivers by name: a driver is a module with three coroutines, PARAMETERS and BMC.

`state(parameters) -> "on" | "off" | "unknown"`, `on(parameters)`, `off(parameters)`; each ends by
itself within 30 s and raises PowerError. Functions, not classes: after labgrid's power backends.
A driver may also have `set_boot(parameters, device)`, `learn(parameters, known)`,
`look(parameters) -> Seen`, `log(parameters)` and a class `Poller`. Modules outside this package are
found by the entry point group `muster.power`: name = module.
"""

import importlib
import re
from dataclasses import dataclass
from importlib import metadata
from ipaddress import ip_address
from typing import Any, Protocol, cast

NAMES = (
    "fake", "ipmi", "lxd", "manual", "redfish", "snmp", "virsh", "webhook", "wedge", "wol",
)  # fmt: skip
GROUP = "muster.power"
PEM = r"\s*(-----BEGIN [A-Z0-9 ]+-----\s[\sA-Za-z0-9+/=]+-----END [A-Z0-9 ]+-----\s*)+"
_PASSWORD_IN_URI = re.compile(r"://[^/?#]*:[^/?#]*@")
BOOT_DEVICES = ("pxe", "http", "disk", "cd")
LOG_LINES = 50


class PowerError(Exception):
    """The switch did not do it; `permanent` when asking again cannot help (bad parameters).

    `retry_after`: seconds that the BMC asked us to wait.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


class NoSuchBoot(PowerError):
    """The BMC cannot boot from this device; it may from another one."""


@dataclass(frozen=True)
class Parameter:
    """One setting of a driver, named as MAAS names it; a secret one is sealed and never shown."""

    help: str
    required: bool = False
    default: str = ""
    secret: bool = False
    choices: tuple[str, ...] = ()
    # PEM, which has several lines; no tool's configuration file is made of it.
    pem: bool = False


@dataclass(frozen=True)
class Known:
    """What the machine's record says, for a BMC that switches several machines."""

    uuid: str = ""
    serial: str = ""


@dataclass(frozen=True)
class Seen:
    """State, and the BMC's own word for the machine's health where it has one."""

    state: str
    health: str = ""


@dataclass(frozen=True)
class LogLine:
    """One line of a BMC's event log; `at` as the BMC wrote it: its clock may be wrong."""

    at: str
    severity: str
    message: str


@dataclass(frozen=True)
class LogSummary:
    """Lines in the log, how full it is where the BMC says so, the newest critical line."""

    entries: int
    full_percent: int | None = None
    newest_critical: LogLine | None = None


class Driver(Protocol):
    """The shape of a driver module. BMC: the parameters that name what is shared."""

    PARAMETERS: dict[str, Parameter]
    BMC: tuple[str, ...]

    async def state(self, parameters: dict[str, Any]) -> str:
        """The power state now."""

    async def on(self, parameters: dict[str, Any]) -> None:
        """Switch on; nothing happens when it is on."""

    async def off(self, parameters: dict[str, Any]) -> None:
        """Switch off; nothing happens when it is off."""


class Booting(Protocol):
    """A driver that can choose the next boot's device."""

    async def set_boot(self, parameters: dict[str, Any], device: str) -> None:
        """One of BOOT_DEVICES, for the next start only where the BMC can do that.

        Raises NoSuchBoot for one that it does not have.
        """


class Cautious(Protocol):
    """A driver that can say beforehand what a machine can never boot from."""

    async def check_boot(self, parameters: dict[str, Any], device: str) -> None:
        """Raises PowerError, permanent, before any power is cut for it; changes nothing."""


class Looking(Protocol):
    """A driver that sees more than the state with one question."""

    async def look(self, parameters: dict[str, Any]) -> Seen:
        """State and health now."""


class Poller(Protocol):
    """Looks at many BMCs of one driver with less effort than one by one; closed at the end."""

    async def look(self, parameters: dict[str, Any]) -> Seen:
        """As `Looking.look`; raises PowerError."""

    async def close(self) -> None:
        """Ends what it keeps: processes, sessions."""


class Logging(Protocol):
    """A driver that can read the BMC's event log."""

    async def log(self, parameters: dict[str, Any]) -> list[LogLine]:
        """The newest LOG_LINES, newest first."""


class Summing(Protocol):
    """A driver that can sum up the BMC's event log."""

    async def sum_log(self, parameters: dict[str, Any]) -> LogSummary:
        """Now; raises PowerError."""


class Loading(Protocol):
    """A driver that can put an image from a web server into the machine's virtual drive."""

    async def insert(self, parameters: dict[str, Any], image: str) -> None:
        """The image at this URL, read-only; what was in the drive goes."""

    async def eject(self, parameters: dict[str, Any]) -> None:
        """Nothing is in the drive any more."""


class Learning(Protocol):
    """A driver whose first contact decides parameters that were left empty."""

    def unlearned(self, parameters: dict[str, Any]) -> bool:
        """True while something is left to learn."""

    async def learn(self, parameters: dict[str, Any], known: Known) -> dict[str, str]:
        """Parameters to keep (a certificate's fingerprint, a cipher suite, which system)."""


def installed() -> dict[str, str]:
    """Drivers of other packages: name -> module."""
    found = metadata.entry_points(group=GROUP)
    return {entry.name: entry.value for entry in found if entry.name not in NAMES}


def names() -> list[str]:
    """Every driver there is."""
    return sorted([*NAMES, *installed()])


def load(name: str) -> Driver:
    """The driver's module; raises PowerError when there is none of this name."""
    module = f"muster.power.{name}" if name in NAMES else installed().get(name)
    if module is None:
        raise PowerError(
            f"no power driver {name!r}; there are: {', '.join(names())}", permanent=True
        )
    try:
        return cast("Driver", importlib.import_module(module))
    except ImportError as error:
        told = f"the power driver {name} cannot be loaded: {error}"
        raise PowerError(told, permanent=True) from error


def booting(driver: Driver) -> Booting | None:
    """The driver when it can choose the boot device."""
    return cast("Booting", driver) if hasattr(driver, "set_boot") else None


async def check_boot(driver: Driver, parameters: dict[str, Any], device: str) -> None:
    """Raises PowerError when the driver knows that the machine cannot boot so."""
    if hasattr(driver, "check_boot"):
        await cast("Cautious", driver).check_boot(parameters, device)


def logging(name: str) -> Logging:
    """The driver; raises PowerError when it has no log."""
    driver = load(name)
    if not hasattr(driver, "log"):
        raise PowerError(f"the power driver {name} has no event log", permanent=True)
    return cast("Logging", driver)


def summing(driver: Driver) -> Summing:
    """The driver; raises PowerError when it has no log."""
    if not hasattr(driver, "sum_log"):
        raise PowerError("this power driver has no event log", permanent=True)
    return cast("Summing", driver)


def newest_critical(lines: list[LogLine]) -> LogLine | None:
    """Of lines that are newest first."""
    return next((line for line in lines if line.severity.lower() == "critical"), None)


def loading(name: str) -> Loading:
    """The driver; raises PowerError when it has no virtual media."""
    driver = load(name)
    if not hasattr(driver, "insert"):
        raise PowerError(f"the power driver {name} has no virtual media", permanent=True)
    return cast("Loading", driver)


def learning(driver: Driver, parameters: dict[str, Any]) -> Learning | None:
    """The driver when it has something left to learn."""
    learner = cast("Learning", driver)
    return learner if hasattr(driver, "unlearned") and learner.unlearned(parameters) else None


def blind(driver: Driver) -> bool:
    """True when the driver can never see the state."""
    return bool(getattr(driver, "BLIND", False))


async def look(driver: Driver, parameters: dict[str, Any]) -> Seen:
    """State and health, with one question where the driver can."""
    if hasattr(driver, "look"):
        return await cast("Looking", driver).look(parameters)
    return Seen(await driver.state(parameters))


def poller(driver: Driver) -> Poller | None:
    """A new one when the driver has a class `Poller`."""
    return cast("Poller", driver.Poller()) if hasattr(driver, "Poller") else None


def check(name: str, parameters: dict[str, str]) -> dict[str, str]:
    """The parameters with defaults filled in; raises PowerError naming the wrong one."""
    known = load(name).PARAMETERS
    for key, value in parameters.items():
        if key not in known:
            has = ", ".join(known) or "none"
            wrong = f"{key}: the driver {name} has no such parameter; it has: {has}"
            raise PowerError(wrong, permanent=True)
        if why := _wrong(known[key], value):
            raise PowerError(f"{key}: {why}", permanent=True)
    for key, parameter in known.items():
        if parameter.required and not parameters.get(key):
            raise PowerError(f"{key}: the driver {name} needs it: {parameter.help}", permanent=True)
    return {key: parameters.get(key, parameter.default) for key, parameter in known.items()}


def _wrong(parameter: Parameter, value: str) -> str:
    if parameter.choices and value not in parameter.choices:
        return f"must be one of {', '.join(parameter.choices)}"
    if parameter.pem:
        return "" if not value or re.fullmatch(PEM, value) else "is no PEM: -----BEGIN ... -----END"
    if not value.isprintable():
        # A line break would end a line of a tool's configuration file.
        return "holds a character that cannot be printed"
    if not parameter.secret and _PASSWORD_IN_URI.search(value):
        # What is no secret parameter is shown to people and written into messages.
        return "holds a password; put it into power_user and power_pass"
    return ""


def split(name: str, parameters: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What may be shown, and what is secret and not empty."""
    known = load(name).PARAMETERS
    secret = {key: value for key, value in parameters.items() if known[key].secret and value}
    plain = {key: value for key, value in parameters.items() if not known[key].secret}
    return plain, secret


def told(name: str, parameters: dict[str, str]) -> list[str]:
    """Parameters as an event may tell them: of secrets and certificates only the name."""
    known = load(name).PARAMETERS
    return [
        f"a new {key}" if value and known[key].pem
        else f"{key} {'set' if value else 'forgotten'}" if known[key].secret
        else f"{key}={value}"
        for key, value in parameters.items()
    ]  # fmt: skip


def bmc_of(name: str, parameters: dict[str, str]) -> str:
    """What only one operation at a time may talk to, as "10.0.0.5" or "qemu:///system m1"."""
    parts = {key: parameters.get(key, "") for key in load(name).BMC}
    if "power_address" in parts:
        parts["power_address"] = _one_form(parts["power_address"])
    return " ".join(parts.values()).strip()[:255]


def _one_form(address: str) -> str:
    """https://10.0.0.5/, 10.0.0.5:443 and 10.0.0.5 are one BMC."""
    bare = address.removeprefix("https://").rstrip("/")
    for text in (bare, bare.removesuffix(":443")):
        try:
            return str(ip_address(text.strip("[]")))
        except ValueError:
            continue
    return bare.removesuffix(":443")
