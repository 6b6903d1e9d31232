# SPDX-License-Identifier: Apache-2.0
"""Reads the outputs of built-in scripts into data: bytes in, something for JSON out. No I/O.

Each raises Unreadable with the reason; everything here was written by a machine and may be wrong.
"""

import ipaddress
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

from muster.machine.identity import usable_mac
from muster.scripts.safeyaml import is_plain

LIMIT = 8 * 1024 * 1024
"""Bytes; lshw on a machine with 500 disks says less."""
_TEXT_LIMIT = 512
_ITEMS_LIMIT = 20_000
_DEPTH_LIMIT = 64
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
BMC_KINDS = ("ipmi", "redfish", "moonshot", "wedge", "none")


class Unreadable(ValueError):
    """An output that is not what its script prints; the message says why."""


def virtuality(raw: bytes) -> dict[str, Any]:
    """00-maas-02: {"virtual": bool, "hypervisor": name or ""}."""
    word = _text(raw).strip()
    if not re.fullmatch(r"[a-z0-9-]{1,32}", word):
        raise Unreadable(f"{word[:40]!r} is not a word of systemd-detect-virt")
    virtual = word != "none"
    return {"virtual": virtual, "hypervisor": word if virtual else ""}


def modaliases(raw: bytes) -> list[str]:
    """00-maas-04: each once, sorted."""
    lines = {line.strip()[:_TEXT_LIMIT] for line in _text(raw).splitlines() if line.strip()}
    return sorted(_few(lines))


def subnets(raw: bytes) -> list[dict[str, Any]]:
    """00-maas-05: by interface, what DHCP servers offer there; subnets are seen, not made."""
    found = []
    for nic in _list(_json(raw), "interfaces"):
        offers = [_offer(offer) for offer in _list(nic, "offers")]
        mac = usable_mac(_word(nic, "mac"))
        ipv6 = [text for text in nic.get("ipv6", []) if _is_network(text)]
        link = nic.get("link") is True
        found.append({"interface": _word(nic, "name"), "mac": mac, "link": link,
                      "offers": offers, "ipv6": ipv6})  # fmt: skip
    return found


def bmc(raw: bytes) -> dict[str, Any]:
    """30-maas-01: which BMC, its addresses, what is weak, the user made; see BMC_KINDS."""
    told = _json(raw)
    kind = _word(told, "kind")
    if kind not in BMC_KINDS:
        raise Unreadable(f"kind: {kind[:40]!r} is none of {', '.join(BMC_KINDS)}")
    lines = {name: [str(line)[:_TEXT_LIMIT] for line in _plain_list(told, name)[:200]]
             for name in ("weak", "closed", "changed")}  # fmt: skip
    numbers = {name: _whole(told, name) for name in ("slot", "channel", "password")}
    words = {name: _word(told, name) for name in ("firmware", "device", "user", "problem")}
    lan = [{key: one[key] for key in ("channel", "address", "mac", "source", "ipv6") if key in one}
           for one in _list(told, "lan")]  # fmt: skip
    addresses = [text for one in lan for text in (one.get("address"), *one.get("ipv6", []))]
    redfish = [{"address": _word(one, "service_address"), "port": _whole(one, "service_port")}
               for one in _list(told, "redfish")]  # fmt: skip
    usable = [host for text in addresses if (host := _bmc_host(text))]
    return {"kind": kind, "lan": lan, "redfish": redfish, "addresses": usable,
            **words, **lines, **numbers}  # fmt: skip


def _bmc_host(text: object) -> str:
    """An address that a server may reach: link-local ones are the machine's own."""
    try:
        found = ipaddress.ip_interface(str(text)).ip
    except ValueError:
        return ""
    useless = found.is_link_local or found.is_unspecified or found.is_loopback
    return "" if useless or found.is_multicast else str(found)


def _plain_list(told: dict[str, Any], name: str) -> list[Any]:
    value = told.get(name, [])
    if not isinstance(value, list):
        raise Unreadable(f"{name}: is no list")
    return value


def _whole(told: dict[str, Any], name: str) -> int:
    value = told.get(name, 0)
    if not isinstance(value, int) or abs(value) > 0xFFFF:
        raise Unreadable(f"{name}: is no small whole number")
    return value


