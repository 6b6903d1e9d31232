import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.power.certificates import Authority
from tests.power.ipmi_bmc import IpmiBmc, listen
from tests.power.redfish_bmc import RedfishBmc, says, serving

from muster.power import discovery
from muster.power.discovery import Answer, Ipmi, addresses, ask, read_capabilities
from muster.power.drivers import PowerError


@pytest.mark.parametrize(
    ("text", "first", "last", "count"),
    [
        ("10.0.0.5", "10.0.0.5", "10.0.0.5", 1),
        ("10.0.0.0/24", "10.0.0.1", "10.0.0.254", 254),
        ("10.0.0.77/24", "10.0.0.1", "10.0.0.254", 254),
        ("10.0.0.4/31", "10.0.0.4", "10.0.0.5", 2),
        ("10.0.0.5-40", "10.0.0.5", "10.0.0.40", 36),
        (" 10.0.0.250 - 10.0.1.5 ", "10.0.0.250", "10.0.1.5", 12),
        ("fd00::10-fd00::1f", "fd00::10", "fd00::1f", 16),
        ("fd00::1", "fd00::1", "fd00::1", 1),
    ],
)
def test_a_range_is_the_addresses_that_a_person_means(
    text: str, first: str, last: str, count: int
) -> None:
    found = addresses(text)
    assert (found[0], found[-1], len(found)) == (first, last, count)


@pytest.mark.parametrize(
    "text", ["", "x", "10.0.0.5-4", "10.0.0.0/8", "fd00::/64", "10.0.0.1-fd00::1", "10.0.0.1-999"]
)
def test_what_is_no_range_is_refused_by_name(text: str) -> None:
    with pytest.raises(PowerError, match=r"^range '") as refusal:
        addresses(text)
    assert refusal.value.permanent


@given(st.text(max_size=40))
def test_any_text_is_a_range_or_refused(text: str) -> None:
    try:
        found = addresses(text)
    except PowerError as refusal:
        found = [str(refusal)] if str(refusal).startswith("range ") else []
    assert 1 <= len(found) <= discovery.MOST


@given(st.binary(max_size=64))
def test_any_datagram_is_capabilities_or_nothing(packet: bytes) -> None:
    assert isinstance(read_capabilities(packet), Ipmi | None)


def capabilities(types: int, status: int, extended: int) -> bytes:
    return bytes(19) + bytes([0x38, 0, 1, types, status, extended]) + bytes(5)


def test_what_a_bmc_lets_in_and_should_not_is_told() -> None:
    packet = bytearray(capabilities(0x93, 0x03, 0x02))
    packet[3] = 7
    assert read_capabilities(bytes(packet)) == Ipmi(
        "2.0",
        [
            "lets in without authentication (NONE)",
            "offers MD2",
            "takes passwords in clear",
            "lets in anonymously (no user name, no password)",
            "has a user without a name",
        ],
    )


def test_redfish_and_ipmi_are_found_side_by_side_and_no_password_is_sent(tmp_path: Path) -> None:
    tls, fingerprint = Authority(tmp_path).context(self_signed=True)
    bmc, other = RedfishBmc(), IpmiBmc()

    async def use() -> list[Answer]:
        transport = await listen(other)
        ipmi_port = transport.get_extra_info("sockname")[1]
        async with serving(bmc.handle, tls) as url, serving(says(404), tls) as web:
            ports = [int(one.rpartition(":")[2]) for one in (url, web)]
            found = [
                await ask("127.0.0.1", redfish_port=port, ipmi_port=ipmi_port) for port in ports
            ]
        transport.close()
        return [*found, await ask("127.0.0.1", redfish_port=ports[0], ipmi_port=ipmi_port)]

    both, no_redfish, nothing = asyncio.run(use())
    assert both.redfish is not None
    assert (both.redfish.fingerprint, both.redfish.vendor) == (fingerprint, "ACME")
    assert both.ipmi == Ipmi("2.0", [])
    assert no_redfish.redfish is None
    assert (nothing.redfish, nothing.ipmi) == (None, None)
    assert {path for _, path in bmc.heard} == {"/redfish/v1/"}
