import asyncio
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.power import ipmi_bmc
from tests.power.ipmi_bmc import IpmiBmc, listen

from muster.power import ipmi, programs
from muster.power.drivers import Known, PowerError, check

HOST = "127.0.77.1"
pytestmark = pytest.mark.skipif(
    not any(Path(folder, "ipmipower").exists() for folder in programs.PATH.split(":")),
    reason="FreeIPMI is not installed (apt-get install freeipmi-tools)",
)


@pytest.fixture
def host(worker_id: str) -> str:
    """An address of its own for each process that tests."""
    return f"127.0.77.{1 + int(re.sub(r'[^0-9]', '', worker_id) or 0)}"


class Use:
    def __init__(self, bmc: IpmiBmc, host: str) -> None:
        self.bmc, self.host = bmc, host

    def __call__(self, verb: str, *words: Any, **changes: str) -> Any:
        async def call() -> Any:
            transport = await listen(self.bmc, self.host, 623)
            try:
                given = {
                    "power_address": self.host,
                    "power_user": "maas",
                    "power_pass": self.bmc.password,
                    "cipher_suite_id": "17",
                }
                return await getattr(ipmi, verb)(check("ipmi", given | changes), *words)
            finally:
                transport.close()
                await asyncio.sleep(0)

        return asyncio.run(call())

    def refused(self, verb: str, *words: Any, **changes: str) -> PowerError:
        with pytest.raises(PowerError) as refused:
            self(verb, *words, **changes)
        return refused.value


@pytest.fixture
def use(host: str) -> Use:
    return Use(IpmiBmc(), host)


@pytest.mark.parametrize("suite", [3, 17])
def test_it_switches_and_sees_it_with_suite(use: Use, suite: int) -> None:
    chosen = {"cipher_suite_id": str(suite)}
    assert use("state", **chosen) == "off"
    use("on", **chosen)
    assert (use("state", **chosen), use.bmc.power) == ("on", True)
    use("off", **chosen)
    assert use.bmc.power is False
    assert set(use.bmc.used) == {suite}
    asked = {data for function, command, data in use.bmc.heard if (function, command) == (6, 0x3B)}
    assert asked == {b"\x03"}, "no more than OPERATOR"


@pytest.mark.parametrize(("kind", "flags"), [("auto", 0x80), ("legacy", 0x80), ("efi", 0xA0)])
def test_the_boot_device_is_set_for_one_start(use: Use, kind: str, flags: int) -> None:
    use("set_boot", "pxe", power_boot_type=kind)
    assert use.bmc.boot_flags[:2] == bytes([flags, 0x04])
    use("set_boot", "disk", power_boot_type=kind)
    assert use.bmc.boot_flags[:2] == bytes([flags, 0x08])


@pytest.mark.parametrize(("offered", "learned"), [((3, 17), "17"), ((17,), "17"), ((3,), "3")])
def test_the_best_suite_is_learned_once(use: Use, offered: tuple[int, ...], learned: str) -> None:
    use.bmc.suites = offered
    assert use("learn", Known(), cipher_suite_id="") == {"cipher_suite_id": learned}


def test_a_learned_suite_is_never_lowered(use: Use) -> None:
    use.bmc.suites = (3,)
    error = use.refused("state")
    assert error.permanent
    assert str(error) == (
        f"{use.host}: does not offer cipher suite 17; set cipher_suite_id, or enable 17 on the BMC."
        " It is not lowered by itself"
    )
    assert use.bmc.used == []


@pytest.mark.parametrize("suite", ["0", "1", "2", "6", "15", "99", "x"])
def test_suites_that_protect_nothing_are_no_choice(suite: str) -> None:
    with pytest.raises(PowerError, match=r"^cipher_suite_id: must be one of , 3, 8, 12, 17$"):
        check("ipmi", {"power_address": HOST, "cipher_suite_id": suite})


