# SPDX-License-Identifier: Apache-2.0
"""The keys of BMC secrets in HashiCorp Vault or OpenBao (KV version 2) instead of a file.

BMC secrets stay in the database, sealed; only the keys are in Vault, so that no poll waits for it
and neither database nor disk of the server opens anything. Sends `POST auth/approle/login` (or uses
a token), `GET` and `POST MOUNT/data/PATH` with check-and-set, and after a rotation `PUT
MOUNT/destroy/PATH` for the versions that hold old keys. Read at the start, and again when a
secret was sealed with a key that is not known yet.
"""

import json
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from muster.lifecycle.keyring import Keyring, KeyringError, new_id, parse, text_of

TIMEOUT_S = 5.0
# How often Vault is asked for a key that it may not have.
AGAIN_S = 10.0
_FIELD = "keys"


@dataclass(frozen=True)
class Place:
    """Where in Vault, and as whom: a role and its secret's file, or a token's file."""

    url: str
    mount: str = "secret"
    path: str = "muster/keys"
    role_id: str = ""
    secret_id_file: str = ""
    token_file: str = ""
    ca_file: str = ""
    namespace: str = ""


class VaultKeyring(Keyring):
    """Seals and opens as the file's does."""

    def __init__(self, place: Place) -> None:
        super().__init__(Path("/nonexistent"))
        self._place = place
        self._version = 0
        self._asked_at: float | None = None
        self.where = f"Vault {place.url}, {place.mount}/{place.path}"

    def create(self) -> bool:
        """Write the first key unless there is one; True when made."""
        self._read()
        if self._keys:
            return False
        # Check-and-set 0: of two servers that start at once, one writes.
        self._write({new_id(): AESGCM.generate_key(256)})
        return True

    def keys(self) -> dict[str, bytes]:
        """Every key by id, the one that seals first; raises KeyringError."""
        if not self._keys:
            self._read()
        if not self._keys:
            raise KeyringError(f"{self.where}: has no keys; restore them from Vault's backup")
        return self._keys

    def seal(self, values: dict[str, str], *, of: str) -> str:
        """As the file's. The caller holds the lock of rotations; what another server rotated

        before must be known now, or this would be sealed with a key that is forgotten.
        """
        if values:
            self._read()
        return super().seal(values, of=of)

    def open(self, sealed: str, *, of: str) -> dict[str, str]:
        """As the file's; another server may have rotated the keys meanwhile."""
        if sealed and sealed.partition(":")[0] not in self._keys and self._may_ask():
            self._read()
        return super().open(sealed, of=of)

    def add_key(self) -> str:
        """A new key before the others, whatever another server wrote; returns its id."""
        self._read()
        return super().add_key()

    def forget_old(self) -> int:
        """Only the key that seals stays, also in the history that Vault keeps."""
        gone = super().forget_old()
        older = list(range(max(1, self._version - 1000), self._version))
        if older:
            self._ask("PUT", "destroy", {"versions": older})
        return gone

    def _may_ask(self) -> bool:
        return self._asked_at is None or time.monotonic() - self._asked_at >= AGAIN_S

    def _read(self) -> None:
        self._asked_at = time.monotonic()
        found = self._ask("GET", "data")
        if found is None:
            self._keys, self._version = {}, 0
            return
        data = found.get("data") or {}
        self._version = int((data.get("metadata") or {}).get("version") or 0)
        text = (data.get("data") or {}).get(_FIELD)
        self._keys = parse(text.encode(), self.where) if isinstance(text, str) else {}

    def _write(self, keys: dict[str, bytes]) -> None:
        body = {"options": {"cas": self._version}, "data": {_FIELD: text_of(keys)}}
        written = self._ask("POST", "data", body) or {}
        self._version = int((written.get("data") or {}).get("version") or 0)
        self._keys = keys

    def _ask(self, method: str, what: str, body: object = None) -> dict[str, Any] | None:
        """The answer, None for 404."""
        path = f"{quote(self._place.mount)}/{what}/{quote(self._place.path)}"
        return self._send(method, path, body, {"X-Vault-Token": self._token()})

    def _token(self) -> str:
        place = self._place
        if place.token_file:
            return _secret_of(place.token_file, "vault_token_file")
        secret = _secret_of(place.secret_id_file, "vault_secret_id_file")
        login = {"role_id": place.role_id, "secret_id": secret}
        answer = self._send("POST", "auth/approle/login", login, {}) or {}
        token = (answer.get("auth") or {}).get("client_token")
        if not isinstance(token, str):
            raise KeyringError(f"Vault {place.url}: gives no token; is AppRole mounted at approle?")
        return token

    def _send(
        self, method: str, path: str, body: object, headers: dict[str, str]
    ) -> dict[str, Any] | None:
        url = f"{self._place.url.rstrip('/')}/v1/{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        if self._place.namespace:
            request.add_header("X-Vault-Namespace", self._place.namespace)
        try:
            context = ssl.create_default_context(cafile=self._place.ca_file or None)
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:
                raw = answer.read(1 << 20)
            found: dict[str, Any] = json.loads(raw) if raw else {}
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404 and method == "GET":
                    return None
                raise KeyringError(f"Vault {url}: {_meaning(error)}") from error
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise KeyringError(
                f"Vault {url}: cannot be used: {why}; check vault_url and vault_ca_file"
            ) from error
        return found


def _secret_of(file: str, setting: str) -> str:
    try:
        if Path(file).stat().st_mode & 0o077:
            raise KeyringError(f"{setting} {file}: others may read it; chmod 600 {file}")
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyringError(f"{setting} {file}: {error}") from error


def _meaning(error: urllib.error.HTTPError) -> str:
    """What a status means (Vault's API, "HTTP status codes"); never what was sent."""
    match error.code:
        case 400:
            return (
                "refuses (400): wrong role or secret id, or another server wrote first; try again"
            )
        case 403:
            return "may not (403): give the role read and update on this path (docs/power.md)"
        case 404:
            return "is not there (404): is it a KV version 2 mount, and AppRole enabled?"
        case 503:
            return "is sealed or in maintenance (503): unseal it"
    return f"HTTP {error.code}"
