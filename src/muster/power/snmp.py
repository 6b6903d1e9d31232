# SPDX-License-Identifier: Apache-2.0
"""A switched outlet of a PDU, by SNMP v2c or v3, with Net-SNMP's snmpget and snmpset.

`pdu_type` knows the outlet's object of APC's rack PDUs (PowerNet-MIB,
rPDUOutletControlOutletCommand: 1 on, 2 off); `custom` takes `oid` (the outlet is appended when it
ends with a dot) and the values.
Community and pass phrases go through a snmp.conf of mode 0600 in a folder that lives as long as
the command.
"""

import tempfile
from pathlib import Path
from typing import Any

from muster.power import programs
from muster.power.drivers import Parameter, PowerError
from muster.power.programs import Ended

PARAMETERS = {
    "power_address": Parameter("host or host:port of the PDU", required=True),
    "node_outlet": Parameter("number of the outlet", required=True),
    "pdu_type": Parameter("what it is", default="rPDU", choices=("rPDU", "custom")),
    "oid": Parameter("object of the outlet, when pdu_type is custom"),
    "on_value": Parameter("integer that switches on", default="1"),
    "off_value": Parameter("integer that switches off", default="2"),
    "snmp_version": Parameter("version of SNMP", default="2c", choices=("2c", "3")),
    "community": Parameter("community with write access (2c)", secret=True),
    "power_user": Parameter("user (3)"),
    "power_pass": Parameter("authentication pass phrase, SHA (3)", secret=True),
    "privacy_pass": Parameter("privacy pass phrase, AES (3)", secret=True),
}
BMC = ("power_address",)

_RPDU = "1.3.6.1.4.1.318.1.1.12.3.3.1.1.4."


async def state(parameters: dict[str, Any]) -> str:
    """The outlet's value."""
    said = await _tool("snmpget", parameters, "-Oqv", _oid(parameters))
    values = {parameters["on_value"]: "on", parameters["off_value"]: "off"}
    # Net-SNMP tells of a folder that it makes before it tells the value.
    return values.get(said.strip().rpartition("\n")[2], "unknown")


async def on(parameters: dict[str, Any]) -> None:
    """Set on_value."""
    await _tool("snmpset", parameters, "-Oqv", _oid(parameters), "i", parameters["on_value"])


async def off(parameters: dict[str, Any]) -> None:
    """Set off_value."""
    await _tool("snmpset", parameters, "-Oqv", _oid(parameters), "i", parameters["off_value"])


def _oid(parameters: dict[str, Any]) -> str:
    outlet = parameters["node_outlet"]
    if not (outlet.isascii() and outlet.isdigit()):
        raise PowerError(f"node_outlet: {outlet!r} is no number", permanent=True)
    oid = str(_RPDU if parameters["pdu_type"] == "rPDU" else parameters["oid"])
    if not oid.replace(".", "").isdigit():
        raise PowerError(f"oid: {oid!r} is no object identifier", permanent=True)
    return oid + outlet if oid.endswith(".") else oid


def configuration(parameters: dict[str, Any]) -> str:
    """The snmp.conf; raises PowerError for what is missing."""
    if parameters["snmp_version"] == "2c":
        if not parameters.get("community"):
            raise PowerError("community: SNMP 2c needs it", permanent=True)
        options = {"defVersion": "2c", "defCommunity": parameters["community"]}
    else:
        if not (parameters.get("power_user") and parameters.get("power_pass")):
            raise PowerError("power_user and power_pass: SNMP 3 needs them", permanent=True)
        private = parameters.get("privacy_pass")
        options = {
            "defVersion": "3",
            "defSecurityName": parameters["power_user"],
            "defSecurityLevel": "authPriv" if private else "authNoPriv",
            "defAuthType": "SHA",
            "defAuthPassphrase": parameters["power_pass"],
        }
        if private:
            options |= {"defPrivType": "AES", "defPrivPassphrase": private}
    return "".join(f"{name} {_plain(value)}\n" for name, value in options.items())


def _plain(text: str) -> str:
    """A word of snmp.conf, which splits at blanks and has no way to write some characters."""
    if set(text) & set(" \"'\\#"):
        raise PowerError(
            "a community, user or pass phrase with a blank, a quote, \\ or # cannot be given to"
            " Net-SNMP; change it on the PDU",
            permanent=True,
        )
    return text


async def _tool(tool: str, parameters: dict[str, Any], *words: str) -> str:
    with tempfile.TemporaryDirectory(prefix="muster-snmp-") as folder:
        file = Path(folder) / "snmp.conf"
        file.touch(mode=0o600)
        file.write_text(configuration(parameters))
        address = parameters["power_address"]
        environment = {"SNMPCONFPATH": folder, "SNMP_PERSISTENT_DIR": folder, "MIBS": ""}
        flags, rest = words[0], words[1:]
        ended = await programs.run(
            tool,
            "-t",
            "2",
            "-r",
            "2",
            flags,
            address,
            *rest,
            package="snmp",
            environment=environment,
        )
    if ended.status != 0:
        raise _failure(address, ended)
    return ended.output


def _failure(address: str, ended: Ended) -> PowerError:
    said = " ".join("".join(c for c in ended.output if c.isprintable() or c == "\n").split())[-200:]
    if "Timeout" in said:
        why = "does not answer: is the address right, SNMP enabled, the community right?"
        return PowerError(f"{address}: {why}")
    permanent = any(
        word in said for word in ("noAccess", "notWritable", "No Such", "Authentication")
    )
    return PowerError(f"{address}: {said}", permanent=permanent)