def test_a_k_g_is_used_and_a_wrong_one_is_not_left_out(use: Use) -> None:
    use.bmc.k_g = b"the-key"
    assert use("state", k_g="the-key") == "off"
    for wrong in ("", "other-key"):
        error = use.refused("state", k_g=wrong)
        assert (str(error), error.permanent) == (
            f"{use.host}: the BMC has another K_g; set k_g",
            True,
        )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"power_pass": "wrong"}, "wrong password; set power_pass"),
        ({"power_user": "nobody"}, "no such user; set power_user"),
    ],
)
def test_who_may_not_is_told_what_is_wrong_and_not_tried_again(
    use: Use, changes: dict, told: str
) -> None:
    error = use.refused("state", **changes)
    assert (str(error), error.permanent) == (f"{use.host}: {told}", True)


@pytest.mark.slow
def test_a_dead_bmc_is_left_in_time(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"session-timeout": 1500, "retransmission-timeout": 400}
    monkeypatch.setattr(ipmi, "_LIMITS_MS", limits)
    use.bmc.answers = False
    error = use.refused("state")
    assert not error.permanent
    assert str(error) == (
        f"{use.host}: does not answer; is the address right, IPMI over LAN enabled?"
    )


def test_a_busy_bmc_is_told_apart(use: Use) -> None:
    use.bmc.code = ipmi_bmc.BUSY
    error = use.refused("state")
    assert (str(error), error.permanent) == (f"{use.host}: is busy; it is asked again", False)


@pytest.mark.parametrize(
    "password", ["hush", "#half", "a b", "qu'ote", 'dou"ble', "back\\slash", '\\\\"\\', "x" * 20]
)
def test_every_password_reaches_the_bmc_as_it_is(use: Use, password: str) -> None:
    use.bmc.password = password
    assert use("state", power_pass=password) == "off"


