# SPDX-License-Identifier: Apache-2.0
"""`agent.pyz smart validate|short|long|conveyance DEVICE`: what a disk says of itself.

The built-in tests smartctl-* and nvme-self-test are this, by smartmontools' JSON (smartctl(8),
since 7.0). Numbers go to $RESULT_PATH; a disk without SMART is skipped.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

POLL_S = 5.0
_RUNNING_ATA = 15
"""High nibble of the self-test execution status byte (ATA8-ACS, 7.58.6.9)."""
_ABSENT = 0x02 | 0x01
"""smartctl's exit status bits: the command line is wrong, or the device cannot be opened."""

Json = dict[str, Any]


class NoSmart(Exception):
    """This disk cannot do that; the message says what it cannot."""


def main(argv: list[str]) -> int:
    """0 when the disk is well or the test is none for it, 1 when it fails."""
    test, device = argv
    try:
        before = ask(device, "--all")
        if not before.get("smart_support", {}).get("available", "smart_status" in before):
            raise NoSmart(f"{device} has no SMART")
        wrong = [] if test == "validate" else run(device, test)
        after = ask(device, "--all")
    except NoSmart as error:
        print(f"skipped: {error}")
        write("skipped", {})
        return 0
    found = numbers(after)
    if after.get("smart_status", {}).get("passed") is False:
        wrong.insert(0, "its own overall health assessment is: failed")
    for name, value in found.items():
        print(f"{name}: {value}")
    for line in wrong:
        print(f"FAILED: {line}")
    write("failed" if wrong else "passed", found)
    return 1 if wrong else 0


def ask(device: str, *words: str) -> Json:
    """smartctl's answer; raises NoSmart when it gives none."""
    done = subprocess.run(
        ["smartctl", "--json", *words, device], capture_output=True, check=False, timeout=120
    )
    try:
        told = json.loads(done.stdout)
    except ValueError as error:
        raise NoSmart(f"smartctl says nothing that can be read: {error}") from error
    if not isinstance(told, dict) or done.returncode & _ABSENT:
        raise NoSmart(f"smartctl cannot ask {device}: {_messages(told)}")
    return told


def _messages(told: object) -> str:
    messages = told.get("smartctl", {}).get("messages", []) if isinstance(told, dict) else []
    return "; ".join(str(message.get("string", "")) for message in messages) or "no reason given"


def run(device: str, test: str) -> list[str]:
    """Start a self-test and wait for its end; returns what it found wrong."""
    started = subprocess.run(
        ["smartctl", "--json", f"--test={test}", device], capture_output=True, check=False
    )
    if started.returncode & 0x07:
        try:
            told = json.loads(started.stdout)
        except ValueError:
            told = {}
        raise NoSmart(f"the {test} self-test cannot be started: {_messages(told)}")
    while True:
        time.sleep(POLL_S)
        left = progress(ask(device, "--all"))
        if left is None:
            return verdict(ask(device, "--all"))
        print(f"{left} % left", flush=True)


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


def write(status: str, found: dict[str, int]) -> None:
    """The result file; JSON is YAML."""
    path = os.environ.get("RESULT_PATH")
    if path:
        Path(path).write_text(json.dumps({"status": status, "results": found}) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
