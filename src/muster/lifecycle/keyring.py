# SPDX-License-Identifier: Apache-2.0
"""Seals BMC secrets with AES-256-GCM; the keys are in a file outside the database.

The file has one key a line (`ID BASE64`), the first one seals, all of them open: a rotation
writes the new key first, seals every secret anew, and only then forgets the old one. A sealed
text is `ID:BASE64(nonce, ciphertext, tag)`, bound by the tag to the machine it belongs to: a
copy in another row does not open. Nonces are random, 96 bits (NIST SP 800-38D, 8.2.2).
"""

import base64
import binascii
import json
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class KeyringError(Exception):
    """The key file or a sealed text cannot be used; says which file and the remedy."""


class Keyring:
    """The keys of one file, read again whenever it was replaced."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.where = f"key file {file}"
        self._read_from: tuple[int, int] | None = None
        self._keys: dict[str, bytes] = {}

    def create(self) -> bool:
        """Make the file with one new key, mode 0600, unless it is there; True when made."""
        if self.file.exists():
            return False
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write({new_id(): AESGCM.generate_key(256)})
        return True

    def keys(self) -> dict[str, bytes]:
        """Every key by id, the one that seals first; raises KeyringError."""
        try:
            with self.file.open("rb") as opened:
                status = os.fstat(opened.fileno())
                seen = (status.st_ino, status.st_mtime_ns)
                if seen != self._read_from:
                    if status.st_mode & 0o077:
                        raise KeyringError(
                            f"key file {self.file}: others may read it; chmod 600 {self.file}"
                        )
                    self._keys = parse(opened.read(), self.where)
                    self._read_from = seen
        except OSError as error:
            raise KeyringError(
                f"key file {self.file}: {error.strerror}; restore it from its backup: without it"
                " no stored BMC password can be read"
            ) from error
        return self._keys

    def seal(self, values: dict[str, str], *, of: str) -> str:
        """Values as a text for the database, "" for none; `of` says whose they are."""
        if not values:
            return ""
        key_id, key = next(iter(self.keys().items()))
        nonce = os.urandom(_NONCE)
        sealed = nonce + AESGCM(key).encrypt(nonce, json.dumps(values).encode(), of.encode())
        return f"{key_id}:{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, *, of: str) -> dict[str, str]:
        """What `seal` was given; raises KeyringError."""
        if not sealed:
            return {}
        key_id, _, text = sealed.partition(":")
        key = self.keys().get(key_id)
        if key is None:
            raise KeyringError(
                f"{self.where}: has no key {key_id!r}, with which the secrets of {of} were"
                " sealed; restore it from its backup, or give the machine's power parameters"
                " again"
            )
        try:
            raw = base64.b64decode(text, validate=True)
            opened = AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], of.encode())
        except (binascii.Error, InvalidTag, ValueError) as error:
            raise KeyringError(
                f"the sealed secrets of {of} are damaged or belong to another machine; give its"
                " power parameters again"
            ) from error
        values: dict[str, str] = json.loads(opened)
        return values

    def sealed_with_current(self, sealed: str) -> bool:
        """False for what a rotation has to seal anew."""
        return not sealed or sealed.partition(":")[0] == next(iter(self.keys()))

    def add_key(self) -> str:
        """A new key before the others; returns its id."""
        name = new_id()
        self._write({name: AESGCM.generate_key(256), **self.keys()})
        return name

    def forget_old(self) -> int:
        """Only the key that seals stays; returns how many went."""
        current, *old = self.keys().items()
        self._write(dict([current]))
        return len(old)

    def _write(self, keys: dict[str, bytes]) -> None:
        """Replace the file in one step: a crash leaves the old or the new one."""
        # mkstemp makes the file 0600 whatever the umask.
        number, temporary = tempfile.mkstemp(dir=self.file.parent, prefix=f".{self.file.name}.")
        with os.fdopen(number, "w") as opened:
            opened.write(text_of(keys))
            opened.flush()
            os.fsync(opened.fileno())
        Path(temporary).replace(self.file)
        folder = os.open(self.file.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def new_id() -> str:
    """A name for a key."""
    return secrets.token_hex(4)


def text_of(keys: dict[str, bytes]) -> str:
    """The keys as lines, as `parse` reads them."""
    return "".join(f"{name} {base64.b64encode(key).decode()}\n" for name, key in keys.items())


def parse(text: bytes, where: str) -> dict[str, bytes]:
    """The keys by id; raises KeyringError naming the line."""
    keys = {}
    for number, line in enumerate(text.decode("ascii", "replace").splitlines(), start=1):
        name, _, encoded = line.partition(" ")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not name or len(key) != 32:
            raise KeyringError(f"{where}: line {number} is no key; restore it from its backup")
        keys[name] = key
    if not keys:
        raise KeyringError(f"{where}: is empty; restore it from its backup")
    return keys
