import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import muster
from muster.lifecycle.readings import READERS
from muster.scripts import catalogue
from muster.scripts.catalogue import builtin, for_commission, for_enlist
from muster.scripts.format import parse
from muster.wire.resources import read_document

NAMES = [
    "00-maas-00-support-info",
    "00-maas-01-lshw",
    "00-maas-02-virtuality",
    "00-maas-03-install-lldpd",
    "00-maas-04-list-modaliases",
    "00-maas-05-dhcp-unconfigured-ifaces",
    "00-maas-06-get-fruid-api-data",
    "00-maas-08-serial-ports",
    "30-maas-01-bmc-config",
    "40-maas-01-network-interfaces",
    "50-maas-01-commissioning",
    "99-maas-01-capture-lldp",
    "99-maas-05-kernel-cmdline",
]


TESTS = """
7z badblocks badblocks-destructive fio fio-destructive gateway-connectivity internet-connectivity
memtester ntp nvme-self-test server-connectivity smartctl-conveyance smartctl-long smartctl-short
smartctl-validate stress-ng-cpu-long stress-ng-cpu-short stress-ng-memory-long
stress-ng-memory-short
""".split()


def start(name: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a built-in as the agent does: from a file of its own, executable."""
    (script,) = (script for script in builtin("commissioning") if script.name == name)
    file = folder / name
    file.write_bytes(script.source)
    file.chmod(0o755)
    return subprocess.run(
        [file],
        capture_output=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )


def test_the_built_in_scripts_come_in_the_order_they_run() -> None:
    assert [script.name for script in builtin("commissioning")] == NAMES
    assert [script.name for script in builtin("testing")] == TESTS
    for script in builtin("commissioning"):
        assert script.script_type == "commissioning"
        assert script.title
        assert script.description
        assert 0 < script.timeout <= 300


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="'release' must be one of commissioning, testing"):
        builtin("release")


def test_a_list_given_away_cannot_change_the_catalogue() -> None:
    builtin("commissioning").clear()
    assert [script.name for script in builtin("commissioning")] == NAMES


def test_enlistment_runs_nothing_that_touches_bmc_or_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    head = "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: {}\n# {}\n"
    head += "# --- End MAAS 1.0 script metadata ---\n"
    fields = {
        "plain": "title: x",
        "bmc": "tags: bmc-config",
        "wipe": "destructive: true",
        "net": "apply_configured_networking: true",
        "later": "tags: noauto",
        "raid": "for_hardware: 'pci:1000:0016'",
    }
    scripts = tuple(parse(head.format(name, line).encode()) for name, line in fields.items())
    monkeypatch.setattr(catalogue, "_read", lambda _type: scripts)
    assert [script.name for script in for_enlist()] == ["plain"]
    assert [script.name for script in for_commission()] == ["plain", "bmc", "wipe", "net"]


@pytest.mark.parametrize("name", NAMES)
def test_its_syntax_is_right_for_every_interpreter(name: str, tmp_path: Path) -> None:
    (script,) = (script for script in builtin("commissioning") if script.name == name)
    if b"python3" in script.source.splitlines()[0]:
        compile(script.source, name, "exec")
        return
    file = tmp_path / name
    file.write_bytes(script.source)
    for shell in filter(shutil.which, ("sh", "bash", "dash", "busybox")):
        command = [shell, "sh", "-n"] if shell == "busybox" else [shell, "-n"]
        done = subprocess.run([*command, file], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_support_info_passes_though_its_tools_are_missing(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "cat", "timeout", "uname"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    done = start("00-maas-00-support-info", tmp_path, PATH=str(tools))
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"-----BEGIN KERNEL-----\nLinux" in done.stdout
    assert b"(lspci is not installed)" in done.stdout
    assert done.stdout.count(b"-----BEGIN ") == done.stdout.count(b"-----END ")


def test_the_kernel_command_line_is_printed_as_it_is(tmp_path: Path) -> None:
    done = start("99-maas-05-kernel-cmdline", tmp_path)
    assert (done.returncode, done.stdout) == (0, Path("/proc/cmdline").read_bytes())


def test_commissioning_prints_the_document_of_the_packed_collector(tmp_path: Path) -> None:
    source = Path(muster.__file__).parent
    agent = tmp_path / "agent.zip"
    with zipfile.ZipFile(agent, "w") as archive:
        archive.write(source / "__init__.py", "muster/__init__.py")
        for room in ("collect", "wire"):
            for file in (source / room).glob("*.py"):
                archive.write(file, f"muster/{room}/{file.name}")
        archive.writestr(
            "__main__.py",
            "import sys\nfrom muster.collect.__main__ import main\nsys.exit(main(sys.argv[2:]))\n",
        )
    done = start("50-maas-01-commissioning", tmp_path, MUSTER_AGENT=str(agent))
    assert (done.returncode, done.stderr) == (0, b"")
    assert read_document(done.stdout).environment["server_name"] == os.uname().nodename
    assert json.loads(done.stdout)["extra"]["schema"] == "muster.extra/1"


def test_commissioning_without_an_agent_says_what_is_missing(tmp_path: Path) -> None:
    done = start("50-maas-01-commissioning", tmp_path)
    assert done.returncode != 0
    assert b"MUSTER_AGENT" in done.stderr


@pytest.mark.skipif(shutil.which("lshw") is None, reason="lshw is not installed here")
def test_lshw_prints_xml(tmp_path: Path) -> None:
    done = start("00-maas-01-lshw", tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith(b"<?xml")


def test_the_document_is_left_for_later_scripts(tmp_path: Path) -> None:
    agent = tmp_path / "agent.zip"
    with zipfile.ZipFile(agent, "w") as archive:
        archive.writestr("__main__.py", "print('{}')")
    file = tmp_path / "resources.json"
    words = {"MUSTER_AGENT": str(agent), "MAAS_RESOURCES_FILE": str(file)}
    done = start("50-maas-01-commissioning", tmp_path, **words)
    assert (done.returncode, done.stdout, file.read_text()) == (0, b"{}\n", "{}\n")


def test_a_collector_that_fails_makes_commissioning_fail(tmp_path: Path) -> None:
    agent = tmp_path / "agent.zip"
    with zipfile.ZipFile(agent, "w") as archive:
        archive.writestr("__main__.py", "raise SystemExit(3)")
    assert start("50-maas-01-commissioning", tmp_path, MUSTER_AGENT=str(agent)).returncode == 3


def test_what_only_reads_this_machine_can_be_read_back(tmp_path: Path) -> None:
    for name in (
        "00-maas-02-virtuality",
        "00-maas-04-list-modaliases",
        "00-maas-06-get-fruid-api-data",
        "00-maas-08-serial-ports",
        "40-maas-01-network-interfaces",
    ):
        done = start(name, tmp_path, RESULT_PATH=str(tmp_path / "result.yaml"))
        assert done.returncode == 0, (name, done.stderr)
        READERS[name][1](done.stdout)
    assert (tmp_path / "result.yaml").read_text() == "status: skipped\n"


def test_the_image_starts_lldpd_with_the_words_that_the_script_looks_for() -> None:
    (script,) = (s for s in builtin("commissioning") if s.name == "00-maas-03-install-lldpd")
    words = re.search(r"^words='(.+)'$", script.source.decode(), re.MULTILINE)
    assert words
    customize = Path(muster.__file__).parent / "images" / "inside" / "customize.py"
    assert f"'{words[1]}\\n'" in customize.read_text()


def test_the_documentation_tells_every_test_and_its_tiers() -> None:
    docs = Path(muster.__file__).parents[2] / "docs" / "scripts.md"
    rows = [line.split("|") for line in docs.read_text().splitlines() if line.startswith("| ")]
    told = {name.strip(): row[2] for row in rows for name in row[1].split(",")}
    for script in builtin("testing"):
        for tier in {"commissioning", "quick", "standard", "burn-in"} & set(script.tags):
            assert tier in told[script.name], script.name
        for name, about in script.parameters.items():
            assert about["type"] in ("storage", "interface") or name in docs.read_text()
