# SPDX-License-Identifier: Apache-2.0
"""Facebook Wedge switches with the first OpenBMC, by its REST interface on port 8080.

Sends `GET /api/sys/server` and `POST /api/sys/server` with `{"action": "power-on"}` or
`"power-off"` (facebook/openbmc, common/recipes-rest). That interface knows neither TLS nor
passwords: the network of the BMCs is all that protects it.
"""

from typing import Any

from muster.power import https
from muster.power.drivers import Parameter, PowerError
from muster.power.https import Peer

PARAMETERS = {"power_address": Parameter("host or host:port of the BMC", required=True)}
BMC = ("power_address",)

_PATH = "/api/sys/server"
_STATES = {"power-on": "on", "power-off": "off"}


async def state(parameters: dict[str, Any]) -> str:
    """Information.status."""
    async with https.connect(_peer(parameters)) as link:
        information = (await link.get(_PATH)).body.get("Information")
    status = information.get("status") if isinstance(information, dict) else None
    return _STATES.get(str(status), "unknown")


async def on(parameters: dict[str, Any]) -> None:
    """The action power-on."""
    await _act(parameters, "power-on")


async def off(parameters: dict[str, Any]) -> None:
    """The action power-off."""
    await _act(parameters, "power-off")


async def _act(parameters: dict[str, Any], action: str) -> None:
    async with https.connect(_peer(parameters)) as link:
        answer = await link.send("POST", _PATH, {"action": action})
    if answer.body.get("result") not in (None, "success"):
        raise PowerError(f"{link.peer.url.host}: {action} was refused: {answer.body['result']!r}")


def _peer(parameters: dict[str, Any]) -> Peer:
    peer = https.peer_of(
        {"power_address": f"http://{parameters['power_address']}", "tls": "insecure"}
    )
    return Peer(
        peer.url.with_port(peer.url.port if _has_port(parameters) else 8080), "insecure", ""
    )


def _has_port(parameters: dict[str, Any]) -> bool:
    return ":" in parameters["power_address"].rpartition("]")[2]
