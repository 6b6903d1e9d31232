# SPDX-License-Identifier: Apache-2.0
"""`agent.pyz smart validate|short|long|conveyance DEVICE`: what a disk says of itself.

The built-in tests smartctl-* and nvme-self-test are this, by smartmontools' JSON (smartctl(8),
since 7.0). Numbers go to $RESULT_PATH; a disk without SMART is skipped. Behind a RAID controller
(MegaRAID, Smart Array, Adaptec, 3ware, Areca) its physical disks are asked instead, all at once.
"""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL_S = 5.0
_RUNNING_ATA = 15
"""High nibble of the self-test execution status byte (ATA8-ACS, 7.58.6.9)."""
_ABSENT = 0x02 | 0x01
"""smartctl's exit status bits: the command line is wrong, or the device cannot be opened."""

SYS = Path("/sys")
_HOST = re.compile(r"/host(\d+)/")
_HIDDEN = re.compile(r"(?:^|\+)(?:megaraid|cciss|aacraid|3ware|areca|sssraid),")
"""smartctl(8), -d: the types that name a disk behind a controller; "sat+megaraid,8" too."""

Json = dict[str, Any]


class NoSmart(Exception):
    """This disk cannot do that; the message says what it cannot."""


@dataclass(frozen=True)
class Disk:
    """One disk to smartctl: its words for it; `name` for people."""

    words: tuple[str, ...]
    name: str


def main(argv: list[str]) -> int:
    """0 when the disk is well or the test is none for it, 1 when it fails."""
    test, device = argv
    try:
        disks = disks_of(device)
        wrong = [] if test == "validate" else run(disks, test)
        after = {disk.name: ask(disk, "--all") for disk in disks}
    except NoSmart as error:
        print(f"skipped: {error}")
        write("skipped", {})
        return 0
    wrong = [
        f"{name}: its own overall health assessment is: failed"
        for name, told in after.items()
        if told.get("smart_status", {}).get("passed") is False
    ] + wrong
    found = together([numbers(told) for told in after.values()])
    for name, told in after.items():
        for key, value in numbers(told).items():
            print(f"{name}: {key}: {value}")
    for line in wrong:
        print(f"FAILED: {line}")
    write("failed" if wrong else "passed", found)
    return 1 if wrong else 0


def together(found: list[dict[str, int]]) -> dict[str, int | list[int]]:
    """A number of one disk is itself, of several a list in their order."""
    if len(found) == 1:
        return dict(found[0])
    names = dict.fromkeys(name for one in found for name in one)
    return {name: [one[name] for one in found if name in one] for name in names}


def disks_of(device: str) -> list[Disk]:
    """The disk itself, or what a RAID controller hides behind it; raises NoSmart."""
    disk = Disk((device,), device)
    try:
        if has_smart(ask(disk, "--all")):
            return [disk]
        why = NoSmart(f"{device} has no SMART")
    except NoSmart as error:
        why = error
    if hidden := hidden_behind(device):
        return hidden
    raise why


def has_smart(told: Json) -> bool:
    """What the disk says; old ones say their health only."""
    return bool(told.get("smart_support", {}).get("available", "smart_status" in told))


def hidden_behind(device: str) -> list[Disk]:
    """The physical disks of the RAID controller that shows this volume, by `smartctl --scan-open`.

    Raises NoSmart for a second volume of the same controller: its disks are the first one's.
    """
    host = host_of(Path(device).name)
    if not host:
        return []
    done = subprocess.run(
        ["smartctl", "--json", "--scan-open"], capture_output=True, check=False, timeout=120
    )
    try:
        devices = json.loads(done.stdout).get("devices", [])
    except (ValueError, AttributeError):
        return []
    found = [
        Disk(("--device", str(told["type"]), str(told["name"])), str(told["type"]))
        for told in devices
        if _HIDDEN.search(str(told.get("type", ""))) and shows(str(told.get("name")), host)
    ]
    if found and (first := first_volume(Path(device).name, host)):
        raise NoSmart(f"{device}: the disks of its RAID controller are tested with /dev/{first}")
    return found


def host_of(block: str) -> str:
    """The number of the SCSI host of a block device, or ""."""
    found = _HOST.search(os.path.realpath(SYS / "block" / block / "device"))
    return found[1] if found else ""


def shows(name: str, host: str) -> bool:
    """/dev/bus/0 is SCSI host 0; /dev/sg0 and /dev/sda have theirs in sysfs."""
    if name.startswith("/dev/bus/"):
        return name == f"/dev/bus/{host}"
    short = Path(name).name
    generic = os.path.realpath(SYS / "class/scsi_generic" / short / "device")
    found = _HOST.search(generic)
    return host in (host_of(short), found[1] if found else "")


