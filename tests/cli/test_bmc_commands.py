import ipaddress

import pytest

from muster.cli import bmcs
from muster.power import discovery


@pytest.mark.parametrize(
    "text", ["10.0.0.0/24", "10.0.0.0/27", "10.0.0.0/30", "10.0.0.7", "fd00::/120"]
)
def test_a_range_is_asked_in_pieces_that_leave_nothing_out(text: str) -> None:
    parts = bmcs._parts((text,))
    found = [address for (part,) in parts for address in discovery.addresses(part)]
    network = ipaddress.ip_network(text)
    hosts = [str(host) for host in network.hosts()]
    assert found == (hosts if network.version == 4 else hosts[: len(found)])
    assert all(len(discovery.addresses(part)) <= 32 for (part,) in parts)


def test_a_password_on_the_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bmcs._hidden("password", "hush")
    assert "others can read a command line" in capsys.readouterr().err


def test_no_range_and_too_wide_a_range_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for ranges in ((), ("10.0.0.0/8",)):
        with pytest.raises(SystemExit):
            bmcs._parts(ranges)
    told = capsys.readouterr().err
    assert "which range?" in told
    assert "name at most 65536 at a time" in told
