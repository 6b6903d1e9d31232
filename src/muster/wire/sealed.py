# SPDX-License-Identifier: Apache-2.0
"""A secret of one script, sealed to a number that the agent made at its hello.

Machines reach the server over plain HTTP, and the agent has the standard library alone: Diffie and
Hellman in the group ffdhe2048 (RFC 7919), HKDF with SHA-256 (RFC 5869) to a pad as long as the
text and a key for its tag (HMAC, checked first). The hello names the agent's number by its hash, so
that whoever overhears the session's token gets nothing that he can open. Who can answer in the
server's place could as well serve a kernel of his own: against that only TLS helps, or a network
that is yours.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from muster.wire.codec import Limited, limited

PRIME = int(
    "ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1d8b9c583ce2d3695"
    "a9e13641146433fbcc939dce249b3ef97d2fe363630c75d8f681b202aec4617a"
    "d3df1ed5d5fd65612433f51f5f066ed0856365553ded1af3b557135e7f57c935"
    "984f0c70e0e68b77e2a689daf3efe8721df158a136ade73530acca4f483a797a"
    "bc0ab182b324fb61d108a94bb2c8e3fbb96adab760d7f4681d4f42a3de394df4"
    "ae56ede76372bb190b07a7c8ee0a6d709e02fce1cdf7e2ecc03404cd28342f61"
    "9172fe9ce98583ff8e4f1232eef28183c3fe3b1b4c6fad733bb5fcbc2ec22005"
    "c58ef1837d1683b2c6f34a26c1b2effa886b423861285c97ffffffffffffffff",
    16,
)
# RFC 7919, 5.2: at least 225 bits.
_BITS, _BYTES = 256, 256
_PAD, _TAG = b"muster secret pad", b"muster secret tag"
LONGEST = 4096


class Spoilt(ValueError):
    """It was changed on its way, or is for another key."""


@dataclass(frozen=True)
class Sealed(Limited):
    """The server's public number, the text under its pad, the tag over both; all in hex."""

    key: str = limited(most=2 * _BYTES)
    body: str = limited(most=2 * LONGEST)
    tag: str = limited(most=64)


def mark_of(public: str) -> str:
    """What the hello says of a public number."""
    return hashlib.sha256(public.encode()).hexdigest()


class Ephemeral:
    """A private number, new or one that was kept; `public` is for the other side; both in hex."""

    def __init__(self, private: str = "") -> None:
        self.private = private or f"{secrets.randbits(_BITS) | 1 << _BITS - 1:x}"
        self.public = f"{pow(2, int(self.private, 16), PRIME):0{2 * _BYTES}x}"

    def open(self, sealed: Sealed) -> bytes:
        """The text; raises Spoilt."""
        try:
            body, tag = bytes.fromhex(sealed.body), bytes.fromhex(sealed.tag)
        except ValueError as error:
            raise Spoilt("is no hex") from error
        pad, key = _keys(self._shared(sealed.key), self.public, sealed.key, len(body))
        if not hmac.compare_digest(hmac.digest(key, body, "sha256"), tag):
            raise Spoilt("was changed on its way here")
        return _under(pad, body)

    def _shared(self, theirs: str) -> bytes:
        try:
            number = int.from_bytes(bytes.fromhex(theirs), "big")
        except ValueError as error:
            raise Spoilt("key: is no hex") from error
        # RFC 7919, 5.1: 0, 1 and P - 1 would make a secret that everybody knows.
        if not 1 < number < PRIME - 1:
            raise Spoilt("key: is no number of the group")
        return pow(number, int(self.private, 16), PRIME).to_bytes(_BYTES, "big")


def seal(text: bytes, to: str) -> Sealed:
    """For whoever has the private number of `to`; raises Spoilt when that is no key."""
    if len(text) > LONGEST:
        raise Spoilt(f"is longer than {LONGEST} bytes")
    ours = Ephemeral()
    pad, key = _keys(ours._shared(to), to, ours.public, len(text))
    body = _under(pad, text)
    return Sealed(ours.public, body.hex(), hmac.digest(key, body, "sha256").hex())


def _keys(shared: bytes, asked: str, answered: str, length: int) -> tuple[bytes, bytes]:
    """A pad of `length` bytes and the tag's key, both of this exchange alone."""
    salt = bytes.fromhex(asked) + bytes.fromhex(answered)
    extracted = hmac.digest(salt, shared, "sha256")
    return _expand(extracted, _PAD, length), _expand(extracted, _TAG, hashlib.sha256().digest_size)


def _expand(key: bytes, purpose: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869, 2.3)."""
    made, block, number = b"", b"", 1
    while len(made) < length:
        block = hmac.digest(key, block + purpose + bytes([number]), "sha256")
        made, number = made + block, number + 1
    return made[:length]


def _under(pad: bytes, text: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(pad, text, strict=True))
