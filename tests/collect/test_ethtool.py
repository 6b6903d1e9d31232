import ctypes
import errno
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from muster.collect import ethtool, interfaces, nicdriver
from muster.collect.reading import Reader
from muster.wire.networks import Card, Network, Port

GSET, GDRVINFO, GLINK, GPERMADDR, GLINKSETTINGS = 0x1, 0x3, 0xA, 0x20, 0x4C
Answer = Callable[[bytes], bytes]


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers take a planted tree for the running machine."""

    class LiveReader(Reader):
        def __init__(self, root: Path) -> None:
            super().__init__(root)
            self.live = True

        def _place(self, path: str, *, listed: bool = False) -> str:
            return self._root + path

    monkeypatch.setattr(ethtool, "Reader", LiveReader)
    monkeypatch.setattr(interfaces, "Reader", LiveReader)


def drive(monkeypatch: pytest.MonkeyPatch, answers: dict[int, Answer | int]) -> None:
    """A driver that answers by command: bytes from the question, or an errno."""

    def ioctl(_channel: object, request: int, question: bytes) -> int:
        assert request == 0x8946
        name, address = struct.unpack("16sP16x", question)
        assert name.rstrip(b"\0") in (b"eth0", b"eth1")
        asked = ctypes.string_at(address, 64)
        answer = answers.get(struct.unpack_from("=I", asked)[0], errno.EOPNOTSUPP)
        if isinstance(answer, int):
            raise OSError(answer, "refused")
        told = answer(asked)
        ctypes.memmove(address, told, len(told))
        return 0

    monkeypatch.setattr(nicdriver.fcntl, "ioctl", ioctl)


def settings(asked: bytes) -> bytes:
    """A 100G port with 4 words of modes, as ETHTOOL_GLINKSETTINGS answers."""
    (words,) = struct.unpack_from("=b", asked, 15)
    if words == 0:
        return struct.pack("=I11xb", GLINKSETTINGS, -4)
    assert words == 4
    head = struct.pack("=IIBBBBBBBbB31x", GLINKSETTINGS, 100000, 1, 3, 0, 1, 0, 0, 0, 4, 0)
    return head + struct.pack("=4I", 1 << 10, 1 << (38 - 32), 0, 1 << (115 - 96))


def up(_: bytes) -> bytes:
    return struct.pack("=II", GLINK, 1)


def permanent(_: bytes) -> bytes:
    return struct.pack("=II", GPERMADDR, 6) + b"\x52\x54\x00\xff\x00\x01"


def firmware(text: bytes) -> Answer:
    return lambda _: struct.pack("=I32s32s32s", GDRVINFO, b"mlx5", b"5.0", text)


@pytest.mark.usefixtures("live")
def test_a_driver_tells_speed_modes_address_and_firmware(
    server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {GLINKSETTINGS: settings, GLINK: up, GPERMADDR: permanent}
    drive(monkeypatch, answers | {GDRVINFO: firmware(b"16.35.2000")})
    links = ethtool.probe(server)
    assert links.errors == []
    assert links.firmware == {"eth0": "16.35.2000", "eth1": "16.35.2000"}
    port = links.ports["eth0"]
    assert port.address == "52:54:00:ff:00:01"
    assert port.supported_modes == ["100000baseCR4/Full", "800000baseCR4/Full"]
    assert port.supported_ports == ["fibre"]
    assert (port.port_type, port.transceiver_type) == ("fibre", "internal")
    assert (port.auto_negotiation, port.link_speed, port.link_duplex) == (True, 100000, "full")


@pytest.mark.usefixtures("live")
def test_an_old_driver_is_asked_the_old_way(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def old(_: bytes) -> bytes:
        return struct.pack(
            "=IIIHBBBBBBIIH14x", GSET, 1 << 5 | 1 << 7, 0, 0xFFFF, 0, 0, 0, 1, 0, 0, 0, 0, 0
        )

    drive(monkeypatch, {GSET: old, GLINK: up, GDRVINFO: firmware(b"N/A")})
    port = ethtool.probe(server).ports["eth0"]
    assert port.supported_modes == ["1000baseT/Full"]
    assert (port.link_speed, port.link_duplex, port.transceiver_type) == (0, "half", "external")
    assert (port.address, port.auto_negotiation) == ("", False)


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize(
    "answer",
    [
        lambda _: struct.pack("=I11xb", GLINKSETTINGS, 4),
        lambda asked: settings(asked) if asked[15] == 0 else b"",
        errno.EOPNOTSUPP,
    ],
)
def test_a_driver_that_answers_nonsense_keeps_its_port(
    server: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer | int
) -> None:
    drive(monkeypatch, {GLINKSETTINGS: answer})
    links = ethtool.probe(server)
    assert list(links.ports) == ["eth0", "eth1"]
    assert links.ports["eth0"].port_type == "twisted pair" or links.errors == []


@pytest.mark.usefixtures("live")
def test_a_second_refusal_of_link_settings_is_survived(
    server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(asked: bytes) -> bytes:
        if asked[15] != 0:
            raise OSError(errno.EIO, "broken")
        return settings(asked)

    drive(monkeypatch, {GLINKSETTINGS: once})
    links = ethtool.probe(server)
    assert links.ports["eth0"] == Port(id="eth0")
    assert {complaint.path for complaint in links.errors} == {
        "ethtool eth0 0x4c",
        "ethtool eth1 0x4c",
    }


@pytest.mark.usefixtures("live")
def test_a_permanent_address_of_zeros_is_none(
    server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(monkeypatch, {GPERMADDR: lambda _: struct.pack("=II", GPERMADDR, 6)})
    assert ethtool.probe(server).ports["eth0"].address == ""


def test_a_recorded_tree_has_no_driver_to_ask(server: Path) -> None:
    assert ethtool.probe(server) == ethtool.Links()


def test_what_drivers_say_joins_what_sysfs_says() -> None:
    ports = [Port(id="eth0", address="sysfs", link_detected=True, link_speed=10), Port(id="eth9")]
    network = Network(cards=[Card(ports=ports)])
    told = Port(id="eth0", address="permanent", supported_modes=["x"], link_duplex="full")
    ethtool.join(ethtool.Links(ports={"eth0": told}, firmware={"eth0": "1"}), network)
    first, second = network.cards[0].ports
    assert (first.address, first.link_speed, first.link_duplex) == ("permanent", 10, "full")
    assert second == Port(id="eth9")
    assert network.cards[0].firmware_version == "1"


def address_message(index: int, prefix: int, address: bytes) -> bytes:
    attributes = struct.pack("=HH4s", 8, 1, b"\0\0\0\0") + struct.pack("=HH4s", 8, 2, address)
    body = struct.pack("=BBBBI", 2, prefix, 0, 0, index) + attributes
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body


DONE = struct.pack("=IHHIII", 20, 3, 2, 1, 0, 0)


class Netlink:
    """A socket that gives canned answers, then times out."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers

    def __call__(self, *_: object) -> "Netlink":
        return self

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, *_: object) -> None:
        self.answers = []

    def settimeout(self, seconds: float) -> None:
        assert seconds <= 5

    def send(self, question: bytes) -> None:
        assert len(question) == struct.unpack_from("=I", question)[0]

    def recv(self, _size: int) -> bytes:
        if not self.answers:
            raise TimeoutError("timed out")
        return self.answers.pop(0)


