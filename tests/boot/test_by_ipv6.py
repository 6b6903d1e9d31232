"""Machines that come by IPv6 are told addresses that they can use."""

import socket
from pathlib import Path

import pytest
from tests.api.desk import Desk
from tests.server.process import Served

from muster.lifecycle.policy import Policy
from muster.server.relays import as_known

HERE = "http://[fd99::1]:8472"


def known(policy: Policy, server: object) -> tuple[str, str, str]:
    told = as_known(policy, {"type": "http", "server": server})  # type: ignore[arg-type]
    return told.url, told.files_url, told.metadata_url


@pytest.mark.parametrize(
    "server",
    [("10.0.0.1", 8472), ("::ffff:10.0.0.1", 8472), ("fe80::1", 8472), ("/run/muster", None), None],
)
def test_who_came_by_ipv4_is_told_what_is_set(server: object) -> None:
    policy = Policy(url="http://10.0.0.1:8472", files_url="http://10.0.0.2", metadata_url="")
    assert known(policy, server) == ("http://10.0.0.1:8472", "http://10.0.0.2", "")


def test_who_came_by_ipv6_is_told_the_address_it_came_to_and_no_ipv4_address() -> None:
    policy = Policy(
        url="http://10.0.0.1:8472", files_url="http://10.0.0.2", metadata_url="http://seeds.example"
    )
    assert known(policy, ("fd99::1", 8472)) == (HERE, "", "http://seeds.example")


def test_a_name_that_was_set_stays() -> None:
    assert known(Policy(url="http://muster.example"), ("fd99::1", 80))[0] == "http://muster.example"


def test_a_server_that_listens_by_ipv6_names_itself_so_and_ipxe_finds_its_script_there(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        port = probe.getsockname()[1]
    here = f"http://[::1]:{port}"
    server = Served(tmp_path / "data", "--listen", f"[::1]:{port}")
    try:
        server.wait()
        script = server.get("/boot/loader/autoexec.ipxe")
        assert script.startswith("#!ipxe\nifconf --configurator ipv6\n:again\n")
        assert f"chain --replace {here}/boot/ipxe?uuid=" in script
        assert f"(http,[::1]:{port})/boot/grub?" in server.get("/grub/grub.cfg")
    finally:
        server.stop()


def test_by_ipv4_ipxe_asks_dhcp_for_its_script(desk: Desk) -> None:
    assert desk.client.get("/boot/loader/autoexec.ipxe").status_code == 404
