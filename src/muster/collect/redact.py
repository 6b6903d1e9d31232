# SPDX-License-Identifier: Apache-2.0
"""Takes serial numbers, MAC and IP addresses, UUIDs and the host's name out of a captured machine.

Each becomes an invented one of the same length and kind, the same everywhere (in files, their
names, links and SMBIOS tables), so that the structure survives. The key is thrown away: nobody can
try out which serial gave which.
"""

import hashlib
import hmac
import ipaddress
import re
import uuid
from collections.abc import Iterator

_MAC = re.compile(rb"(?<![0-9a-fA-F:])(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![0-9a-fA-F:])")
_UUID = re.compile(rb"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_IF_INET6 = re.compile(rb"(?m)^([0-9a-f]{16})([0-9a-f]{16}) ")
_MOUNT = re.compile(rb"(?m)^(\S+ \S+ \S+) .*$")
_UDEV = re.compile(rb"(?m)^E:(?:[A-Z_]*SERIAL_SHORT|SCSI_[A-Z_]*SERIAL|ID_SCSI_SERIAL)=(\S+)")
_UDEV_SERIAL = re.compile(rb"(?m)^E:ID_SERIAL=(\S+)")
_WWN = re.compile(rb"(?:0x|naa\.|eui\.)([0-9a-fA-F]{16,32})(?![0-9a-fA-F])")

# Files whose whole content is a secret, by the last part of their path.
_SECRET_FILES = {
    "serial",
    "serial_number",
    "serial-number",
    "product_serial",
    "board_serial",
    "board_asset_tag",
    "chassis_serial",
    "chassis_asset_tag",
    "unique_id",
}
# Keys of the document whose text is one; also every key that holds "serial".
_SECRET_KEYS = {"SN", "asset_tag", "ek_sha256", "sas_address"}

# Such values tell nothing of a machine, and to replace them would hit other words.
_SAYS_NOTHING = re.compile(
    rb"(?i)none|unknown|default.*|not .*|null|to be filled.*|0123456789|system serial number|n/?a"
    rb"|(.)\1*"
)
_SHORTEST, _LONGEST = 4, 128
# Shorter ones are only replaced where they stand alone: "1234" is also in "123456".
_SHORT = 8


class Redaction:
    """What is replaced by what; found once in all `files` (path to content) and `document`."""

    def __init__(self, files: dict[str, bytes], document: dict[str, object], key: bytes) -> None:
        self._key = key
        self._pairs: dict[bytes, bytes] = {}
        for data in files.values():
            for mac in set(_MAC.findall(data)):
                self._add_mac(mac.lower())
            for told in set(_UUID.findall(data)):
                self._add_uuid(uuid.UUID(told.decode()))
        for path, data in files.items():
            self._add_secrets(_of_file(path, data))
        self._add_secrets(_of_document(document))
        host = files.get("proc/sys/kernel/hostname", b"").strip()
        parts = {part.encode() for path in files for part in path.split("/")}
        if host not in parts:
            self._add_secrets([host])
        # The longer first: one secret may hold another.
        order = sorted(self._pairs, key=lambda secret: (-len(secret), secret))
        self._any = re.compile(b"|".join(map(_pattern, order))) if order else None

    def data(self, path: str, data: bytes) -> bytes:
        """The content of the file `path` without secrets."""
        if path.endswith("/hostname"):
            return self._invent(data)
        if path.endswith("/mountinfo"):
            # Folders are a person's matter; the probes need the devices alone.
            data = _MOUNT.sub(rb"\1 / / rw - none none rw", data)
        if path.endswith("/if_inet6"):
            data = _IF_INET6.sub(self._line_of_ipv6, data)
        return self._replace(data)

    def text(self, path: str) -> str:
        """The same of a path or a link's target."""
        return self._replace(path.encode(errors="surrogateescape")).decode(errors="surrogateescape")

    def _replace(self, data: bytes) -> bytes:
        return self._any.sub(lambda match: self._pairs[match[0]], data) if self._any else data

    def _add_secrets(self, secrets: list[bytes]) -> None:
        for secret in secrets:
            clean = secret.replace(b"\0", b"").strip()
            if _SHORTEST <= len(clean) <= _LONGEST and not _SAYS_NOTHING.fullmatch(clean):
                self._pairs.setdefault(clean, self._invent(clean))

    def _noise(self, secret: bytes) -> bytes:
        return hmac.new(self._key, secret.lower(), hashlib.sha256).digest()

    def _invent(self, secret: bytes) -> bytes:
        """Digits for digits and letters for letters, the rest as it is; hexadecimal stays so."""
        noise = self._noise(secret)
        letters = 6 if re.fullmatch(rb"[0-9a-fA-F\s]+", secret) else 26
        made = bytearray(secret)
        for place, byte in enumerate(secret):
            char, drawn = bytes([byte]), noise[place % len(noise)]
            if char.isdigit():
                made[place] = ord("0") + drawn % 10
            elif char.isalpha():
                made[place] = ord("a" if char.islower() else "A") + drawn % letters
        return bytes(made)

    def _add_mac(self, mac: bytes) -> None:
        """As text with and without colons, and as six bytes; the maker's half stays."""
        if len(set(mac.split(b":"))) == 1:
            return
        fake = mac[:9] + self._noise(mac)[:3].hex(":").encode()
        for separator in (b":", b"-", b""):
            forms = [one.replace(b":", separator) for one in (mac, fake)]
            self._pairs[forms[0]] = forms[1]
            self._pairs[forms[0].upper()] = forms[1].upper()
        self._pairs[_bytes_of(mac)] = _bytes_of(fake)

    def _add_uuid(self, real: uuid.UUID) -> None:
        """As text in both cases, and as SMBIOS and others keep it in 16 bytes."""
        if len(set(real.bytes)) == 1:
            return
        fake = uuid.UUID(bytes=self._noise(real.bytes)[:16])
        for left, right in ((str(real), str(fake)), (real.hex, fake.hex)):
            self._pairs[left.encode()] = right.encode()
            self._pairs[left.upper().encode()] = right.upper().encode()
        self._pairs |= {real.bytes: fake.bytes, real.bytes_le: fake.bytes_le}

    def _line_of_ipv6(self, match: re.Match[bytes]) -> bytes:
        """Loopback stays, link-local keeps its prefix, all else moves to the documentation's."""
        if match[1] == b"0" * 16:
            return match[0]
        prefix = match[1] if match[1].startswith(b"fe8") else b"20010db800000000"
        return prefix + self._noise(match[2]).hex().encode()[:16] + b" "


def without_addresses(value: object) -> object:
    """A copy of a document in which every IP address but loopback is the documentation's."""
    if isinstance(value, list):
        return [without_addresses(item) for item in value]
    if isinstance(value, dict):
        return {key: without_addresses(item) for key, item in value.items()}
    return _without_address(value) if isinstance(value, str) else value


def _without_address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if address.is_loopback or address.is_unspecified:
        return text
    if address.version == 4:
        return "192.0.2.1"
    return "fe80::1" if address.is_link_local else "2001:db8::1"


def _pattern(secret: bytes) -> bytes:
    escaped = re.escape(secret)
    if len(secret) < _SHORT and secret.isalnum():
        return rb"(?<![0-9A-Za-z])" + escaped + rb"(?![0-9A-Za-z])"
    return escaped


def _bytes_of(mac: bytes) -> bytes:
    return bytes.fromhex(mac.decode().replace(":", ""))


def _of_file(path: str, data: bytes) -> list[bytes]:
    """What in this file names the machine or a part of it."""
    name = path.rpartition("/")[2]
    found: list[bytes] = _WWN.findall(data)
    if name in _SECRET_FILES:
        found.append(data)
    elif name == "vpd_pg80":
        # SPC-4 7.8.15: the serial number from byte 4 on.
        found.append(data[4:])
    elif name == "wwid" and data.startswith(b"t10."):
        # "t10.ATA     MODEL     SERIAL"
        found += data.split()[-1:]
    elif "run/udev/data/" in path:
        found += _UDEV.findall(data) or _UDEV_SERIAL.findall(data)
    return found


def _of_document(value: object, key: str = "") -> list[bytes]:
    """The same of the document: serials that only SMBIOS or a driver tells."""
    return [text.encode(errors="replace") for text in _texts(value, key)]


def _texts(value: object, key: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str) and (key in _SECRET_KEYS or "serial" in key):
        yield value


def small_pci_ids(files: dict[str, bytes], table: bytes) -> bytes:
    """pci.ids with only what this machine has: the whole 1.3 MiB are not worth sending."""
    known = {
        data.strip().removeprefix(b"0x")
        for path, data in files.items()
        if path.rpartition("/")[2] in ("vendor", "device")
    }
    kept, keep = [b"\n"], False
    for line in table.splitlines(keepends=True):
        if line[:1] not in b"\t#\n":
            keep = line[:4] in known
        if keep and (line[:4] in known or line[1:5] in known):
            kept.append(line)
    return b"".join(kept)
