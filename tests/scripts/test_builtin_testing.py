"""Hardware tests against the tools themselves, where this machine has them, and smartctl's JSON."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from muster.agent import smart
from muster.metadata import pack
from muster.scripts import outcome
from muster.scripts.catalogue import builtin
from muster.scripts.format import Script

TESTS = {script.name: script for script in builtin("testing")}


def start(
    script: Script, folder: Path, *words: str, path: str = os.environ["PATH"]
) -> "subprocess.CompletedProcess[bytes]":
    file = folder / script.name
    file.write_bytes(script.source)
    file.chmod(0o755)
    more = {"RESULT_PATH": str(folder / "result.yaml"), "DOWNLOAD_PATH": str(folder),
            "MAAS_BASE_URL": "http://192.0.2.1"}  # fmt: skip
    return subprocess.run([file, *words], capture_output=True, timeout=60, check=False,
                          env={"PATH": path, **more})  # fmt: skip


def result(folder: Path) -> outcome.ResultFile:
    return outcome.read((folder / "result.yaml").read_bytes())


@pytest.mark.parametrize("script", TESTS.values(), ids=TESTS)
def test_it_says_what_it_does_and_its_syntax_is_right(script: Script, tmp_path: Path) -> None:
    assert script.title
    assert script.description
    assert script.timeout > 0
    assert set(script.tags) <= {
        "commissioning", "quick", "standard", "burn-in", "burn-in-destructive", "destructive",
        "internet",
    }  # fmt: skip
    done = subprocess.run(["sh", "-n"], input=script.source, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_only_what_writes_to_disks_is_destructive_and_none_of_that_is_in_a_tier() -> None:
    destructive = {name for name, script in TESTS.items() if script.destructive}
    assert destructive == {"badblocks-destructive", "fio-destructive"}
    for name in destructive:
        assert not {"commissioning", "quick", "standard", "burn-in"} & set(TESTS[name].tags)


@pytest.mark.parametrize("name", ["badblocks", "badblocks-destructive"])
@pytest.mark.skipif(shutil.which("badblocks") is None, reason="badblocks is not installed here")
def test_badblocks_counts_errors_of_each_kind(name: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1024 * 1024))
    done = start(TESTS[name], tmp_path, str(disk))
    assert done.returncode == 0, done.stdout + done.stderr
    none = {"read_errors": 0, "write_errors": 0, "comparison_errors": 0}
    assert result(tmp_path).values == none


def test_badblocks_of_a_disk_that_is_not_there_fails(tmp_path: Path) -> None:
    assert start(TESTS["badblocks"], tmp_path, str(tmp_path / "none")).returncode != 0


def fake(folder: Path, tool: str, body: str) -> str:
    """A folder for PATH in which `tool` says so."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / tool).write_text(f"#!/bin/sh\n{body}\n")
    (tools / tool).chmod(0o755)
    return f"{tools}:{os.environ['PATH']}"


def test_7z_tells_speed_of_one_thread_and_of_all(tmp_path: Path) -> None:
    line = "Avr:      3587    65   5888   3828  |      35303    82   3749   3083"
    path = fake(tmp_path, "7zz", f"echo '{line}'")
    assert start(TESTS["7z"], tmp_path, path=path).returncode == 0
    assert result(tmp_path).values == {
        "compression_ru_mips": 5888,
        "compression_rating_mips": 3828,
        "decompression_ru_mips": 3749,
        "decompression_rating_mips": 3083,
    }


def test_stress_tells_its_rate(tmp_path: Path) -> None:
    body = 'while [ "$1" != --yaml ]; do shift; done; '
    body += 'echo "      bogo-ops-per-second-real-time: 12.5" > "$2"'
    done = start(TESTS["stress-ng-cpu-short"], tmp_path, "5",
                 path=fake(tmp_path, "stress-ng", body))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert result(tmp_path).values == {"rate": 12.5}


def test_fio_tells_speed_and_operations(tmp_path: Path) -> None:
    job = {"error": 0, "read": {"bw_bytes": 2**20 * 10, "iops": 2560.4}}
    path = fake(tmp_path, "fio", f"echo 'fio: note'; echo '{json.dumps({'jobs': [job]})}'")
    done = start(TESTS["fio"], tmp_path, "/dev/null", path=path)
    assert done.returncode == 0, done.stderr
    assert result(tmp_path).values == {
        "random_read": 10.0,
        "random_read_iops": 2560,
        "sequential_read": 10.0,
        "sequential_read_iops": 2560,
    }