def test_no_secret_is_in_arguments_environment_or_a_file_on_disk(
    use: Use, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use.bmc.password, use.bmc.k_g = "tell-nobody", b"nor-this-one"
    spy = tmp_path / "ipmipower"
    spy.write_text(
        "#!/bin/sh\ntr '\\0' ' ' < /proc/$$/cmdline\ntr '\\0' ' ' < /proc/$$/environ\n"
        "ls -l /proc/$$/fd\n"
        'for word; do case "$word" in --config-file=*) cat "${word#*=}" > '
        f"{tmp_path}/given;; esac; done\n"
    )
    spy.chmod(0o755)
    monkeypatch.setattr(programs, "PATH", f"{tmp_path}:{programs.PATH}")
    monkeypatch.setenv("PATH", programs.PATH)
    ended = asyncio.run(
        programs.run(
            "ipmipower",
            "--stat",
            f"--config-file={programs.SECRET_FILE}",
            secret=ipmi.configuration({"power_pass": "tell-nobody", "k_g": "nor-this-one"}),
            package="x",
        )
    )
    assert "tell-nobody" in (tmp_path / "given").read_text()
    assert "memfd:secret (deleted)" in ended.output
    assert "tell-nobody" not in ended.output
    assert "nor-this-one" not in ended.output


def test_our_bmc_is_believed_by_ipmitool(use: Use) -> None:
    """The judge of the judge: another client, suites 3 and 17."""
    if not Path("/usr/bin/ipmitool").exists():
        pytest.skip("ipmitool is not installed")

    async def ask(suite: str) -> str:
        transport = await listen(use.bmc, use.host, 623)
        words = ["-I", "lanplus", "-H", use.host, "-U", "maas", "-E", "-C", suite, "power", "on"]
        process = await asyncio.create_subprocess_exec(
            "ipmitool",
            *words,
            env={"IPMI_PASSWORD": "hush", "PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 20)
        transport.close()
        return output.decode()

    for suite in ("3", "17"):
        assert asyncio.run(ask(suite)) == "Chassis Power Control: Up/On\n"
    assert (use.bmc.used, use.bmc.power) == ([3, 17], True)


# Its event log has one line: a temperature passed its upper critical limit.
EMULATION = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
sel_enable 0x20 100 0x0a
sel_add 0x20 0x02 0x00 0x00 0x00 0x68 0x20 0x00 0x04 0x01 0x30 0x01 0x59 0x50 0x46
mc_enable 0x20
"""


@pytest.fixture
def ipmi_sim(tmp_path: Path, host: str) -> Iterator[str]:
    """OpenIPMI's simulator: another hand's BMC, suite 3."""
    if not Path("/usr/bin/ipmi_sim").exists():
        pytest.skip("ipmi_sim is not installed (apt-get install openipmi)")
    chassis = tmp_path / "chassis"
    chassis.write_text(
        "#!/bin/sh\nshift\ncase $1 in\n"
        f'get) shift; for k; do case $k in power) echo "power:$(cat {tmp_path}/power)";;'
        f' boot) echo "boot:$(cat {tmp_path}/boot)";; *) exit 1;; esac; done;;\n'
        f"set) shift; while [ $# -ge 2 ]; do echo $2 > {tmp_path}/$1; shift 2; done;;\n"
        "esac\nexit 0\n"
    )
    chassis.chmod(0o755)
    (tmp_path / "power").write_text("0\n")
    (tmp_path / "boot").write_text("default\n")
    (tmp_path / "lan.conf").write_text(
        f'name "bmc"\nstartlan 1\n  addr {host} 623\n  priv_limit admin\n'
        "  allowed_auths_admin none md2 md5 straight\n"
        "  allowed_auths_operator none md2 md5 straight\n"
        "  allowed_auths_user none md2 md5 straight\n"
        "  guid a123456789abcdefa123456789abcdef\nendlan\n"
        f'chassis_control "{chassis} 1"\n'
        'user 2 true "maas" "hush" admin 10 none md2 md5 straight\n'
    )
    (tmp_path / "bmc.emu").write_text(EMULATION)
    process = subprocess.Popen(
        ["ipmi_sim", "-c", "lan.conf", "-f", "bmc.emu", "-s", str(tmp_path), "-n"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        ping = b"\x06\x00\xff\x06\x00\x00\x11\xbe\x80\x00\x00\x00"
        for _ in range(100):
            probe.sendto(ping, (host, 623))
            try:
                probe.recv(100)
                break
            except OSError:
                assert process.poll() is None
        else:
            process.kill()
            pytest.fail("ipmi_sim does not answer")
    yield host
    process.kill()
    process.wait()


def test_openipmi_s_simulator_is_learned_switched_and_told_its_boot_device(
    ipmi_sim: str, tmp_path: Path
) -> None:
    async def use() -> list[Any]:
        given = {"power_address": ipmi_sim, "power_user": "maas", "power_pass": "hush"}
        given |= await ipmi.learn(check("ipmi", given), Known())
        given = check("ipmi", given)
        seen: list[Any] = [given["cipher_suite_id"], await ipmi.state(given)]
        await ipmi.set_boot(given, "pxe")
        await ipmi.on(given)
        seen.append(await ipmi.state(given))
        await ipmi.off(given)
        return [*seen, await ipmi.state(given)]

    assert asyncio.run(use()) == ["3", "off", "on", "off"]
    assert (tmp_path / "boot").read_text() == "pxe\n"


def test_the_log_of_openipmi_s_simulator_is_read(ipmi_sim: str) -> None:
    given = {"power_address": ipmi_sim, "power_user": "maas", "power_pass": "hush"}
    (line,) = asyncio.run(ipmi.log(check("ipmi", given | {"cipher_suite_id": "3"})))
    event = "Temperature: Upper Critical - going high ; Sensor Reading = 50h ; Threshold = 46h"
    assert (line.severity, line.message) == ("Critical", event)
    summary = asyncio.run(ipmi.sum_log(check("ipmi", given | {"cipher_suite_id": "3"})))
    assert (summary.entries, summary.full_percent, summary.newest_critical) == (1, 1, line)
