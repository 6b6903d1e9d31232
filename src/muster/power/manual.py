# SPDX-License-Identifier: Apache-2.0
"""A person is the switch: nothing is sent, the state is unknown."""

from typing import Any

from muster.power.drivers import Parameter, PowerError

PARAMETERS: dict[str, Parameter] = {}
BMC = ()
_REMEDY = "this machine is switched by hand; set a power driver to let muster do it"


async def state(_parameters: dict[str, Any]) -> str:
    """Always unknown."""
    return "unknown"


async def on(_parameters: dict[str, Any]) -> None:
    """Refused with the remedy."""
    raise PowerError(_REMEDY, permanent=True)


async def off(_parameters: dict[str, Any]) -> None:
    """Refused with the remedy."""
    raise PowerError(_REMEDY, permanent=True)
