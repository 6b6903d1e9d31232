# SPDX-License-Identifier: Apache-2.0
"""What smartctl tells of disks, several asked at once, with one limit for all."""

import json

from muster.collect.reading import Reader
from muster.collect.running import outputs, which
from muster.wire.peripherals import Health

_SECONDS = 15.0
# SMART attributes of ATA disks that all makers mean alike.
_REALLOCATED, _PENDING = 5, 197


def ask(reader: Reader, disks: list[list[str]]) -> list[object]:
    """The JSON for each disk, given as smartctl's last arguments; None where it said nothing."""
    return _told(reader, [["-j", "-i", "-H", "-A", *disk] for disk in disks])


def scan(reader: Reader) -> object:
    """The devices that smartctl finds and can open."""
    return next(iter(_told(reader, [["--scan-open", "-j"]])), None)


def _told(reader: Reader, questions: list[list[str]]) -> list[object]:
    program = which("smartctl")
    if not program or not questions:
        return [None] * len(questions)
    found: list[object] = []
    answers = outputs([[program, *question] for question in questions], _SECONDS)
    for question, output in zip(questions, answers, strict=True):
        try:
            if isinstance(output, Exception):
                raise ValueError(str(output))
            found.append(json.loads(output))
        except ValueError as error:
            reader.complain(f"smartctl {question[-1]}", str(error)[:200])
            found.append(None)
    return found


def fill(told: object, disk: Health) -> None:
    """Put the health that `smartctl -j` told into `disk`; what is missing stays unknown."""
    passed = inside(told, "smart_status", "passed")
    if not isinstance(passed, bool):
        return
    disk.source, disk.passed = "smartctl", passed
    celsius = count(told, "temperature", "current")
    disk.temperature = disk.temperature if celsius is None else float(celsius)
    disk.power_on_hours = count(told, "power_on_time", "hours")
    disk.power_cycles = count(told, "power_cycle_count")
    disk.media_errors = count(told, "scsi_error_counter_log", "read", "total_uncorrected_errors")
    disk.percentage_used = count(told, "scsi_percentage_used_endurance_indicator")
    disk.reallocated_sectors = count(told, "scsi_grown_defect_list")
    table = inside(told, "ata_smart_attributes", "table")
    for row in table if isinstance(table, list) else []:
        number, value = count(row, "id"), count(row, "raw", "value")
        if number == _REALLOCATED:
            disk.reallocated_sectors = value
        elif number == _PENDING:
            disk.pending_sectors = value


def inside(told: object, *keys: str) -> object:
    """What is under these keys, one below the other; None where there is none."""
    for key in keys:
        told = told.get(key) if isinstance(told, dict) else None
    return told


def count(told: object, *keys: str) -> int | None:
    """An unsigned number of at most 63 bits."""
    number = inside(told, *keys)
    good = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 63
    return number if good and isinstance(number, int) else None


def text(told: object, *keys: str) -> str:
    """A text of at most 200 characters, "" if there is none."""
    value = inside(told, *keys)
    return value.strip()[:200] if isinstance(value, str) else ""
