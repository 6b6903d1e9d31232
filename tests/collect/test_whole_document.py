import json
import runpy
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
import trees

import muster
from muster.collect import __main__ as command
from muster.collect.document import PROBES, document
from muster.collect.survey import Probe, survey
from muster.wire.hardware import Cpu
from muster.wire.resources import read_document, summary

# Fields that LXD 5.0.2 does not have, or that only a driver can tell.
OURS = {"mounted", "device_fs_uuid", "rotational", "flags", "cluster"}
DRIVER = {
    "auto_negotiation",
    "firmware_version",
    "port_type",
    "supported_modes",
    "supported_ports",
    "transceiver_type",
}
# LXD's defects on this machine, by the last key; README.md of the recording names each.
DEFECTS = {
    "pci_address",
    "rpm",
    "wwn",
    "product",
    "product_id",
    "vendor_id",
    "type",
    "serial",
    "partitions",
    "block_size",
    "total",
}


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    return trees.load("qemu-rich-guest", tmp_path)


def differences(ours: object, theirs: object, path: str) -> set[tuple[str, str]]:
    """Where two documents differ: (path without indexes, last key)."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = (ours.keys() | theirs.keys()) - OURS - DRIVER
        return set().union(
            *(differences(ours.get(k), theirs.get(k), f"{path}.{k}") for k in keys), set()
        )
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = zip(ours, theirs, strict=True)
        return set().union(*(differences(a, b, path) for a, b in pairs), set())
    return set() if ours == theirs else {(path, path.rpartition(".")[2])}


def test_the_rich_guest_reads_as_lxd_reads_it_but_for_named_defects(guest: Path) -> None:
    resources = json.loads(json.dumps(document(guest)["resources"]))
    answer = trees.answer_of_lxd("qemu-rich-guest")
    for told in (resources, answer):
        told["storage"]["disks"].sort(key=lambda disk: disk["id"])
    found = {
        section: differences(resources[section], answer[section], section) for section in answer
    }
    assert found["cpu"] == found["memory"] == found["system"] == set()
    assert {key for _, key in found["network"] | found["storage"]} <= DEFECTS


def test_the_rich_guest_has_none_of_the_defects(guest: Path) -> None:
    resources = json.loads(json.dumps(document(guest)["resources"]))
    disks = {disk["id"]: disk for disk in resources["storage"]["disks"]}
    assert len(disks) == 34
    assert resources["storage"]["total"] == 36
    assert disks["sda"]["partitions"] == []
    assert [part["id"] for part in disks["sdaa"]["partitions"]] == ["sdaa1"]
    assert disks["sda"]["serial"] == "SCSISER01"
    assert disks["sda"]["wwn"] == "naa.5000c50015ea71bb"
    assert disks["nvme0n1"]["type"] == "nvme"
    assert disks["nvme0n1"]["pci_address"] == "0000:00:03.0"
    assert (disks["sdaa"]["rpm"], disks["sdaa"]["rotational"]) == (7200, True)
    assert {disk["rpm"] for disk in disks.values()} == {0, 7200}
    assert (disks["sdad"]["type"], disks["sdad"]["usb_address"]) == ("usb", "2:2")
    assert (disks["sr0"]["type"], disks["sr0"]["size"]) == ("cdrom", 0)
    assert disks["vda"]["rotational"] is False
    cards = {card["ports"][0]["id"]: card for card in resources["network"]["cards"]}
    assert (cards["enp0s8"]["vendor_id"], cards["enp0s8"]["product_id"]) == ("1af4", "1000")
    assert cards["enx525400123403"]["usb_address"] == "1:4"
    assert "pci_address" not in cards["enx525400123403"]


def test_the_document_has_maas_shape_and_an_extra(server: Path) -> None:
    found = json.loads(json.dumps(document(server)))
    assert list(found) == [
        "api_extensions",
        "api_version",
        "environment",
        "resources",
        "networks",
        "extra",
    ]
    assert {"resources", "resources_v2", "api_os", "resources_system", "resources_usb_pci"} <= set(
        found["api_extensions"]
    )
    assert list(found["resources"]) == [
        "cpu",
        "memory",
        "gpu",
        "network",
        "storage",
        "usb",
        "pci",
        "system",
        "load",
        "serial",
    ]
    assert found["resources"]["gpu"]["total"] == 1
    assert found["environment"]["os_version"] == "13"
    assert found["environment"]["server_name"] == "node1"
    assert found["networks"]["lo"]["bond"] is None
    assert found["extra"]["schema"] == "muster.extra/1"
    assert found["extra"]["disk_writes"] == {"sda": 77}
    assert set(found["extra"]["probes"]) == {probe.name for probe in PROBES}
    assert all(probe["ok"] for probe in found["extra"]["probes"].values())
    assert "errors" not in found["resources"]["cpu"]


def test_a_probe_that_fails_leaves_an_empty_section_and_a_reason() -> None:
    def broken(_root: object) -> Cpu:
        raise LookupError("no such machine")

    outcome = survey([Probe("cpu", broken, Cpu)], "/")["cpu"]
    assert not outcome.ok
    assert outcome.section.errors[0].reason == "the probe failed: LookupError('no such machine')"


def test_a_probe_that_hangs_is_given_up_and_named_and_the_others_stand() -> None:
    held, ended = threading.Event(), threading.Event()

    def hanging(_root: object) -> Cpu:
        held.wait(60)
        ended.set()
        return Cpu(total=1)

    probes = [
        Probe("before", lambda _root: Cpu(total=2), Cpu),
        Probe("hanging", hanging, Cpu),
        Probe("after", lambda _root: Cpu(total=3), Cpu),
    ]
    outcomes = survey(probes, "/", 0.05)
    held.set()
    assert ended.wait(10)
    assert list(outcomes) == ["before", "hanging", "after"]
    assert (outcomes["before"].section, outcomes["after"].section) == (Cpu(total=2), Cpu(total=3))
    outcome = outcomes["hanging"]
    assert (outcome.ok, outcome.section) == (False, Cpu(errors=outcome.section.errors))
    assert outcome.section.errors[0].reason == "the probe did not end within 0.05 s"
    assert 50 <= outcome.ms < 10_000


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_probe_that_ends_its_thread_is_named_and_the_others_stand() -> None:
    def leaving(_root: object) -> Cpu:
        raise SystemExit

    probes = [Probe("leaving", leaving, Cpu), Probe("after", lambda _root: Cpu(total=3), Cpu)]
    outcomes = survey(probes, "/", 30)
    assert outcomes["leaving"].section.errors[0].reason == "the probe ended without a word"
    assert outcomes["after"].section == Cpu(total=3)


def test_an_empty_tree_is_a_document(tmp_path: Path) -> None:
    found = document(tmp_path)
    read = read_document(json.dumps(found).encode())
    assert summary(read).cpu_count == 0
    assert found["extra"]["disk_writes"] == {}  # type: ignore[index]


def test_this_machine_is_read_whole() -> None:
    read = read_document(json.dumps(document("/")).encode())
    assert summary(read).cpu_count >= 1
    assert summary(read).memory_bytes > 0
    assert read.environment["kernel"] == "Linux"


def test_the_collector_runs_from_a_zip_isolated_and_without_site(
    server: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = Path(muster.__file__).parent
    pack = tmp_path_factory.mktemp("pack") / "agent.zip"
    with zipfile.ZipFile(pack, "w") as archive:
        archive.write(source / "__init__.py", "muster/__init__.py")
        for room in ("collect", "wire"):
            for file in (source / room).glob("*.py"):
                archive.write(file, f"muster/{room}/{file.name}")
        archive.writestr(
            "__main__.py",
            "from muster.collect.__main__ import main; import sys\nsys.exit(main(sys.argv[1:]))\n",
        )
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(pack), "--root", str(server)],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == b""
    assert summary(read_document(done.stdout)).cpu_count == 4


def test_the_command_prints_one_json_document(
    server: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([f"--root={server}"]) == 0
    assert json.loads(capsys.readouterr().out)["api_version"] == "1.0"
    assert command.main([]) == 0
    assert json.loads(capsys.readouterr().out)["environment"]["kernel"] == "Linux"


def test_the_module_is_a_program(
    server: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "muster.collect.__main__")
    monkeypatch.setattr(sys, "argv", ["muster.collect", "--root", str(server)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("muster.collect", run_name="__main__")
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["resources"]["cpu"]["total"] == 4


@pytest.mark.parametrize("argv", [["--wrong"], ["--root"], ["--root", "/no/such/folder"]])
def test_the_command_refuses_what_it_does_not_understand(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(argv) == 2
    assert capsys.readouterr().err.startswith("collect: ")
