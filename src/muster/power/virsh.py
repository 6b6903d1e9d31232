# SPDX-License-Identifier: Apache-2.0
"""libvirt domains, by virsh: for labs.

Runs `virsh -c POWER_ADDRESS domstate | start | destroy POWER_ID`. A remote host
(`qemu+ssh://user@host/system`) is reached with the SSH key of the server's user; passwords are
not supported, and host keys are checked as that user's SSH does.
"""

from typing import Any

from muster.power import programs
from muster.power.drivers import Parameter, PowerError

PARAMETERS = {
    "power_address": Parameter("libvirt URI, as qemu:///system", required=True),
    "power_id": Parameter("the domain's name or UUID", required=True),
}
BMC = ("power_address", "power_id")

_STATES = {
    "running": "on",
    "idle": "on",
    "paused": "on",
    "in shutdown": "on",
    "pmsuspended": "on",
    "shut off": "off",
    "crashed": "off",
}


async def state(parameters: dict[str, Any]) -> str:
    """domstate: paused is on, crashed is off."""
    return _STATES.get((await _virsh(parameters, "domstate")).strip(), "unknown")


async def on(parameters: dict[str, Any]) -> None:
    """start."""
    await _virsh(parameters, "start", already="already active")


async def off(parameters: dict[str, Any]) -> None:
    """destroy: cuts the power, deletes nothing."""
    await _virsh(parameters, "destroy", already="is not running")


async def _virsh(parameters: dict[str, Any], verb: str, *, already: str = "\0") -> str:
    address, domain = parameters["power_address"], parameters["power_id"]
    ended = await programs.run(
        "virsh",
        "--quiet",
        f"--connect={address}",
        verb,
        f"--domain={domain}",
        package="libvirt-clients",
        # Never asks: there is nobody to answer.
        environment={"SSH_ASKPASS_REQUIRE": "never", "HOME": "/root"},
    )
    if ended.status == 0 or already in ended.output:
        return ended.output
    said = "".join(c for c in ended.output.strip()[-300:] if c.isprintable())
    missing = "failed to get domain" in said
    raise PowerError(
        f"{address}: {'no domain ' + repr(domain) + ': ' if missing else ''}{said}",
        permanent=missing,
    )
