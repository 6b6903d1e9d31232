"""What a network driver says of itself and of the transceiver in its port."""

import ctypes
import errno
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from living import LiveReader

from muster.collect import nicdriver, nics, optics
from muster.wire.peripherals import NicDriver, Optics


@pytest.fixture(autouse=True)
def _no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveReader, "channel", -1)
    monkeypatch.setattr(LiveReader, "opened", [])


def sfp(cable: bool = False, diagnostics: int = 0x40) -> bytearray:
    memory = bytearray(512)
    memory[0], memory[2], memory[8] = 3, 0x21 if cable else 7, 4 if cable else 0
    memory[18] = 3
    memory[20:36] = b"FINISAR CORP.   "
    memory[37:40] = b"\x00\x90\x65"
    memory[40:56] = b"FTLX8574D3BCL   "
    memory[56:60] = b"A   "
    memory[60:62] = (850).to_bytes(2, "big")
    memory[68:84] = b"UX12345         "
    memory[84:92] = b"230114  "
    memory[92] = diagnostics
    memory[256 + 96 : 256 + 98] = b"\x20\x80"
    return memory


def paged(kind: int, vendor: int) -> bytearray:
    memory = bytearray(256)
    memory[0] = kind
    memory[vendor : vendor + 16] = b"Vendor          "
    return memory


def test_an_sfp_says_maker_part_wavelength_and_temperature() -> None:
    assert optics.read_optics(bytes(sfp())) == Optics(
        type="SFP",
        connector="LC",
        vendor="FINISAR CORP.",
        vendor_oui="00:90:65",
        part="FTLX8574D3BCL",
        revision="A",
        serial="UX12345",
        date="230114",
        wavelength=850.0,
        temperature=32.5,
    )


def test_a_copper_cable_has_a_length_and_no_wavelength() -> None:
    found = optics.read_optics(bytes(sfp(cable=True, diagnostics=0)))
    assert found is not None
    assert (found.connector, found.length, found.wavelength) == ("copper pigtail", 3.0, 0.0)
    assert found.temperature is None


def test_a_qsfp28_and_a_qsfp_dd_are_read_by_their_own_maps() -> None:
    memory = paged(0x11, 148)
    memory[22:24] = b"\xff\x00"
    memory[130], memory[147] = 0x0C, 0x00
    memory[186:188] = (26200).to_bytes(2, "big")
    found = optics.read_optics(bytes(memory))
    assert found is not None
    assert (found.type, found.connector, found.vendor) == ("QSFP28", "MPO 1x12", "Vendor")
    assert (found.wavelength, found.temperature) == (1310.0, -1.0)
    memory = paged(0x18, 129)
    memory[202], memory[203] = 0x40 | 5, 0x23
    found = optics.read_optics(bytes(memory))
    assert found is not None
    assert (found.type, found.length, found.temperature) == ("QSFP-DD", 5.0, None)
    assert found.connector == "no separable connector"


@pytest.mark.parametrize("memory", [b"", b"\x03", b"\x99" * 256, b"\x11" * 128, b"\x18" * 10])
def test_a_memory_that_is_no_module_s_is_none(memory: bytes) -> None:
    assert optics.read_optics(memory) is None


Answer = Callable[[bytes], bytes]


@pytest.fixture
def nic(monkeypatch: pytest.MonkeyPatch, server: Path) -> Callable[[dict[int, Answer]], NicDriver]:
    """The first interface of a server whose drivers answer by command."""

    def probe(answers: dict[int, Answer]) -> NicDriver:
        def ioctl(_channel: object, _request: int, question: bytes) -> int:
            _, address = struct.unpack("16sP16x", question)
            asked = ctypes.string_at(address, 64)
            answer = answers.get(struct.unpack_from("=I", asked)[0])
            if answer is None:
                raise OSError(errno.EOPNOTSUPP, "refused")
            told = answer(asked)
            ctypes.memmove(address, told, len(told))
            return 0

        monkeypatch.setattr(nics, "Reader", LiveReader)
        monkeypatch.setattr(nicdriver.fcntl, "ioctl", ioctl)
        return nics.probe(server).interfaces[0]

    return probe


def information(_: bytes) -> bytes:
    return struct.pack("=I32s32s32s32s", 3, b"mlx5_core", b"5.0", b"16.35", b"0000:00:03.0")


def test_an_interface_names_driver_firmware_bus_and_module(
    nic: Callable[[dict[int, Answer]], NicDriver],
) -> None:
    def memory(asked: bytes) -> bytes:
        offset, length = struct.unpack_from("=8xII", asked)
        return asked[:16] + bytes(sfp()[offset : offset + length])

    found = nic({3: information, 0x42: lambda _: struct.pack("=III", 0x42, 2, 512), 0x43: memory})
    assert (found.interface, found.driver, found.version) == ("eth0", "mlx5_core", "5.0")
    assert (found.firmware_version, found.bus) == ("16.35", "0000:00:03.0")
    assert found.optics is not None
    assert (found.optics.serial, found.optics.temperature) == ("UX12345", 32.5)


def test_a_module_that_cannot_be_read_leaves_the_driver(
    nic: Callable[[dict[int, Answer]], NicDriver],
) -> None:
    found = nic({3: information, 0x42: lambda _: struct.pack("=III", 0x42, 2, 512)})
    assert (found.driver, found.optics) == ("mlx5_core", None)


def test_a_recorded_tree_has_no_interfaces_to_ask(server: Path) -> None:
    assert nics.probe(server) == nics.Nics()