def test_fio_that_fails_fails_the_test(tmp_path: Path) -> None:
    path = fake(tmp_path, "fio", "exit 1")
    assert start(TESTS["fio"], tmp_path, "/dev/null", path=path).returncode != 0


ATA = {
    "smart_support": {"available": True},
    "smart_status": {"passed": True},
    "temperature": {"current": 31},
    "power_on_time": {"hours": 812},
    "ata_smart_attributes": {"table": [{"id": 5, "raw": {"value": 2}}]},
    "ata_smart_self_test_log": {"standard": {"table": [
        {"status": {"passed": True, "string": "Completed without error"}}]}},
}  # fmt: skip


def smartctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: dict, status: int = 0) -> None:
    (tmp_path / "told.json").write_text(json.dumps(told))
    monkeypatch.setenv(
        "PATH", fake(tmp_path, "smartctl", f"cat {tmp_path}/told.json; exit {status}")
    )
    monkeypatch.setenv("RESULT_PATH", str(tmp_path / "result.yaml"))
    monkeypatch.setattr(smart, "POLL_S", 0)


@pytest.mark.parametrize(
    ("change", "test", "code", "state"),
    [
        ({}, "validate", 0, "passed"),
        ({}, "short", 0, "passed"),
        ({"smart_status": {"passed": False}}, "validate", 1, "failed"),
        ({"smart_support": {"available": False}}, "validate", 0, "skipped"),
        ({"ata_smart_self_test_log": {"standard": {"table": [
            {"status": {"passed": False, "string": "read failure"}}]}}}, "long", 1, "failed"),
        ({"nvme_self_test_log": {"table": [{"self_test_result": {"value": 7}}]}}, "short", 1,
         "failed"),
        ({"scsi_self_test_0": {"result": {"value": 5, "string": "failed"}}}, "short", 1, "failed"),
    ],
)  # fmt: skip
def test_smart_judges_health_and_self_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict, test: str, code: int, state: str
) -> None:
    smartctl(tmp_path, monkeypatch, ATA | change)
    assert smart.main([test, "/dev/sda"]) == code
    found = result(tmp_path)
    assert found.state == state
    if state != "skipped":
        numbers = {"temperature": 31, "power_on_hours": 812, "reallocated_sectors": 2}
        assert found.values == numbers
        assert set(found.values) <= set(TESTS["smartctl-short"].results)


@pytest.mark.parametrize(("told", "status"), [({}, 2), ({"smartctl": {"messages": []}}, 1)])
def test_a_disk_that_cannot_be_asked_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: dict, status: int
) -> None:
    smartctl(tmp_path, monkeypatch, told, status)
    assert smart.main(["validate", "/dev/vda"]) == 0
    assert result(tmp_path).state == "skipped"


SCAN = {"devices": [
    {"name": "/dev/sda", "type": "scsi", "protocol": "SCSI"},
    {"name": "/dev/bus/2", "info_name": "/dev/bus/2 [megaraid_disk_08]", "type": "megaraid,8"},
    {"name": "/dev/bus/2", "type": "sat+megaraid,9"},
    {"name": "/dev/bus/5", "type": "megaraid,1"},
    {"name": "/dev/sg3", "type": "cciss,0"},
]}  # fmt: skip
RAID = """
case "$*" in
    *--scan-open*) cat {0}/scan.json ;;
    *--test=*) echo "$*" >>{0}/started; echo '{{}}' ;;
    *megaraid,9*) cat {0}/bad.json ;;
    *megaraid,8* | *cciss,0*) cat {0}/good.json ;;
    *) echo '{{"smartctl": {{"messages": [{{"string": "add -d megaraid,N"}}]}}}}'; exit 2 ;;
esac
"""