def first_volume(block: str, host: str) -> str:
    """An earlier volume of this host without SMART of its own, or ""."""
    names = sorted((path.name for path in (SYS / "block").iterdir()), key=lambda n: (len(n), n))
    for name in names[: names.index(block)] if block in names else []:
        if host_of(name) != host:
            continue
        try:
            if has_smart(ask(Disk((f"/dev/{name}",), name), "--info")):
                continue
        except NoSmart:
            pass
        return name
    return ""


def ask(disk: Disk, *words: str) -> Json:
    """smartctl's answer; raises NoSmart when it gives none."""
    done = subprocess.run(
        ["smartctl", "--json", *words, *disk.words], capture_output=True, check=False, timeout=120
    )
    try:
        told = json.loads(done.stdout)
    except ValueError as error:
        raise NoSmart(f"smartctl says nothing that can be read: {error}") from error
    if not isinstance(told, dict) or done.returncode & _ABSENT:
        raise NoSmart(f"smartctl cannot ask {disk.name}: {_messages(told)}")
    return told


def _messages(told: object) -> str:
    messages = told.get("smartctl", {}).get("messages", []) if isinstance(told, dict) else []
    return "; ".join(str(message.get("string", "")) for message in messages) or "no reason given"


def run(disks: list[Disk], test: str) -> list[str]:
    """Start a self-test on all and wait for their end; returns what they found wrong."""
    for disk in disks:
        _begin(disk, test)
    waiting = list(disks)
    while waiting:
        time.sleep(POLL_S)
        left = {disk: progress(ask(disk, "--all")) for disk in waiting}
        for disk, share in left.items():
            if share is None:
                waiting.remove(disk)
            else:
                print(f"{disk.name}: {share} % left", flush=True)
    return [f"{disk.name}: {why}" for disk in disks for why in verdict(ask(disk, "--all"))]


def _begin(disk: Disk, test: str) -> None:
    started = subprocess.run(
        ["smartctl", "--json", f"--test={test}", *disk.words], capture_output=True, check=False
    )
    if started.returncode & 0x07:
        try:
            told = json.loads(started.stdout)
        except ValueError:
            told = {}
        raise NoSmart(f"the {test} self-test of {disk.name} cannot start: {_messages(told)}")


def progress(told: Json) -> int | None:
    """Per cent that are left of a running self-test, None when none runs."""
    nvme = told.get("nvme_self_test_log", {})
    if nvme.get("current_self_test_operation", {}).get("value", 0):
        return 100 - int(nvme.get("current_self_test_completion_percent", 0))
    status = told.get("ata_smart_data", {}).get("self_test", {}).get("status", {})
    if status.get("value", 0) >> 4 == _RUNNING_ATA:
        return int(status.get("remaining_percent", 0))
    scsi = told.get("scsi_self_test_0", {}).get("result", {})
    return 0 if scsi.get("value") == _RUNNING_ATA else None


def verdict(told: Json) -> list[str]:
    """What the newest self-test found wrong."""
    ata = told.get("ata_smart_self_test_log", {}).get("standard", {}).get("table", [])
    if ata and ata[0].get("status", {}).get("passed") is False:
        return [f"self-test: {ata[0]['status'].get('string', 'failed')}"]
    nvme = told.get("nvme_self_test_log", {}).get("table", [])
    if nvme and nvme[0].get("self_test_result", {}).get("value", 0) not in (0, 1, 2):
        return [f"self-test: {nvme[0]['self_test_result'].get('string', 'failed')}"]
    scsi = told.get("scsi_self_test_0", {}).get("result", {})
    if scsi.get("value", 0) in range(3, 8):
        return [f"self-test: {scsi.get('string', 'failed')}"]
    return []


def numbers(told: Json) -> dict[str, int]:
    """The numbers that every kind of disk has under another name."""
    nvme = told.get("nvme_smart_health_information_log", {})
    found = {
        "temperature": told.get("temperature", {}).get("current"),
        "power_on_hours": told.get("power_on_time", {}).get("hours"),
        "percentage_used": nvme.get("percentage_used"),
        "available_spare": nvme.get("available_spare"),
        "media_errors": nvme.get("media_errors"),
        "grown_defects": told.get("scsi_grown_defect_list"),
    }
    names = {5: "reallocated_sectors", 197: "pending_sectors", 198: "uncorrectable_sectors"}
    for row in told.get("ata_smart_attributes", {}).get("table", []):
        if row.get("id") in names:
            found[names[row["id"]]] = row.get("raw", {}).get("value")
    return {name: value for name, value in found.items() if isinstance(value, int)}


def write(status: str, found: dict[str, int | list[int]]) -> None:
    """The result file; JSON is YAML."""
    path = os.environ.get("RESULT_PATH")
    if path:
        Path(path).write_text(json.dumps({"status": status, "results": found}) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
