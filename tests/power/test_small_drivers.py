import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.power.redfish_bmc import serving

from muster.power import snmp, virsh, wedge, wol
from muster.power.drivers import PowerError, check

MAC = "52:54:00:12:34:01"


def refused(work: Any) -> PowerError:
    with pytest.raises(PowerError) as failure:
        asyncio.run(work)
    return failure.value


@pytest.mark.parametrize("mac", [MAC, "525400123401", "52-54-00-12-34-01", "5254.0012.3401"])
def test_a_machine_is_woken_by_three_magic_packets(mac: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as machine:
        machine.bind(("127.0.0.1", 0))
        machine.settimeout(5)
        where = {"power_address": "127.0.0.1", "power_port": str(machine.getsockname()[1])}
        asyncio.run(wol.on(check("wol", {"mac_address": mac} | where)))
        heard = [machine.recv(200) for _ in range(3)]
    assert heard == [b"\xff" * 6 + bytes.fromhex("525400123401") * 16] * 3


def test_waking_cannot_switch_off_and_sees_nothing() -> None:
    given = check("wol", {"mac_address": MAC})
    assert asyncio.run(wol.state(given)) == "unknown"
    assert "cannot switch off" in str(refused(wol.off(given)))
    assert str(refused(wol.on(given | {"mac_address": "x"}))) == "mac_address: 'x' is no MAC"
    assert str(refused(wol.on(given | {"power_port": "x"}))) == "power_port: 'x' is no port"


needs_virsh = pytest.mark.skipif(not shutil.which("virsh"), reason="virsh is not installed")


@needs_virsh
def test_libvirt_s_own_test_host_is_asked_and_switched() -> None:
    """test:///default is libvirt's mock of a hypervisor, anew at each start, with one domain."""
    given = check("virsh", {"power_address": "test:///default", "power_id": "test"})
    assert asyncio.run(virsh.state(given)) == "on"
    asyncio.run(virsh.on(given))
    asyncio.run(virsh.off(given))


@needs_virsh
def test_a_domain_or_host_that_is_not_there_is_named() -> None:
    given = {"power_address": "test:///default", "power_id": "nobody"}
    error = refused(virsh.state(given))
    assert error.permanent
    assert str(error).startswith("test:///default: no domain 'nobody': ")
    error = refused(virsh.state(given | {"power_address": "qemu+unix:///system?socket=/nowhere"}))
    assert not error.permanent
    assert "/nowhere" in str(error)


def test_a_wedge_is_asked_and_switched() -> None:
    status = ["power-off"]
    heard: list[Any] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            heard.append(await request.json())
            status[0] = heard[-1]["action"]
            return web.json_response({"result": "success"})
        return web.json_response({"Information": {"status": status[0]}})

    async def use() -> list[str]:
        async with serving(handle, None) as url:
            given = check("wedge", {"power_address": url.removeprefix("http://")})
            seen = [await wedge.state(given)]
            await wedge.on(given)
            seen.append(await wedge.state(given))
            await wedge.off(given)
            return [*seen, await wedge.state(given)]

    assert asyncio.run(use()) == ["off", "on", "off"]
    assert heard == [{"action": "power-on"}, {"action": "power-off"}]


@pytest.fixture
def snmpd(tmp_path: Path) -> Iterator[str]:
    """Net-SNMP's agent with an outlet that can be written: its address."""
    if not Path("/usr/sbin/snmpd").exists():
        pytest.skip("snmpd is not installed (apt-get install snmpd)")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    outlet = tmp_path / "outlet"
    oid = f".{snmp._RPDU}3"
    outlet.write_text(
        f"#!/bin/sh\nf={tmp_path}/value\n"
        f'[ "$2" = {oid} ] || exit 0\n'
        'case $1 in -s) echo "$4" > $f;; '
        '-g) printf "%s\\ninteger\\n%s\\n" "$2" "$(cat $f)";; esac\n'
    )
    outlet.chmod(0o755)
    (tmp_path / "value").write_text("2\n")
    (tmp_path / "snmpd.conf").write_text(
        f"rwcommunity hush-hush 127.0.0.1\nrocommunity look-only 127.0.0.1\n"
        f"createUser ada SHA pass-phrase-1 AES pass-phrase-2\nrwuser ada authpriv\n"
        f"pass {oid.rpartition('.')[0]} {outlet}\n"
    )
    environment = {**os.environ, "SNMP_PERSISTENT_FILE": str(tmp_path / "kept")}
    words = ["-f", "-Le", "-C", "-c", str(tmp_path / "snmpd.conf"), f"udp:{address}"]
    process = subprocess.Popen(["/usr/sbin/snmpd", *words], stderr=subprocess.PIPE, env=environment)
    assert process.stderr is not None
    end = time.monotonic() + 20
    for line in process.stderr:
        assert time.monotonic() < end
        if b"NET-SNMP version" in line:
            break
    yield address
    process.kill()
    process.wait()


LOGINS = [
    {"community": "hush-hush"},
    {
        "snmp_version": "3",
        "power_user": "ada",
        "power_pass": "pass-phrase-1",
        "privacy_pass": "pass-phrase-2",
    },
]


@pytest.mark.parametrize("login", LOGINS, ids=["2c", "3"])
def test_an_outlet_is_switched_and_seen(snmpd: str, login: dict) -> None:
    given = check("snmp", {"power_address": snmpd, "node_outlet": "3", **login})

    async def use() -> list[str]:
        seen = [await snmp.state(given)]
        await snmp.on(given)
        seen.append(await snmp.state(given))
        await snmp.off(given)
        return [*seen, await snmp.state(given)]

    assert asyncio.run(use()) == ["off", "on", "off"]


def test_who_may_not_switch_an_outlet_is_told(snmpd: str) -> None:
    given = check("snmp", {"power_address": snmpd, "node_outlet": "3", "community": "look-only"})
    assert asyncio.run(snmp.state(given)) == "off"
    error = refused(snmp.on(given))
    assert error.permanent
    assert "noAccess" in str(error)
    assert "look-only" not in str(error)


def test_a_pass_phrase_that_cannot_be_given_is_refused() -> None:
    given = check("snmp", {"power_address": "h", "node_outlet": "3", "community": 'a"b'})
    assert "cannot be given to Net-SNMP" in str(refused(snmp.state(given)))
    assert str(refused(snmp.state(given | {"community": ""}))) == "community: SNMP 2c needs it"
    for outlet, oid in [("x", "1.3"), ("1", "1.3; reboot")]:
        changed = given | {"node_outlet": outlet, "pdu_type": "custom", "oid": oid}
        assert refused(snmp.state(changed)).permanent