@pytest.fixture
def raid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two MegaRAID volumes of host 2 and one of a Smart Array, host 4; disk 9 is failing."""
    sys_tree = tmp_path / "sys"
    for block, host in (("sda", 2), ("sdb", 2), ("sdc", 4)):
        real = sys_tree / f"devices/pci0000:00/host{host}/target{host}:0:0/{block}"
        real.mkdir(parents=True)
        (sys_tree / "block" / block).mkdir(parents=True)
        (sys_tree / "block" / block / "device").symlink_to(real)
    (sys_tree / "class/scsi_generic/sg3").mkdir(parents=True)
    (sys_tree / "class/scsi_generic/sg3/device").symlink_to(
        sys_tree / "devices/pci0000:00/host4/target4:0:0/sdc"
    )
    bad = ATA | {"smart_status": {"passed": False}, "temperature": {"current": 55}}
    for name, told in (("scan", SCAN), ("good", ATA), ("bad", bad)):
        (tmp_path / f"{name}.json").write_text(json.dumps(told))
    monkeypatch.setenv("PATH", fake(tmp_path, "smartctl", RAID.format(tmp_path)))
    monkeypatch.setenv("RESULT_PATH", str(tmp_path / "result.yaml"))
    monkeypatch.setattr(smart, "POLL_S", 0)
    monkeypatch.setattr(smart, "SYS", sys_tree)
    return tmp_path


def test_the_disks_behind_a_raid_controller_are_asked_one_by_one(
    raid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smart.main(["short", "/dev/sda"]) == 1
    found = result(raid)
    assert found.state == "failed"
    assert found.values["temperature"] == [31, 55]
    assert found.values["reallocated_sectors"] == [2, 2]
    assert "FAILED: sat+megaraid,9: its own overall health" in capsys.readouterr().out
    started = (raid / "started").read_text().splitlines()
    assert started == [
        "--json --test=short --device megaraid,8 /dev/bus/2",
        "--json --test=short --device sat+megaraid,9 /dev/bus/2",
    ]


def test_a_second_volume_of_the_controller_tests_no_disk_twice(raid: Path) -> None:
    assert smart.main(["short", "/dev/sdb"]) == 0
    assert result(raid).state == "skipped"
    assert not (raid / "started").exists()


def test_a_smart_array_names_its_disks_by_a_generic_device(raid: Path) -> None:
    assert smart.main(["validate", "/dev/sdc"]) == 0
    assert result(raid).values["temperature"] == 31


def test_without_such_a_controller_the_disk_is_skipped_as_before(
    raid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (raid / "scan.json").write_text('{"devices": []}')
    assert smart.main(["validate", "/dev/sda"]) == 0
    assert result(raid).state == "skipped"
    assert "add -d megaraid,N" in capsys.readouterr().out


def test_a_running_self_test_is_seen() -> None:
    ata = {"ata_smart_data": {"self_test": {"status": {"value": 0xF3, "remaining_percent": 30}}}}
    assert smart.progress(ata) == 30
    nvme = {"current_self_test_operation": {"value": 1}, "current_self_test_completion_percent": 40}
    assert smart.progress({"nvme_self_test_log": nvme}) == 60
    assert smart.progress({"scsi_self_test_0": {"result": {"value": 15}}}) == 0
    assert smart.progress({}) is None


def test_a_disk_that_is_no_nvme_skips_the_nvme_test(tmp_path: Path) -> None:
    assert start(TESTS["nvme-self-test"], tmp_path, "/dev/sda").returncode == 0
    assert result(tmp_path).state == "skipped"


@pytest.mark.parametrize("name", [n for n in TESTS if n.endswith("-connectivity")])
def test_a_nic_without_an_address_is_skipped(name: str, tmp_path: Path) -> None:
    path = fake(tmp_path, "ip", "exit 0")
    done = start(TESTS[name], tmp_path, "eth7", "http://x", path=path)
    assert done.returncode == 0, done.stderr
    assert result(tmp_path).state == "skipped"


@pytest.mark.parametrize("source", ["192.0.2.4", "2001:db8::123"])
def test_the_clock_tells_server_stratum_and_offset(source: str, tmp_path: Path) -> None:
    line = f"A9FE,{source},3,1700000000.1,-0.000012,0,0,0,0,0,0,0,0,Normal"
    path = fake(tmp_path, "chronyc", f'[ "$1" = waitsync ] || echo "{line}"')
    assert start(TESTS["ntp"], tmp_path, path=path).returncode == 0
    assert result(tmp_path).values == {"source": source, "stratum": 3, "offset": -0.000012}


def test_smart_runs_from_the_packed_agent(tmp_path: Path) -> None:
    agent = tmp_path / "agent.pyz"
    agent.write_bytes(pack.packed())
    path = fake(tmp_path, "smartctl", "echo '{}'; exit 2")
    done = subprocess.run([sys.executable, "-I", agent, "smart", "validate", "/dev/sda"],
                          capture_output=True, env={"PATH": path})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"skipped: smartctl cannot ask /dev/sda" in done.stdout
