"""Frames that the initrd has heard become entries of lldpctl's document."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.collect.lldp import Frame, joined, kept, main
from muster.collect.reading import Reader
from muster.lifecycle import readings

SOURCE = "525400aabb01"


def tlv(kind: int, value: bytes) -> bytes:
    return (kind << 9 | len(value)).to_bytes(2, "big") + value


def frame(*tlvs: bytes, interface: str = "eth0") -> Frame:
    head = bytes.fromhex("0180c200000e" + SOURCE + "88cc")
    return Frame(interface, head + b"".join(tlvs) + bytes(2))


CHASSIS = tlv(1, b"\x04" + bytes.fromhex(SOURCE))
PORT = tlv(2, b"\x05Ethernet1/7")
TTL = tlv(3, b"\x00\x78")
WHOLE = frame(
    CHASSIS,
    PORT,
    TTL,
    tlv(4, b"to rack 7"),
    tlv(5, b"leaf-1"),
    tlv(6, b"A switch\x00\x1b[31m"),
    tlv(7, b"\x00\x14\x00\x04"),
    tlv(8, b"\x05\x01\x0a\x00\x00\x01\x02\x00\x00\x00\x01\x00"),
    tlv(8, b"\x11\x02" + bytes(15) + b"\x01\x02\x00\x00\x00\x01\x00"),
    tlv(127, b"\x00\x80\xc2\x01\x00\x0a"),
    tlv(127, b"\x00\x80\xc2\x03\x00\x0a\x07servers"),
    tlv(127, b"\x00\x80\xc2\x03\x00\x14\x03bmc"),
    tlv(127, b"\x00\x12\x0f\x04\x05\xee"),
)


def test_a_frame_gives_what_lldpd_would_have_told() -> None:
    (neighbour,) = readings.lldp(joined(b"", [WHOLE]))
    assert neighbour == {
        "interface": "eth0",
        "via": "LLDP",
        "switch": "leaf-1",
        "chassis_id": "52:54:00:aa:bb:01",
        "description": "A switch[31m",
        "management": ["10.0.0.1", "::1"],
        "port_id": "Ethernet1/7",
        "port": "to rack 7",
        "vlan": 10,
        "vlans": [
            {"id": 10, "name": "servers", "untagged": True},
            {"id": 20, "name": "bmc", "untagged": False},
        ],
    }


def test_capabilities_say_which_are_used() -> None:
    text = joined(b"", [WHOLE]).decode()
    assert 'type="Bridge" enabled="on"' in text
    assert 'type="Router" enabled="off"' in text
    assert "Station" not in text


@pytest.mark.parametrize(
    ("chassis", "expected"),
    [
        (b"\x05\x01\x0a\x01\x02\x03", "10.1.2.3"),
        (b"\x05\x09\x01\x02", ""),
        (b"\x07cabinet 4", "cabinet 4"),
        (b"\x01\xff\xfe", "\ufffd\ufffd"),
        (b"\x63odd", "odd"),
    ],
)
def test_every_kind_of_id_is_read(chassis: bytes, expected: str) -> None:
    (neighbour,) = readings.lldp(joined(b"", [frame(tlv(1, chassis), PORT, TTL)]))
    assert neighbour["chassis_id"] == expected


def test_what_lldpd_knows_itself_stays_as_it_is() -> None:
    heard = (
        b'<?xml version="1.0"?><lldp label="LLDP neighbors"><interface name="eth0" via="CDPv2">'
        b"<chassis><name>old</name></chassis><port><id>p1</id></port></interface></lldp>"
    )
    other = Frame("eth1", WHOLE.content)
    told = readings.lldp(joined(heard, [WHOLE, other]))
    assert [(n["interface"], n["via"], n["switch"]) for n in told] == [
        ("eth0", "CDPv2", "old"),
        ("eth1", "LLDP", "leaf-1"),
    ]


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (tlv(5, b"leaf-1") + b"\x0d\xff", "TLV 6 has 2 of 511 bytes"),
        (tlv(5, b"leaf-1") + tlv(2, b"\x05"), "an id without content"),
        (tlv(5, b"leaf-1") + tlv(8, b"\x20\x01"), "management address has 1 of 32 bytes"),
        (tlv(5, b"leaf-1") + tlv(7, b"\x00"), "capabilities has 1 of 4 bytes"),
        (tlv(5, b"leaf-1") + tlv(127, b"\x00\x80\xc2\x01\x00"), "port VLAN has 1 of 2 bytes"),
        (tlv(5, b"leaf-1") + tlv(127, b"\x00\x80\xc2\x03"), "VLAN name has 0 of 2 bytes"),
    ],
)
def test_what_stands_before_the_damage_is_kept(
    damaged: bytes, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (neighbour,) = readings.lldp(joined(b"", [frame(CHASSIS, damaged)]))
    assert neighbour["switch"] == "leaf-1"
    assert capsys.readouterr().err == f"LLDP frame on eth0: {why}\n"


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 127), st.binary(max_size=40))))
def test_whatever_a_stranger_sends_the_document_can_be_read(
    tail: bytes, tlvs: list[tuple[int, bytes]]
) -> None:
    hostile = frame(CHASSIS, *(tlv(kind, value) for kind, value in tlvs), tail)
    (neighbour,) = readings.lldp(joined(b"", [hostile]))
    assert neighbour["interface"] == "eth0"


def test_frames_are_told_by_todays_names_of_their_ports(tmp_path: Path) -> None:
    for name, index in (("enp1s0", 2), ("enp2s0", 3)):
        (tmp_path / "sys/class/net" / name).mkdir(parents=True)
        (tmp_path / "sys/class/net" / name / "ifindex").write_text(f"{index}\n")
    early = tmp_path / "early"
    early.mkdir()
    (early / "since").write_text("4")
    (early / f"3-{SOURCE}").write_bytes(WHOLE.content)
    (early / f"9-{SOURCE}").write_bytes(WHOLE.content)
    found = kept(early, Reader(str(tmp_path)))
    assert [(f.interface, f.content) for f in found] == [("enp2s0", WHOLE.content)]


def test_as_a_command_it_passes_on_what_lldpctl_says(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; from muster.collect.lldp import main; "
               "sys.exit(main(sys.argv[1:]))", str(tmp_path / "none")]  # fmt: skip
    done = subprocess.run(command, input=b"<lldp/>", capture_output=True, check=True)
    assert readings.lldp(done.stdout) == []


def test_without_a_folder_it_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
