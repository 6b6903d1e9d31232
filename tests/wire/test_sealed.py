"""The sealing of secrets; OpenSSL, by cryptography, is the judge of its numbers."""

import dataclasses

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dh
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.wire.sealed import LONGEST, PRIME, Ephemeral, Sealed, Spoilt, seal

SECRET = b'{"passwords": ["tell-NOBODY-5c1e"]}'


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=LONGEST))
def test_what_was_sealed_opens_again_and_never_looks_the_same(text: bytes) -> None:
    asker = Ephemeral()
    one, other = seal(text, asker.public), seal(text, asker.public)
    assert asker.open(one) == asker.open(other) == text
    assert len(one.body) == 2 * len(text)
    assert not text or (one.key, one.tag) != (other.key, other.tag)


def test_another_s_hands_seal_for_us() -> None:
    """RFC 7919's group, RFC 5869's derivation: no constant of ours is a private one."""
    group = dh.DHParameterNumbers(PRIME, 2)
    theirs = group.parameters().generate_private_key()
    asker = Ephemeral()
    ours = dh.DHPublicNumbers(int(asker.public, 16), group).public_key()
    public = f"{theirs.public_key().public_numbers().y:0512x}"
    salt = bytes.fromhex(asker.public + public)
    made = {
        purpose: HKDF(hashes.SHA256(), length, salt, purpose).derive(theirs.exchange(ours))
        for purpose, length in ((b"muster secret pad", len(SECRET)), (b"muster secret tag", 32))
    }
    body = bytes(a ^ b for a, b in zip(made[b"muster secret pad"], SECRET, strict=True))
    mac = HMAC(made[b"muster secret tag"], hashes.SHA256())
    mac.update(body)
    assert asker.open(Sealed(public, body.hex(), mac.finalize().hex())) == SECRET


def test_the_prime_is_the_group_s_own() -> None:
    # RFC 7919, A.1: the first and last 64 bits are ones, and the number before its e is 2^2048.
    assert (PRIME.bit_length(), PRIME >> 1984, PRIME % 2**64) == (2048, 2**64 - 1, 2**64 - 1)
    assert pow(2, (PRIME - 1) // 2, PRIME) == 1, "2 is of the large prime order"


@pytest.mark.parametrize("name", ["key", "body", "tag"])
def test_one_changed_bit_anywhere_is_noticed(name: str) -> None:
    asker = Ephemeral()
    sealed = seal(SECRET, asker.public)
    raw = bytearray.fromhex(getattr(sealed, name))
    raw[-1] ^= 1
    with pytest.raises(Spoilt):
        asker.open(dataclasses.replace(sealed, **{name: raw.hex()}))


def test_it_opens_with_no_other_key() -> None:
    with pytest.raises(Spoilt, match="was changed on its way here"):
        Ephemeral().open(seal(SECRET, Ephemeral().public))


@pytest.mark.parametrize("key", ["", "00", "01", "x", f"{PRIME - 1:x}", f"{PRIME:x}", "ff" * 257])
def test_a_key_that_makes_no_secret_is_refused(key: str) -> None:
    with pytest.raises(Spoilt, match=r"^key: is no "):
        seal(SECRET, key)
