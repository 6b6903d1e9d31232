# SPDX-License-Identifier: Apache-2.0
"""A switch without a machine, for tests: remembers what it was told, by the name in `name`."""

import asyncio
from typing import Any

from muster.power.drivers import Parameter, PowerError

PARAMETERS = {
    "name": Parameter("which of the fake switches", required=True),
    "delay_s": Parameter("seconds that every answer takes", default="0"),
    "fault": Parameter("a message that every call fails with"),
    "power_pass": Parameter("a password that opens nothing", secret=True),
}
BMC = ("name",)

switches: dict[str, str] = {}


async def state(parameters: dict[str, Any]) -> str:
    """The remembered state, off at first."""
    await _answer(parameters)
    return switches.setdefault(parameters["name"], "off")


async def on(parameters: dict[str, Any]) -> None:
    """Remember on."""
    await _answer(parameters)
    switches[parameters["name"]] = "on"


async def off(parameters: dict[str, Any]) -> None:
    """Remember off."""
    await _answer(parameters)
    switches[parameters["name"]] = "off"


async def _answer(parameters: dict[str, Any]) -> None:
    await asyncio.sleep(float(parameters.get("delay_s") or 0))
    if parameters.get("fault"):
        raise PowerError(parameters["fault"])