@pytest.mark.usefixtures("live")
def test_ipv4_addresses_come_from_the_kernel(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        address_message(2, 24, b"\xc0\x00\x02\x02") + address_message(1, 8, b"\x7f\0\0\1"),
        address_message(2, 16, b"\xa9\xfe\1\1") + address_message(77, 8, b"\1\1\1\1") + DONE,
    ]
    monkeypatch.setattr(interfaces, "Channel", Netlink(answers))
    states = interfaces.probe(server).states
    told = [(a.address, a.netmask, a.scope) for a in states["eth0"].addresses]
    assert told[:2] == [("192.0.2.2", "24", "global"), ("169.254.1.1", "16", "link")]
    assert states["lo"].addresses[0].scope == "local"


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize(
    "answers",
    [
        [],
        [struct.pack("=IHHII", 3, 20, 2, 1, 0)],
        [struct.pack("=IHHII", 18, 20, 0, 1, 0) + b"xx", DONE],
    ],
)
def test_a_kernel_that_does_not_answer_costs_the_ipv4_addresses_alone(
    server: Path, monkeypatch: pytest.MonkeyPatch, answers: list[bytes]
) -> None:
    monkeypatch.setattr(interfaces, "Channel", Netlink(list(answers)))
    found = interfaces.probe(server)
    assert [complaint.path for complaint in found.errors] == ["netlink"]
    assert found.states["eth0"].addresses[0].family == "inet6"


@pytest.mark.usefixtures("live")
def test_a_message_without_an_address_is_passed_over(
    server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = struct.pack("=IHHIIBBBBI", 24, 20, 2, 1, 0, 2, 24, 0, 0, 2)
    monkeypatch.setattr(interfaces, "Channel", Netlink([bare, DONE]))
    found = interfaces.probe(server)
    assert found.errors == []
    assert [a.family for a in found.states["eth0"].addresses] == ["inet6"]