def _offer(offer: dict[str, Any]) -> dict[str, Any]:
    words = {name: _word(offer, name) for name in ("address", "server", "subnet", "domain")}
    for name in ("address", "subnet"):
        if words[name] and not _is_network(words[name]):
            raise Unreadable(f"offers: {name} {words[name]!r} is no address")
    routers = [text for text in offer.get("routers", []) if _is_network(text)]
    return {**words, "routers": routers}


def _is_network(text: object) -> bool:
    try:
        ipaddress.ip_interface(str(text))
    except ValueError:
        return False
    return True


def fruid(raw: bytes) -> dict[str, str]:
    """00-maas-06: {"product", "serial", "revision", "vendor"}; empty when not a Wedge."""
    if not raw.lstrip().startswith(b"{"):
        return {}
    told = _json(raw).get("Information")
    if not isinstance(told, dict):
        raise Unreadable("has no Information")
    names = {
        "product": "Product Name",
        "serial": "Product Serial Number",
        "revision": "Product Version",
        "vendor": "System Manufacturer",
    }
    return {ours: _word(told, theirs) for ours, theirs in names.items() if theirs in told}


def serial_ports(raw: bytes) -> list[dict[str, str]]:
    """00-maas-08: [{"name", "path", "type", "port", "irq"}]."""
    found = []
    for line in _few(_text(raw).splitlines()):
        path, *words = line.split() or [""]
        if not path:
            continue
        if not path.startswith("/sys/devices/"):
            raise Unreadable(f"{path[:80]!r} is not below /sys/devices")
        facts = dict(word.partition("=")[::2] for word in words if "=" in word)
        more = {name: facts.get(name, "")[:32] for name in ("type", "port", "irq")}
        found.append({"name": path.rsplit("/", 1)[1], "path": path[:_TEXT_LIMIT], **more})
    return found


def interfaces(raw: bytes) -> list[dict[str, Any]]:
    """40-maas-01: name, MAC, state, MTU and addresses of every interface."""
    return [
        {
            "name": _word(link, "ifname"),
            "mac": _word(link, "address"),
            "type": _word(link, "link_type"),
            "state": _word(link, "operstate"),
            "mtu": link.get("mtu") if isinstance(link.get("mtu"), int) else 0,
            "addresses": [
                f"{_word(address, 'local')}/{address.get('prefixlen', 0)}"
                for address in _list(link, "addr_info")
                if address.get("local")
            ],
        }
        for link in _list({"links": _load(raw)}, "links")
        if link
    ]


def lldp(raw: bytes) -> list[dict[str, Any]]:
    """99-maas-01: one entry for each neighbour: which switch and port, VLANs, addresses."""
    root = _xml(raw)
    found = []
    for port in _few(root.iter("interface")):
        if port.find("chassis") is None:
            continue
        vlans = [v for v in (_vlan(item) for item in port.findall("vlan")) if v]
        own = [str(v["id"]) for v in vlans if v["untagged"]]
        found.append({
            "interface": str(port.get("name", ""))[:64],
            "via": str(port.get("via", ""))[:16],
            "switch": _inner(port, "chassis/name"),
            "chassis_id": _inner(port, "chassis/id"),
            "description": _inner(port, "chassis/descr"),
            "management": [_cut(item.text) for item in port.findall("chassis/mgmt-ip")][:16],
            "port_id": _inner(port, "port/id"),
            "port": _inner(port, "port/descr") or _inner(port, "port/id"),
            "vlan": int(own[0]) if own else None,
            "vlans": vlans,
        })  # fmt: skip
    return found


def _vlan(item: ET.Element) -> dict[str, Any] | None:
    number = item.get("vlan-id", "")
    if not re.fullmatch(r"\d{1,4}", number):
        return None
    return {"id": int(number), "name": _cut(item.text), "untagged": item.get("pvid") == "yes"}


def boot_interface(raw: bytes) -> dict[str, str]:
    """99-maas-05: {"mac"} of BOOTIF=01-aa-bb-..., empty when the loader did not say."""
    match = re.search(r"(?:^|\s)BOOTIF=01-([0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5})(?:\s|$)",
                      _text(raw))  # fmt: skip
    mac = usable_mac(match[1].replace("-", ":")) if match else ""
    return {"mac": mac} if mac else {}


