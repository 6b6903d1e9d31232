# SPDX-License-Identifier: Apache-2.0
"""What the memory of a transceiver says: SFF-8472 (SFP), SFF-8636 (QSFP), CMIS (QSFP-DD, OSFP)."""

from muster.wire.peripherals import Optics

# SFF-8024, tables 4-1 and 4-3.
_TYPES = {
    0x02: "soldered",
    0x03: "SFP",
    0x0B: "DWDM-SFP",
    0x0C: "QSFP",
    0x0D: "QSFP+",
    0x11: "QSFP28",
    0x18: "QSFP-DD",
    0x19: "OSFP",
    0x1A: "SFP-DD",
    0x1B: "DSFP",
    0x1E: "QSFP+ CMIS",
    0x1F: "SFP-DD CMIS",
}
_CONNECTORS = {
    0x01: "SC",
    0x07: "LC",
    0x0B: "optical pigtail",
    0x0C: "MPO 1x12",
    0x0D: "MPO 2x16",
    0x21: "copper pigtail",
    0x22: "RJ45",
    0x23: "no separable connector",
    0x25: "CS",
    0x26: "SN",
    0x27: "MPO 2x12",
    0x28: "MPO 1x16",
}
_SFP = {0x02, 0x03, 0x0B}
_QSFP = {0x0C, 0x0D, 0x11}
_COPPER = 0x0C  # SFF-8472 table 5-3, byte 8: passive or active cable.
_DIAGNOSTICS = 0x40  # Byte 92: the second page exists.


def read_optics(memory: bytes) -> Optics | None:
    """The module with this memory; None if it is too short to say, or of an unknown kind."""
    kind = memory[0] if memory else 0
    if kind in _SFP and len(memory) >= 96:
        return _sfp(memory)
    if kind in _QSFP and len(memory) >= 256:
        return _qsfp(memory)
    if kind in _TYPES and len(memory) >= 256:
        return _cmis(memory)
    return None


def _sfp(memory: bytes) -> Optics:
    cable = bool(memory[8] & _COPPER)
    optics = _named(memory, 20, oui=37, part=40, revision=slice(56, 60), serial=68, date=84)
    optics.connector = _CONNECTORS.get(memory[2], "")
    optics.wavelength = 0.0 if cable else float(int.from_bytes(memory[60:62], "big"))
    optics.length = float(memory[18]) if cable else 0.0
    if memory[92] & _DIAGNOSTICS and len(memory) >= 256 + 98:
        optics.temperature = _celsius(memory[256 + 96 : 256 + 98])
    return optics


def _qsfp(memory: bytes) -> Optics:
    """SFF-8636: page 00h from byte 128 on; wavelengths count twentieths of a nanometre."""
    cable = memory[147] >> 4 >= 0x0A
    optics = _named(memory, 148, oui=165, part=168, revision=slice(184, 186), serial=196, date=212)
    optics.connector = _CONNECTORS.get(memory[130], "")
    optics.wavelength = 0.0 if cable else int.from_bytes(memory[186:188], "big") / 20
    optics.length = float(memory[146]) if cable else 0.0
    optics.temperature = None if cable else _celsius(memory[22:24])
    return optics


def _cmis(memory: bytes) -> Optics:
    """CMIS 5: page 00h; byte 202 is the cable's length, two bits of them a power of ten."""
    optics = _named(memory, 129, oui=145, part=148, revision=slice(164, 166), serial=166, date=182)
    optics.connector = _CONNECTORS.get(memory[203], "")
    optics.length = (memory[202] & 0x3F) * (0.1, 1.0, 10.0, 100.0)[memory[202] >> 6]
    optics.temperature = _celsius(memory[14:16])
    return optics


def _named(
    memory: bytes, vendor: int, *, oui: int, part: int, revision: slice, serial: int, date: int
) -> Optics:
    return Optics(
        type=_TYPES[memory[0]],
        vendor=_text(memory[vendor : vendor + 16]),
        vendor_oui=memory[oui : oui + 3].hex(":"),
        part=_text(memory[part : part + 16]),
        revision=_text(memory[revision]),
        serial=_text(memory[serial : serial + 16]),
        date=_text(memory[date : date + 8]),
    )


def _text(raw: bytes) -> str:
    return "".join(c for c in raw.decode("ascii", errors="ignore") if c.isprintable()).strip()


def _celsius(raw: bytes) -> float | None:
    """Signed 256ths of a degree; 0 where the module does not measure."""
    degrees = int.from_bytes(raw, "big", signed=True) / 256
    return round(degrees, 1) if degrees else None
