# SPDX-License-Identifier: Apache-2.0
"""Wake-on-LAN: switches on and nothing else; whether it worked is not to be seen from outside.

Sends the magic packet (AMD, publication 20213: six times FF, sixteen times the MAC) three times
by UDP: to the broadcast address, so the server must be on the machine's network, or to the
router that forwards it.
"""

import re
import socket
from typing import Any

from muster.power.drivers import Parameter, PowerError

PARAMETERS = {
    "mac_address": Parameter("MAC of the NIC that listens", required=True),
    "power_address": Parameter("where to send it", default="255.255.255.255"),
    "power_port": Parameter("UDP port", default="9"),
}
BMC = ("mac_address",)
BLIND = True
_TIMES = 3


async def state(_parameters: dict[str, Any]) -> str:
    """Always unknown."""
    return "unknown"


async def on(parameters: dict[str, Any]) -> None:
    """Send the magic packet."""
    packet = magic(parameters["mac_address"])
    try:
        where = (parameters["power_address"], int(parameters["power_port"]))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sender.setblocking(False)  # noqa: FBT003
            for _ in range(_TIMES):
                sender.sendto(packet, where)
    except (ValueError, OverflowError) as error:
        wrong = f"power_port: {parameters['power_port']!r} is no port"
        raise PowerError(wrong, permanent=True) from error
    except OSError as error:
        raise PowerError(f"power_address: {where[0]}: {error.strerror or error}") from error


async def off(_parameters: dict[str, Any]) -> None:
    """Refused with the remedy."""
    raise PowerError(
        "Wake-on-LAN cannot switch off: shut the machine down from inside, or set another driver",
        permanent=True,
    )


def magic(mac: str) -> bytes:
    """The packet's body; raises PowerError when `mac` is none."""
    digits = re.sub(r"[:.-]", "", mac)
    if not re.fullmatch(r"[0-9A-Fa-f]{12}", digits):
        raise PowerError(f"mac_address: {mac!r} is no MAC", permanent=True)
    return b"\xff" * 6 + bytes.fromhex(digits) * 16
