# SPDX-License-Identifier: Apache-2.0
"""`python3 agent.pyz bmc-config`: which BMC the machine has, what is weak, and a user for muster.

Prints one JSON object, without secrets. Nothing is changed unless the file that $MUSTER_SECRET_FILE
names holds {"user", "passwords", "privilege", "known"}, which the server gives to an accepted
machine whose operator allowed it. A second time changes nothing.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field

from muster.collect import bmc as survey
from muster.collect import ipmi
from muster.collect.bmcchannel import Channel
from muster.collect.bmcusers import NoRoom, Users
from muster.collect.reading import Reader
from muster.wire.section import plain
from muster.wire.slots import Bmc

# First byte of Get Device ID of HP's Moonshot cartridges.
_MOONSHOT = 0x14
_WEDGE = ("wedge", "facebook", "accton", "joytech", "epgsvr")
_DMI = "/sys/class/dmi/id"
_ADDRESS_S, _PAUSE_S = 60.0, 5.0


@dataclass
class Report:
    """`kind`: ipmi, redfish, moonshot, wedge, none; `password`: which of those given was taken.

    `weak` is so at the end, `closed` was so before; `changed` says what was altered for it.
    """

    kind: str = "none"
    firmware: str = "bios"
    device: str = ""
    lan: list[object] = field(default_factory=list)
    redfish: list[object] = field(default_factory=list)
    weak: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    user: str = ""
    slot: int = 0
    channel: int = 0
    password: int = -1
    problem: str = ""


def main(argv: list[str]) -> int:
    """0, or 1 when what was asked for could not be done; the reason is in the JSON, too."""
    if argv:
        print("usage: python3 agent.pyz bmc-config", file=sys.stderr)
        return 2
    reader = Reader("/")
    report = run(reader, _asked(reader, os.environ.get("MUSTER_SECRET_FILE", "")))
    print(json.dumps(asdict(report)))
    for line in (*report.changed, *report.weak, report.problem):
        print(line, file=sys.stderr) if line else None
    return 1 if report.problem else 0


def _asked(reader: Reader, file: str) -> dict[str, object]:
    if not file or not (text := reader.text(file)):
        return {}
    found: dict[str, object] = json.loads(text)
    return found


def run(reader: Reader, asked: dict[str, object]) -> Report:
    """Look, and configure when there is something to configure with."""
    report = Report(firmware="uefi" if reader.exists("/sys/firmware/efi") else "bios")
    found = survey.probe("/")
    _describe(report, found)
    if not found.device:
        report.kind = "redfish" if found.redfish else "wedge" if _is_wedge(reader) else "none"
        if asked:
            report.problem = "there is no /dev/ipmi0 to make a user by: give the BMC's user by hand"
        return report
    number = reader.device(found.device, os.O_RDWR | os.O_NONBLOCK)
    if number is None:
        report.problem = f"{found.device}: {reader.complaints[-1].reason}"
        return report
    try:
        _talk(ipmi.Bmc(number), report, found, asked)
    except (OSError, ipmi.NoAnswer, ipmi.Refused, NoRoom) as error:
        report.problem = str(error)
    finally:
        os.close(number)
    return report


def _describe(report: Report, found: Bmc) -> None:
    report.device = found.device
    report.lan = [plain(lan) for lan in found.lan]
    report.redfish = [plain(host) for host in found.redfish]


def _talk(bmc: ipmi.Bmc, report: Report, found: Bmc, asked: dict[str, object]) -> None:
    moonshot = bmc.ask(0x06, 0x01)[:1] == bytes([_MOONSHOT])
    report.kind = "moonshot" if moonshot else "ipmi"
    channels = [Channel(bmc, lan.channel) for lan in found.lan]
    report.weak = before = _weaknesses(channels)
    if not asked:
        return
    if not channels:
        raise NoRoom("the BMC has no LAN channel; it cannot be reached from outside")
    first = next((lan.channel for lan in found.lan if lan.address or lan.ipv6), channels[0].number)
    try:
        _configure(bmc, next(c for c in channels if c.number == first), report, asked)
    finally:
        report.weak = _weaknesses(channels)
        report.closed = [text for text in before if text not in report.weak]
    if not any(lan.address or lan.ipv6 for lan in found.lan):
        report.changed += channels[0].ask_dhcp()
        _describe(report, _wait_for_address(found))


def _weaknesses(channels: list[Channel]) -> list[str]:
    return [text for channel in channels for text in channel.weaknesses()]


def _configure(bmc: ipmi.Bmc, channel: Channel, report: Report, asked: dict[str, object]) -> None:
    privilege, passwords = asked["privilege"], asked["passwords"]
    assert isinstance(privilege, int)
    assert isinstance(passwords, list)
    # Closed first: where suite 0 is open, the new user's name alone would let anybody in.
    report.changed += channel.close_weaknesses(privilege)
    if channel.suites().get(0):
        raise NoRoom("cipher suite 0 lets everybody in and the BMC does not close it: no user made")
    report.changed += channel.open_access(privilege)
    report.user, report.channel = str(asked["user"]), channel.number
    report.slot, report.password, changed = Users(bmc, channel.number).make(
        report.user, passwords, privilege, known=bool(asked.get("known"))
    )
    report.changed += changed


def _wait_for_address(found: Bmc) -> Bmc:
    end = time.monotonic() + _ADDRESS_S
    while time.monotonic() < end and not any(lan.address or lan.ipv6 for lan in found.lan):
        time.sleep(_PAUSE_S)
        found = survey.probe("/")
    return found


def _is_wedge(reader: Reader) -> bool:
    names = ("sys_vendor", "product_name", "board_vendor", "board_name")
    who = " ".join(reader.text(f"{_DMI}/{name}") for name in names).lower()
    return any(word in who for word in _WEDGE)
