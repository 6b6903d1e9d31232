# SPDX-License-Identifier: Apache-2.0
"""Reads dnsmasq's log (log-dhcp) line by line into what matters for a timeline.

Lines of one exchange share a transaction number: details come first ("vendor class:
PXEClient:Arch:00007:UNDI:003000"), then the message with the MAC, then the answer (dnsmasq 2.90,
src/rfc2131.c).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from muster.boot.arch import ANY, Client, client

_LINE = re.compile(r"dnsmasq-dhcp(?:\[\d+\])?: (?P<xid>\d+) (?P<rest>.*)")
_MESSAGE = re.compile(
    r"DHCP(?P<kind>[A-Z]+)\((?P<interface>\S+)\) (?:(?P<ip>[0-9.]+) )?(?P<mac>[0-9a-f:]{17})"
)
# As proxyDHCP: the answer to DISCOVER, and (with the client's address) the one on port 4011.
_PROXY = re.compile(r"PXE\(\S+\) (?:(?P<ip>[0-9.]+) )?(?P<mac>[0-9a-f:]{17})")
# DHCPv6 knows machines by DUID; the MAC has a line of its own before, the tags one behind.
_SIX_MAC = re.compile(r"client MAC address: (?P<mac>[0-9a-f:]{17})")
_SIX = re.compile(r"DHCP(?:ADVERTISE|REPLY)\(\S+\) (?P<ip>[0-9a-f:]+) ")
_TFTP_SENT = re.compile(r"dnsmasq-tftp(?:\[\d+\])?: sent (?P<file>\S+) to (?P<ip>[0-9a-f.:]+)")
_TFTP_FAILED = re.compile(
    r"dnsmasq-tftp(?:\[\d+\])?: (?P<why>failed sending|file) (?P<file>\S+)"
    r"(?: to (?P<ip>[0-9a-f.:]+)| not found for (?P<ip2>[0-9a-f.:]+))"
)
# What iPXE, shim and GRUB ask for in case a site has it; that there is none is no failure.
_OPTIONAL = re.compile(
    r"(?:autoexec\.ipxe|revocations\w*\.efi|shim_certificate\w*\.efi|\w+\.lst|grub\.cfg-\S+) "
)
_ARCH = re.compile(r"\barch(\d{1,5})\b")
_KINDS = 8
_NETBOOT = re.compile(r"(?:PXE|HTTP)Client(?::Arch:(?P<arch>\d{1,5}))?")


@dataclass(frozen=True)
class Asked:
    """A netboot client sent DISCOVER; iPXE does so too, as the second client of a boot."""

    mac: str
    detail: str


@dataclass(frozen=True)
class Unserved:
    """A netboot client asked that nothing here can start; `detail` says so and what to do."""

    mac: str
    detail: str


@dataclass(frozen=True)
class Loader:
    """TFTP sent a file, or failed to."""

    mac: str
    detail: str
    failed: bool = False


@dataclass
class _Exchange:
    """`kinds` is empty for who did not say that it boots from the network."""

    kinds: list[Client] = field(default_factory=list)
    ipxe: bool = False
    mac: str = ""
    address: str = ""

    def is_a(self, kind: Client) -> None:
        """It says that it is of this kind, too; a few, as whoever asks may repeat it for ever."""
        if kind not in self.kinds and len(self.kinds) < _KINDS:
            self.kinds.append(kind)

    @property
    def who(self) -> str:
        return "iPXE" if self.ipxe else next((kind.name for kind in self.kinds), "")

    def unserved(self, lacks: Callable[[Client], str]) -> str:
        """Why none of the kinds that it says it is gets a loader, "" when one does."""
        told = [kind.unserved or lacks(kind) for kind in self.kinds]
        return told[0] if told and all(told) and not self.ipxe else ""


def _nothing(_kind: Client) -> str:
    return ""


@dataclass
class Reader:
    """Remembers what is needed between lines; bounded. `lacks`: why a kind has no image now."""

    lacks: Callable[[Client], str] = _nothing
    addresses: dict[str, str] = field(default_factory=dict)
    _exchanges: dict[str, _Exchange] = field(default_factory=dict)

    def read(self, line: str) -> Asked | Unserved | Loader | None:
        """What this line completes, if anything."""
        if found := _LINE.search(line):
            return self._dhcp(found["xid"], found["rest"])
        if found := _TFTP_SENT.search(line):
            return self._tftp(found["ip"], f"{_name(found['file'])} sent by TFTP", failed=False)
        if found := _TFTP_FAILED.search(line):
            ip = found["ip"] or found["ip2"]
            what = "is missing on the server" if found["why"] == "file" else "was not received"
            return self._tftp(ip, f"{_name(found['file'])} {what}", failed=True)
        return None

    def _dhcp(self, xid: str, rest: str) -> Asked | Unserved | None:
        if proxied := _PROXY.match(rest):
            self._learn(proxied["ip"], proxied["mac"])
            return self._offered(xid, proxied["mac"], "a loader, as proxyDHCP")
        message = _MESSAGE.match(rest)
        if message is None:
            self._detail(xid, rest)
            return self._six(xid, rest)
        kind, mac, ip = message["kind"], message["mac"], message["ip"]
        if kind in ("OFFER", "ACK"):
            self._learn(ip, mac)
        return self._offered(xid, mac, ip) if kind == "OFFER" else None

    def _six(self, xid: str, rest: str) -> Asked | Unserved | None:
        """By IPv6; an exchange is whole with its tags, which come behind the answer."""
        if said := _SIX_MAC.match(rest):
            self._exchange(xid).mac = said["mac"]
        elif answered := _SIX.match(rest):
            exchange = self._exchange(xid)
            exchange.address = answered["ip"]
            if exchange.mac:
                self._learn(exchange.address, exchange.mac)
        elif rest.startswith("tags:") and xid in self._exchanges:
            mac, address = self._exchanges[xid].mac, self._exchanges[xid].address
            return self._offered(xid, mac, address) if mac and address else None
        return None

    def _learn(self, ip: str | None, mac: str) -> None:
        if ip:
            _bound(self.addresses)
            self.addresses[ip] = mac

    def _detail(self, xid: str, rest: str) -> None:
        if rest.startswith("vendor class:") and (pxe := _NETBOOT.search(rest)):
            self._exchange(xid).is_a(client(int(pxe["arch"])) if pxe["arch"] else ANY)
        elif rest.startswith("user class:") and "iPXE" in rest:
            self._exchange(xid).ipxe = True
        elif rest.startswith("tags:") and (numbers := _ARCH.findall(rest)):
            # By option 93 itself: U-Boot and Petitboot call themselves other than PXEClient.
            for number in numbers:
                self._exchange(xid).is_a(client(int(number)))

    def _exchange(self, xid: str) -> _Exchange:
        _bound(self._exchanges)
        return self._exchanges.setdefault(xid, _Exchange())

    def _offered(self, xid: str, mac: str, what: str | None) -> Asked | Unserved | None:
        exchange = self._exchanges.pop(xid, None)
        if exchange is None or not exchange.kinds:
            # An operating system's own DHCP is not the beginning of a boot.
            return None
        if why := exchange.unserved(self.lacks):
            return Unserved(mac, why)
        return Asked(mac, f"{exchange.who}: offered {what}")

    def _tftp(self, ip: str, detail: str, *, failed: bool) -> Loader | None:
        mac = self.addresses.get(ip)
        wanted = not (failed and _OPTIONAL.match(detail))
        return Loader(mac, detail, failed) if mac and wanted else None


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _bound(table: dict[str, object] | dict[str, str] | dict[str, _Exchange]) -> None:
    """Forget the oldest half before a flood of forged packets fills the memory."""
    if len(table) > 20000:
        for key in list(table)[:10000]:
            del table[key]
