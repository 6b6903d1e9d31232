# SPDX-License-Identifier: Apache-2.0
"""Makes secrets and their hashes. Only hashes are stored: a copied database opens nothing."""

import hashlib
import secrets as stdlib_secrets

from muster.machine.names import ID_ALPHABET


class Forbidden(Exception):
    """A nonce, token or key that does not open this; `status` is 401 (unknown) or 403 (known)."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


def new() -> str:
    """192 random bits, safe in a URL."""
    return stdlib_secrets.token_urlsafe(24)


def digest(secret: str) -> str:
    """SHA-256 in hex. Enough without salt: every secret here has 192 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_id(length: int) -> str:
    """A random id that can be read over the telephone."""
    return "".join(stdlib_secrets.choice(ID_ALPHABET) for _ in range(length))


def random_number() -> int:
    """A random number for names."""
    return stdlib_secrets.randbelow(1 << 30)
