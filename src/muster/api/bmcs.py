# SPDX-License-Identifier: Apache-2.0
"""BMCs found from outside, in ranges that an operator names."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from litestar import delete, get, post, put

from muster.api.access import role
from muster.api.hosts import TakenShown
from muster.api.machines import PATH, Reference, machine_shown
from muster.api.shapes import MachineShown, shown
from muster.lifecycle import bmcs
from muster.lifecycle import scan as scans
from muster.lifecycle.hosts import Desk
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.scan import Seen, Wanted
from muster.store.engine import Store
from muster.store.people import User
from muster.wire.codec import Limited, limited

MOST = 256
"""Addresses of one request, which is answered when all were asked."""


@dataclass(frozen=True)
class NewScan(Limited):
    """`ranges`: "10.0.0.0/24", "10.0.0.5-40", "10.0.0.5". Without a user nothing is taken in.

    Password and K_g are kept only for what is taken in, sealed.
    """

    ranges: list[str] = limited(most=64)
    power_user: str = limited(most=64, default="")
    power_pass: str = limited(most=256, default="")
    k_g: str = limited(most=64, default="")
    redfish_port: int = 443
    ipmi_port: int = 623

    def __post_init__(self) -> None:
        """Ports that there are, ranges that are text."""
        super().__post_init__()
        for name in ("redfish_port", "ipmi_port"):
            if not 1 <= getattr(self, name) <= 65535:
                raise ValueError(f"{name}: must be from 1 to 65535")
        if any("\0" in text for text in self.ranges):
            raise ValueError("ranges[0]: holds a NUL")


@dataclass(frozen=True)
class RedfishShown:
    """The service root, and the SHA-256 of the certificate that came with it."""

    fingerprint: str
    version: str
    vendor: str
    product: str
    uuid: str


@dataclass(frozen=True)
class IpmiShown:
    """`weak`: what the BMC lets in that it should not."""

    version: str
    weak: list[str]


@dataclass(frozen=True)
class SeenShown:
    """What answers at an address; `machines` it was taken in as, or the `error`."""

    address: str
    redfish: RedfishShown | None
    ipmi: IpmiShown | None
    machines: list[TakenShown] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class LogLineShown:
    """One line of the event log; `at` as the BMC wrote it: its clock may be wrong."""

    at: str
    severity: str
    message: str


@dataclass(frozen=True)
class Medium(Limited):
    """`image`: URL of an ISO image that the BMC itself can reach."""

    image: str = limited(most=1024)

    def __post_init__(self) -> None:
        """Something a BMC can fetch, without a password that would be shown."""
        super().__post_init__()
        if not re.fullmatch(r"(https?|nfs|cifs|smb)://[^@\s]+", self.image):
            raise ValueError("image: must be an http, https, nfs or cifs URL without a password")


@get(PATH + "/bmc/log")
async def bmc_log(
    reference: Reference, store: Store, keyring: Keyring, user: User, now: datetime
) -> list[LogLineShown]:
    """The newest lines of the machine's hardware log (SEL, IML), newest first, asked now."""
    lines = await bmcs.read_log(Desk(store, keyring, user.name, now), reference)
    return [shown(LogLineShown, line) for line in lines]


@put(PATH + "/bmc/media", dependencies=role("operator"))
async def insert_media(
    reference: Reference,
    data: Medium,
    store: Store,
    keyring: Keyring,
    user: User,
    now: datetime,
) -> MachineShown:
    """Put an image into the machine's virtual drive; to boot it: power cycle with boot=cd."""
    desk = Desk(store, keyring, user.name, now)
    name = await bmcs.insert(desk, reference, data.image)
    return machine_shown(store, name)


@delete(PATH + "/bmc/media", dependencies=role("operator"))
async def eject_media(
    reference: Reference, store: Store, keyring: Keyring, user: User, now: datetime
) -> None:
    """Empty the machine's virtual drive."""
    await bmcs.eject(Desk(store, keyring, user.name, now), reference)


@post("/bmcs/scan", status_code=200, dependencies=role("operator"))
async def scan_bmcs(
    data: NewScan, store: Store, keyring: Keyring, user: User, now: datetime
) -> list[SeenShown]:
    """Ask each address for Redfish and IPMI; with credentials, take in what is there."""
    names = ("ranges", "power_user", "power_pass", "k_g", "redfish_port", "ipmi_port")
    wanted = Wanted(**{name: getattr(data, name) for name in names})
    addresses = scans.addresses_of(wanted, most=MOST)
    desk = Desk(store, keyring, user.name, now)
    return [_shown(seen) for seen in await scans.scan(desk, wanted, addresses)]


def _shown(seen: Seen) -> SeenShown:
    answer = seen.answer
    return SeenShown(
        answer.address,
        shown(RedfishShown, answer.redfish) if answer.redfish else None,
        shown(IpmiShown, answer.ipmi) if answer.ipmi else None,
        [shown(TakenShown, one) for one in seen.machines],
        seen.error,
    )


ROUTES = [scan_bmcs, bmc_log, insert_media, eject_media]
