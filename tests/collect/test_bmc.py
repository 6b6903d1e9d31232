"""A BMC behind a made-up <linux/ipmi.h>."""

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import trees
from living import LiveReader

from muster.collect import bmc, ipmi
from muster.wire.slots import BmcLan


@pytest.fixture(autouse=True)
def _no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveReader, "channel", -1)
    monkeypatch.setattr(LiveReader, "opened", [])


class FakeBmc:
    """A BMC behind <linux/ipmi.h>: a pipe that is readable when there is an answer."""

    answers: ClassVar[dict[tuple[int, ...], bytes]] = {}

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self.queue: list[tuple[int, bytes]] = []

    def ioctl(self, _channel: int, request: int, question: bytes | bytearray) -> int:
        if request == 0x8028690D:
            to, length, number, function, command, size, place = struct.unpack("@PIlBBHP", question)
            # ipmi_validate_addr() of the kernel: the whole structure, and the BMC's channel.
            assert ctypes.string_at(to, length) == struct.pack("=ihBx", 0x0C, 0x0F, 0)
            data = ctypes.string_at(place, size) if size else b""
            answer = self.answers.get((function, command, *data), b"\xc1")
            if answer != b"silence":
                self.queue += [(number - 1, b"\0late"), (number, answer)]
                os.write(self.write, b"..")
            return 0
        assert request == 0xC030690B
        assert isinstance(question, bytearray)
        os.read(self.read, 1)
        number, answer = self.queue.pop(0)
        _, _, _, _, _, _, size, place = struct.unpack("@iPIlBBHP", question)
        assert len(answer) <= size
        ctypes.memmove(place, answer, len(answer))
        struct.pack_into("@iPIlBBHP", question, 0, 1, 0, 0, number, 0, 0, len(answer), place)
        return 0


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeBmc]:
    fake = FakeBmc()
    monkeypatch.setattr(bmc, "Reader", LiveReader)
    monkeypatch.setattr(ipmi.fcntl, "ioctl", fake.ioctl)
    monkeypatch.setattr(LiveReader, "channel", fake.read)
    monkeypatch.setattr(ipmi, "ANSWER_SECONDS", 0.01)
    trees.plant(tmp_path, {"/dev/ipmi0": ""})
    yield fake
    os.close(fake.read)
    os.close(fake.write)


Answer = tuple[tuple[int, ...], bytes]
DEVICE_ID = bytes.fromhex("00" + "2001824502bfa20200000100000000")


def lan(number: int, *data: int) -> tuple[tuple[int, ...], bytes]:
    return (0x0C, 0x02, 1, number, 0, 0), bytes((0, 0x11, *data))


def test_the_bmc_tells_firmware_and_lan(board: FakeBmc, tmp_path: Path) -> None:
    board.answers = {
        (0x06, 0x01): DEVICE_ID,
        (0x06, 0x37): b"\0" + bytes(range(16)),
        (0x06, 0x42, 1): bytes((0, 1, 4, 1)),
        (0x06, 0x42, 2): bytes((0, 2, 5, 1)),
        **dict(
            [
                lan(3, 192, 0, 2, 9),
                lan(4, 2),
                lan(5, 0xB0, 0x7B, 0x25, 0, 0, 1),
                lan(6, 255, 255, 255, 0),
                lan(12, 0, 0, 0, 0),
                lan(20, 0x64, 0x80),
            ]
        ),
    }
    found = bmc.probe(tmp_path)
    assert found.errors == []
    assert (found.present, found.device, found.ipmi_version) == (True, "/dev/ipmi0", "2.0")
    assert (found.firmware_version, found.manufacturer_id, found.product_id) == ("2.45", 674, 256)
    assert found.guid == "0f0e0d0c-0b0a-0908-0706-050403020100"
    assert found.lan == [
        BmcLan(1, "192.0.2.9", "255.255.255.0", "", "b0:7b:25:00:00:01", "dhcp", 100)
    ]


def test_a_bmc_without_lan_or_guid_is_still_known(board: FakeBmc, tmp_path: Path) -> None:
    board.answers = {(0x06, 0x01): DEVICE_ID, (0x06, 0x42, 1): bytes((0, 1, 4, 1))}
    found = bmc.probe(tmp_path)
    assert (found.firmware_version, found.guid) == ("2.45", "")
    assert found.lan == [BmcLan(channel=1)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"silence", "IPMI command 0x06 0x01: no answer in 0.01 s"),
        (b"\xc0", "IPMI command 0x06 0x01: answered 0xc0"),
        (b"", "IPMI command 0x06 0x01: answered nothing"),
        (b"\0\1\2", "Get Device ID: answered 2 bytes, not 11"),
    ],
)
def test_a_bmc_that_does_not_answer_costs_itself_alone(
    board: FakeBmc, tmp_path: Path, answer: bytes, reason: str
) -> None:
    board.answers = {(0x06, 0x01): answer}
    found = bmc.probe(tmp_path)
    assert found.present
    assert [complaint.reason for complaint in found.errors] == [reason]


def test_a_bmc_that_goes_silent_is_not_asked_eleven_times(board: FakeBmc, tmp_path: Path) -> None:
    board.answers = {(0x06, 0x01): DEVICE_ID, (0x06, 0x37): b"silence"}
    found = bmc.probe(tmp_path)
    assert found.firmware_version == "2.45"
    assert len(found.errors) == 1


def test_a_device_that_cannot_be_opened_is_a_complaint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bmc, "Reader", LiveReader)
    monkeypatch.setattr(ipmi, "DEVICES", ("/dev/no-such-bmc",))
    found = bmc.probe(trees.plant(tmp_path, {"/dev/no-such-bmc": ""}))
    assert [complaint.reason for complaint in found.errors] == ["No such file or directory"]


def test_the_bmc_s_ipv6_addresses_are_those_in_use(board: FakeBmc, tmp_path: Path) -> None:
    def address(number: int, selector: int, source: int, last: int, status: int) -> Answer:
        raw = bytes.fromhex("fd00" + "00" * 13) + bytes([last])
        key = (0x0C, 0x02, 1, number, selector, 0)
        return key, bytes((0, 0x11, selector, source)) + raw + bytes((64, status))

    board.answers = {
        (0x06, 0x01): DEVICE_ID,
        (0x06, 0x42, 1): bytes((0, 1, 4, 1)),
        **dict(
            [
                lan(51, 2),
                lan(55, 3, 2, 0),
                address(56, 0, 0x80, 9, 0),
                address(56, 1, 0x00, 10, 0),
                address(56, 2, 0x80, 11, 2),
                address(59, 0, 0x01, 12, 0),
                address(59, 1, 0x02, 0, 0),
            ]
        ),
    }
    found = bmc.probe(tmp_path)
    assert found.lan == [BmcLan(channel=1, ipv6=["fd00::9/64", "fd00::c/64", "fd00::/64"])]
    board.answers |= dict([lan(51, 0)])
    assert bmc.probe(tmp_path).lan == [BmcLan(channel=1)]
