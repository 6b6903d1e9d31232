# SPDX-License-Identifier: Apache-2.0
"""BMCs found from outside."""

import ipaddress
import sys
from collections import Counter
from typing import Any

import cyclopts

from muster.cli.client import ApiError, Client, fail, machine_path
from muster.cli.verbs import value_of
from muster.cli.words import log_summary, plain

app = cyclopts.App(name="bmc", help="BMCs: find them, read their logs, use their virtual drives.")
# Live BMCs take a minute for their inventory; dead ones some seconds, many at once.
_TOGETHER = 32
_TIMEOUT_S = 300.0
_WIDEST = 1 << 16


@app.command
def scan(
    *ranges: str,
    user: str = "",
    password: str = "-",
    k_g: str = "",
    redfish_port: int = 443,
    ipmi_port: int = 623,
) -> int:
    """Look for Redfish and IPMI: muster bmc scan 10.0.0.0/24 --user admin

    Without a user it only tells what is there. With one, each machine whose BMC takes it becomes a
    record, New, with its BMC and what the BMC knows of the hardware. Nothing is switched.

    Parameters
    ----------
    ranges
        10.0.0.0/24, 10.0.0.5-40 or 10.0.0.5
    user
        User of the BMCs
    password
        Its password: @FILE, or - to be asked
    k_g
        IPMI's key: @FILE, or - to be asked
    redfish_port
        Port of HTTPS
    ipmi_port
        Port of RMCP
    """
    client = Client(timeout=_TIMEOUT_S)
    secret = value_of("password", _hidden("password", password)) if user else ""
    body = {
        "power_user": user,
        "power_pass": secret,
        "k_g": value_of("k_g", _hidden("k_g", k_g)) if k_g else "",
        "redfish_port": redfish_port,
        "ipmi_port": ipmi_port,
    }
    found = failed = 0
    try:
        for part in _parts(ranges):
            print(plain(f"asking {part[0]} ..."), file=sys.stderr)
            for seen in client.send("POST", "/bmcs/scan", {**body, "ranges": part}):
                _print(seen)
                found += 1
                failed += bool(seen["error"])
    except ApiError as error:
        fail(str(error))
    print(f"{found} BMCs" + (f", {failed} not taken in" if failed else ""))
    return 1 if failed else 0


@app.command
def log(machine: str, /) -> None:
    """The newest lines of a machine's hardware log, newest first; its clock may be wrong.

    At the end: how many lines of each severity, and what the whole log was at its hourly reading.
    """
    client = Client(timeout=_TIMEOUT_S)
    try:
        whole = client.get(machine_path(machine, "/power"))["log"]
        lines = client.get(machine_path(machine, "/bmc/log"))
    except ApiError as error:
        fail(str(error))
    for line in lines:
        print(plain(f"{line['at']:<26} {line['severity']:<10} {line['message']}"))
    counts = Counter(line["severity"] for line in lines)
    print(plain(", ".join(f"{number} {word or 'without severity'}" for word, number
                          in counts.items()) or "the log is empty"))  # fmt: skip
    if whole:
        print(plain(f"the whole log: {log_summary(whole)}"))


@app.command
def media(machine: str, image: str, /) -> None:
    """Put an ISO image into a machine's virtual drive: muster bmc media NAME http://...

    To boot it: muster power NAME cycle --boot cd

    Parameters
    ----------
    machine
        Name or id
    image
        A URL that the BMC itself can reach
    """
    _send("PUT", machine, {"image": image})
    print(plain(f"{image} is in the virtual drive of {machine}"))


@app.command
def eject(machine: str, /) -> None:
    """Empty a machine's virtual drive."""
    _send("DELETE", machine)
    print(plain(f"the virtual drive of {machine} is empty"))


def _send(method: str, machine: str, body: object = None) -> None:
    try:
        Client(timeout=_TIMEOUT_S).send(method, machine_path(machine, "/bmc/media"), body)
    except ApiError as error:
        fail(str(error))


def _hidden(name: str, given: str) -> str:
    if given != "-" and not given.startswith("@"):
        fail(f"{name}: others can read a command line; give @FILE, or - to be asked")
    return given


def _parts(ranges: tuple[str, ...]) -> list[list[str]]:
    """The ranges in pieces of one request; what is no network is left to the server to judge."""
    parts: list[list[str]] = []
    for text in ranges:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            parts.append([text])
            continue
        if network.num_addresses <= _TOGETHER:
            parts.append([text])
            continue
        if network.num_addresses > _WIDEST:
            fail(f"{text}: has {network.num_addresses} addresses; name at most {_WIDEST} at a time")
        piece = network.max_prefixlen - _TOGETHER.bit_length() + 1
        for subnet in network.subnets(new_prefix=piece):
            # As one range: a subnet's first address is a host's here, and so is its last.
            first, last = subnet[0], subnet[-1]
            first += first == network[0]
            last -= last == network[-1]
            parts.append([f"{first}-{last}"])
    if not parts:
        fail("which range? muster bmc scan 10.0.0.0/24")
    return parts


def _print(seen: dict[str, Any]) -> None:
    words = [seen["address"]]
    if redfish := seen["redfish"]:
        known = " ".join(filter(None, (redfish["vendor"], redfish["product"])))
        words.append(f"Redfish {redfish['version']} {known}".strip())
    if ipmi := seen["ipmi"]:
        weak = f" ({'; '.join(ipmi['weak'])})" if ipmi["weak"] else ""
        words.append(f"IPMI {ipmi['version']}{weak}")
    print(plain("  ".join(words)))
    for taken in seen["machines"]:
        print(plain(f"    {taken['outcome']} {taken['machine']}: {taken['reason']}"))
    if seen["error"]:
        print(plain(f"    {seen['error']}"))
