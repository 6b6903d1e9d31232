# SPDX-License-Identifier: Apache-2.0
"""Finds drivers by name: a driver is a module of this room with three coroutines and PARAMETERS.

`state(parameters) -> "on" | "off" | "unknown"`, `on(parameters)`, `off(parameters)`; each ends by
itself within 30 s and raises PowerError. Functions, not classes: after labgrid's power backends.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Protocol, cast

NAMES = ("fake", "manual", "webhook")


class PowerError(Exception):
    """The switch did not do it; `permanent` when asking again cannot help (bad parameters)."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True)
class Parameter:
    """One setting of a driver, named as MAAS names it."""

    help: str
    required: bool = False
    default: str = ""


class Driver(Protocol):
    """The shape of a driver module."""

    PARAMETERS: dict[str, Parameter]

    async def state(self, parameters: dict[str, Any]) -> str:
        """The power state now."""

    async def on(self, parameters: dict[str, Any]) -> None:
        """Switch on; nothing happens when it is on."""

    async def off(self, parameters: dict[str, Any]) -> None:
        """Switch off; nothing happens when it is off."""


def load(name: str) -> Driver:
    """The driver's module; raises PowerError when there is none of this name."""
    if name not in NAMES:
        raise PowerError(f"no power driver {name!r}; there are: {', '.join(NAMES)}", permanent=True)
    return cast("Driver", importlib.import_module(f"muster.power.{name}"))


def check(name: str, parameters: dict[str, str]) -> dict[str, str]:
    """The parameters with defaults filled in; raises PowerError naming the wrong one."""
    known = load(name).PARAMETERS
    for key in parameters:
        if key not in known:
            raise PowerError(
                f"{key}: the driver {name} has no such parameter; it has: "
                f"{', '.join(known) or 'none'}",
                permanent=True,
            )
    for key, parameter in known.items():
        if parameter.required and not parameters.get(key):
            raise PowerError(f"{key}: the driver {name} needs it: {parameter.help}", permanent=True)
    return {key: parameters.get(key, parameter.default) for key, parameter in known.items()}