def lshw(raw: bytes) -> dict[str, Any]:
    """00-maas-01: the tree as lshw's own JSON has it (id, class, product, children ...)."""
    root = _xml(raw)
    top = root.find("node") if root.tag == "list" else root
    if top is None or top.tag != "node":
        raise Unreadable("has no node")
    return _node(top, 0)


def _node(item: ET.Element, depth: int) -> dict[str, Any]:
    if depth > _DEPTH_LIMIT:
        raise Unreadable("is nested too deeply")
    found: dict[str, Any] = {
        name: _cut(item.get(name)) for name in ("id", "class") if item.get(name)
    }
    plain = ("description", "product", "vendor", "version", "serial", "physid", "businfo",
             "slot", "logicalname", "size", "capacity", "width", "clock")  # fmt: skip
    found |= {child.tag: _cut(child.text) for child in item if child.tag in plain}
    settings = item.find("configuration")
    if settings is not None:
        found["configuration"] = {
            _cut(s.get("id")): _cut(s.get("value")) for s in settings.findall("setting")
        }
    children = [_node(child, depth + 1) for child in item.findall("node")]
    return found | ({"children": children} if children else {})


def _xml(raw: bytes) -> ET.Element:
    data = _bounded(raw)
    # Neither lshw nor lldpd writes one; it is where entities that expand without end are declared.
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise Unreadable("has a document type, which neither lshw nor lldpd writes")
    try:
        return ET.fromstring(data)
    except (ET.ParseError, ValueError, LookupError) as error:
        raise Unreadable(f"not XML: {error}") from error


def _inner(item: ET.Element, path: str) -> str:
    return _cut(item.findtext(path))


def _cut(text: str | None) -> str:
    text = text or ""
    kept = text if text.isprintable() else "".join(c for c in text if c.isprintable())
    return kept.strip()[:_TEXT_LIMIT]


def _few(items: Any) -> list[Any]:
    kept = list(items)
    if len(kept) > _ITEMS_LIMIT:
        raise Unreadable(f"{len(kept)} entries, the limit is {_ITEMS_LIMIT}")
    return kept


def _bounded(raw: bytes) -> bytes:
    if len(raw) > LIMIT:
        raise Unreadable(f"{len(raw)} bytes, the limit is {LIMIT}")
    return raw


def _text(raw: bytes) -> str:
    text = _bounded(raw).decode(errors="replace")
    # 96 of 100 outputs: a look at each character took 3 ms for 18 KB.
    if text.isascii() and not _CONTROL.search(text):
        return text
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def _load(raw: bytes) -> Any:
    try:
        found = json.loads(_bounded(raw))
        plain = is_plain(found)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {error}") from error
    if not plain:
        raise Unreadable("holds what no database keeps (NUL, NaN or half a surrogate pair)")
    return found


def _json(raw: bytes) -> dict[str, Any]:
    found = _load(raw)
    if not isinstance(found, dict):
        raise Unreadable("must be a JSON object")
    return found


def _list(owner: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = owner.get(name, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Unreadable(f"{name}: must be a list of objects")
    return _few(items)


def _word(owner: dict[str, Any], name: str) -> str:
    value = owner.get(name, "")
    if not isinstance(value, str):
        raise Unreadable(f"{name}: must be text")
    return _cut(value)


Reader = Callable[[bytes], Any]
READERS: dict[str, tuple[str, Reader]] = {
    "00-maas-01-lshw": ("lshw", lshw),
    "00-maas-02-virtuality": ("virtuality", virtuality),
    "00-maas-04-list-modaliases": ("modaliases", modaliases),
    "00-maas-05-dhcp-unconfigured-ifaces": ("subnets", subnets),
    "00-maas-06-get-fruid-api-data": ("fruid", fruid),
    "00-maas-08-serial-ports": ("serial_ports", serial_ports),
    "30-maas-01-bmc-config": ("bmc", bmc),
    "40-maas-01-network-interfaces": ("interfaces", interfaces),
    "99-maas-01-capture-lldp": ("lldp", lldp),
    "99-maas-05-kernel-cmdline": ("boot_interface", boot_interface),
}
"""By script: the name of the finding, and what reads it."""
