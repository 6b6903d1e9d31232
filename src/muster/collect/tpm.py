# SPDX-License-Identifier: Apache-2.0
"""The TPM: version, maker, hash banks, and its endorsement key's certificate.

The certificate lies in memory that anybody may read (TCG EK Credential Profile 2.5, 2.2.1.4);
it is fetched by four commands to the kernel's resource manager, without tools.
"""

import os
import re
import select
import struct

from muster.collect.reading import Reader, Root
from muster.collect.smbios import Structure, structures
from muster.wire.slots import Tpm

_TPM = "/sys/class/tpm"
_NAME = re.compile(r"tpm[0-9]{1,4}")
_BANK = re.compile(r"pcr-([a-z0-9_]{1,20})")
_DEVICE = 43
_ANSWER_SECONDS = 10.0

# TPM 2.0 Library, part 2, 6.5.2 and 6.12; part 3, 30.2, 31.6 and 31.13.
_NO_SESSIONS, _SESSIONS = 0x8001, 0x8002
_GET_CAPABILITY, _READ_PUBLIC, _READ = 0x17A, 0x169, 0x14E
_PROPERTIES, _MANUFACTURER, _FIRMWARE = 6, 0x105, 0x10B
_PASSWORD = 0x40000009
# RSA 2048, ECC P-256, and where newer profiles put RSA 2048, P-256 and P-384.
_CERTIFICATES = (0x01C00002, 0x01C0000A, 0x01C00012, 0x01C00014, 0x01C00016)
_CHUNK = 512  # No TPM may take less at once (PC Client Profile, TPM2_MAX_NV_BUFFER_SIZE).
_CERTIFICATE_LIMIT = 8192


class _Refused(Exception):
    """A command failed: the TPM's code, or no answer in time."""


def probe(root: Root) -> Tpm:
    """The first TPM; what only the TPM itself can tell is asked on a live machine alone."""
    reader = Reader(root)
    name = next((name for name in reader.names(_TPM) if _NAME.fullmatch(name)), "")
    board = next((item for item in structures(reader) if item.type == _DEVICE), None)
    tpm = Tpm(present=bool(name or board), device=name, errors=reader.complaints)
    if board:
        _describe(tpm, board)
    if name:
        folder = f"{_TPM}/{name}"
        tpm.version = _version(reader, folder) or tpm.version
        banks = filter(None, map(_BANK.fullmatch, reader.names(folder)))
        tpm.pcr_banks = [match[1] for match in banks]
        tpm.description = reader.text(f"{folder}/device/description") or tpm.description
        if tpm.version == "2.0":
            _ask(reader, f"/dev/tpmrm{name[3:]}", tpm)
    return tpm


def _version(reader: Reader, folder: str) -> str:
    """Kernels before 5.6 do not say; only TPM 1.2 has `caps`."""
    major = reader.text(f"{folder}/tpm_version_major")
    if not major:
        return "1.2" if reader.exists(f"{folder}/device/caps") else ""
    return {"1": "1.2", "2": "2.0"}.get(major, "")


def _describe(tpm: Tpm, board: Structure) -> None:
    """DSP0134 7.44."""
    major, minor = board.number(0x08), board.number(0x09)
    tpm.version = f"{major}.{minor}" if major else ""
    tpm.manufacturer = _letters(board.body[0x04:0x08])
    tpm.description = board.text(0x12)
    if major == 2 and board.has(0x0A, 4):
        tpm.firmware_version = _dotted(board.number(0x0A, 4))


def _letters(raw: bytes) -> str:
    return "".join(c for c in raw.decode("ascii", errors="ignore") if c.isprintable()).strip()


def _dotted(number: int) -> str:
    return f"{number >> 16}.{number & 0xFFFF}"


def _ask(reader: Reader, device: str, tpm: Tpm) -> None:
    channel = reader.device(device, os.O_RDWR | os.O_NONBLOCK)
    if channel is None:
        return
    try:
        tpm.manufacturer = _letters(_property(channel, _MANUFACTURER).to_bytes(4, "big"))
        tpm.firmware_version = _dotted(_property(channel, _FIRMWARE))
        certificate = _first_certificate(channel)
        if certificate:
            tpm.ek_sha256 = _sha256(certificate)
            tpm.ek_certificate = certificate.hex()
    except (OSError, _Refused, struct.error) as error:
        reader.complain(device, str(error))
    finally:
        os.close(channel)


def _sha256(certificate: bytes) -> str:
    """To load OpenSSL takes 3 of the survey's 48 ms, and few machines have such a certificate."""
    from hashlib import sha256  # noqa: PLC0415

    return sha256(certificate).hexdigest()


def _first_certificate(channel: int) -> bytes:
    for index in _CERTIFICATES:
        try:
            public = _command(channel, _READ_PUBLIC, struct.pack(">I", index), _NO_SESSIONS)
        except _Refused:
            continue  # Not defined in this TPM.
        # Part 2, 13.6: index, name algorithm, attributes, policy, and last the size.
        (length,) = struct.unpack_from(">H", public)
        (size,) = struct.unpack_from(">H", public, length)
        return _certificate(_read(channel, index, min(size, _CERTIFICATE_LIMIT)))
    return b""


def _certificate(data: bytes) -> bytes:
    """Without the padding behind it: DER says how long it is (X.690, 8.1.3)."""
    if data[:2] != b"\x30\x82":
        return data
    return data[: 4 + int.from_bytes(data[2:4], "big")]


def _read(channel: int, index: int, size: int) -> bytes:
    """The memory at `index`, by its own password, which is empty: the owner's may be set."""
    session = struct.pack(">IIHBH", 9, _PASSWORD, 0, 0, 0)
    data = b""
    for start in range(0, size, _CHUNK):
        wanted = min(_CHUNK, size - start)
        handles = struct.pack(">II", index, index)
        part = struct.pack(">HH", wanted, start)
        answer = _command(channel, _READ, handles + session + part, _SESSIONS)
        (length,) = struct.unpack_from(">4xH", answer)
        data += answer[6 : 6 + length]
    return data


def _property(channel: int, number: int) -> int:
    question = struct.pack(">III", _PROPERTIES, number, 1)
    answer = _command(channel, _GET_CAPABILITY, question, _NO_SESSIONS)
    found, value = struct.unpack_from(">9xII", answer)
    return int(value) if found == number else 0


def _command(channel: int, code: int, body: bytes, tag: int) -> bytes:
    """Send one command, wait for its answer, and give its parameters."""
    os.write(channel, struct.pack(">HII", tag, 10 + len(body), code) + body)
    ready, _, _ = select.select([channel], [], [], _ANSWER_SECONDS)
    if not ready:
        raise _Refused(f"no answer to command 0x{code:x} in {_ANSWER_SECONDS:g} s")
    answer = os.read(channel, 4096)
    _, _, result = struct.unpack_from(">HII", answer)
    if result:
        raise _Refused(f"command 0x{code:x} failed with 0x{result:x}")
    return answer[10:]
