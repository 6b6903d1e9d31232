# SPDX-License-Identifier: Apache-2.0
"""The lines that make somebody else's DHCP server send machines here: Kea, ISC, dnsmasq, Windows;

and for where none of these may be changed, the script of an iPXE that brings its own.

All say the same: by option 93 which loader, to iPXE the address of the script, and that it need not
wait for a proxyDHCP offer (option 175.176, ipxe.org/cfg/no-pxedhcp). Which machine does what is
decided in the HTTP answer to iPXE, so these lines never change with the machines.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

from muster.boot import dhcp
from muster.boot.arch import CLIENTS, Client, UefiLoader
from muster.boot.discover import Asking, Offer

Kind = Literal["kea", "isc", "dnsmasq", "windows", "ipxe"]


@dataclass(frozen=True)
class Here:
    """This server as machines reach it: the address of TFTP, the URL of HTTP (no slash at end)."""

    tftp: str
    url: str
    uefi: UefiLoader = "grub"

    @property
    def script(self) -> str:
        """What iPXE is told."""
        return f"{self.url}/boot/start.ipxe"

    def loader(self, client: Client) -> str:
        """The boot file name for this kind of client."""
        file = client.first(self.uefi)
        return f"{self.url}/boot/loader/{file}" if client.by_http else file


def served() -> list[Client]:
    """The kinds of clients that get a loader."""
    return [client for client in CLIENTS if client.loader]


@dataclass(frozen=True)
class Expected:
    """What a server with our lines answers to one kind of client."""

    asking: Asking
    file: str
    next_server: str = ""
    vendor: str = ""

    def problem(self, offer: Offer) -> str:
        """What is wrong with this answer, "" when nothing is."""
        who = self.asking.name
        if not offer.file:
            return f"{who} is told no boot file, not {self.file}"
        if offer.file != self.file:
            return f"{who} is told {offer.file}, not {self.file}"
        if self.next_server and offer.next_server != self.next_server:
            told = offer.next_server or "nowhere"
            return f"{who} is sent to {told} for {self.file}, not to {self.next_server}"
        if self.vendor and offer.vendor != self.vendor:
            return f"{who} is not told option 60 {self.vendor}, without which it takes no answer"
        return ""


def expectations(here: Here, *, arches: Collection[str] = ("amd64", "arm64")) -> list[Expected]:
    """Every kind of client that we have a loader for, of these architectures, and iPXE."""
    bios = Asking("iPXE", f"{vendor_class(CLIENTS[0])}:UNDI:002001", CLIENTS[0].number, ipxe=True)
    expected = [Expected(bios, here.script)]
    for client in served():
        if client.arch not in arches:
            continue
        asking = Asking(client.name, f"{vendor_class(client)}:UNDI:003016", client.number)
        if client.by_http:
            expected.append(Expected(asking, here.loader(client), vendor="HTTPClient"))
        else:
            expected.append(Expected(asking, here.loader(client), next_server=here.tftp))
    return expected


def snippet(kind: Kind, here: Here) -> str:
    """The lines for one kind of DHCP server, or of iPXE, with a comment that says where they go."""
    return _WRITERS[kind](here)


def _name(client: Client) -> str:
    return f"muster-{client.number:05d}"


def kea_members(here: Here, *, where: str = "", suffix: str = "") -> dict[str, Any]:
    """Kea's option-def and client-classes.

    `where`: a condition of Kea's that a machine must also meet; `suffix` then tells names apart.
    """
    also = f"{where} and " if where else ""
    ipxe = f"muster-ipxe{suffix}"
    classes: list[dict[str, Any]] = [
        {
            "name": ipxe,
            "test": f"{also}(option[175].exists or substring(option[77].hex,0,4) == 'iPXE')",
            "boot-file-name": here.script,
            "option-data": [{"name": "ipxe", "data": "B00101", "csv-format": False}],
        }
    ]
    for client in served():
        test = f"substring(option[93].hex,0,2) == 0x{client.number:04X}"
        entry: dict[str, Any] = {
            "name": f"{_name(client)}{suffix}",
            "test": f"{also}not member('{ipxe}') and {test}",
            "next-server": here.tftp,
            "boot-file-name": here.loader(client),
        }
        if client.by_http:
            entry["option-data"] = [
                {"name": "vendor-class-identifier", "data": "HTTPClient", "always-send": True}
            ]
        classes.append(entry)
    definition = {"name": "ipxe", "code": 175, "space": "dhcp4", "type": "binary"}
    return {"option-def": [definition], "client-classes": classes}


def _kea(here: Here) -> str:
    body = json.dumps(kea_members(here), indent=2)[2:-2]
    return (
        '// Into "Dhcp4": { ... } of kea-dhcp4.conf; where it has option-def or client-classes,'
        f" add to those.\n{body}\n"
    )


def _isc(here: Here) -> str:
    lines = [
        "# Into dhcpd.conf, outside of every subnet (or inside one, to boot only machines there).",
        "option muster-arch code 93 = unsigned integer 16;",
        "option space ipxe;",
        "option ipxe-options code 175 = encapsulate ipxe;",
        "option ipxe.no-pxedhcp code 176 = unsigned integer 8;",
        "option ipxe.no-pxedhcp 1;",
        'if exists ipxe-options or (exists user-class and option user-class = "iPXE") {',
        f'  filename "{here.script}";',
    ]
    for client in served():
        lines += [
            f"}} elsif substring(option muster-arch, 0, 2) = {_colons(client.number)} {{",
            f"  # {client.name}",
            f"  next-server {here.tftp};",
            f'  filename "{here.loader(client)}";',
        ]
        if client.by_http:
            lines.append('  option vendor-class-identifier "HTTPClient";')
    return "\n".join([*lines, "}"]) + "\n"


def _colons(number: int) -> str:
    return f"{number >> 8:02x}:{number & 255:02x}"


def _dnsmasq(here: Here) -> str:
    lines = [
        "# Into dnsmasq.conf or a file in /etc/dnsmasq.d, beside its dhcp-range.",
        *dhcp.IPXE,
        *dhcp.kinds(),
        *dhcp.boot_lines(here.url, here.uefi, tftp=here.tftp),
    ]
    return "\n".join(lines) + "\n"


def _windows(here: Here) -> str:
    lines = [
        "# PowerShell on the DHCP server (Windows Server 2012 or later), as administrator.",
        "# For one scope only, give -ScopeId to both commands with -PolicyName or -Condition.",
        "$ErrorActionPreference = 'Stop'",
        "Add-DhcpServerv4Class -Name 'iPXE' -Type User -Data 'iPXE'",
        "Add-DhcpServerv4Policy -Name 'muster-ipxe' -Condition OR -UserClass EQ,'iPXE'"
        " -ProcessingOrder 1",
        "Set-DhcpServerv4OptionValue -PolicyName 'muster-ipxe' -OptionId 67"
        f" -Value {_quoted(here.script)}",
    ]
    if any(client.by_http for client in served()):
        lines.append(
            "if (-not (Get-DhcpServerv4OptionDefinition | Where-Object OptionId -eq 60))"
            " { Add-DhcpServerv4OptionDefinition -OptionId 60 -Name 'PXEClient' -Type String }"
        )
    for order, client in enumerate(served(), 2):
        lines += _windows_client(client, here, order)
    return "\n".join(lines) + "\n"


def _windows_client(client: Client, here: Here, order: int) -> list[str]:
    # A policy matches only by registered classes; the UNDI version follows the architecture.
    policy = _quoted(_name(client))
    values = [(66, here.tftp), (67, here.loader(client))]
    if client.by_http:
        values = [(60, "HTTPClient"), (67, here.loader(client))]
    return [
        f"# {client.name}",
        f"Add-DhcpServerv4Class -Name {policy} -Type Vendor -Data {_quoted(vendor_class(client))}",
        f"Add-DhcpServerv4Policy -Name {policy} -Condition OR"
        f" -VendorClass EQ,{_quoted(_name(client) + '*')} -ProcessingOrder {order}",
        *(
            f"Set-DhcpServerv4OptionValue -PolicyName {policy} -OptionId {option}"
            f" -Value {_quoted(value)}"
            for option, value in values
        ),
    ]


def _ipxe(here: Here) -> str:
    # The first NIC that gets an address may be on a network that does not lead here: each is tried
    # and closed again. Replaced, so that iPXE is left when the server says: start your own disk.
    return f"""#!ipxe
# autoexec.ipxe beside ipxe.efi; the initrd of ipxe.lkrn; or embedded (make EMBED=this.ipxe).
set medium 1
:again
set nic:int32 0
:try
isset ${{net${{nic}}/mac}} || goto wait
dhcp net${{nic}} && chain --replace {here.script} || ifclose net${{nic}}
inc nic
goto try
:wait
echo muster: no answer from {here.url} by any NIC: asking again in 3 s
sleep 3
goto again
"""


def vendor_class(client: Client) -> str:
    """What option 60 of this kind of client begins with (PXE 2.1, 2.2.2; UEFI 2.10, 24.7.2)."""
    return f"{'HTTPClient' if client.by_http else 'PXEClient'}:Arch:{client.number:05d}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_WRITERS: dict[Kind, Callable[[Here], str]] = {
    "kea": _kea,
    "isc": _isc,
    "dnsmasq": _dnsmasq,
    "windows": _windows,
    "ipxe": _ipxe,
}
KINDS: tuple[Kind, ...] = get_args(Kind)
