# SPDX-License-Identifier: Apache-2.0
"""The built-in scripts: files of this package, read once a process, in the order they run."""

from functools import cache
from importlib import resources

from muster.scripts.format import Script, parse

_TYPES = ("commissioning", "testing")


def builtin(script_type: str) -> list[Script]:
    """All built-in scripts of one type ("commissioning" or "testing"), by name."""
    if script_type not in _TYPES:
        raise ValueError(f"script type {script_type!r} must be one of {', '.join(_TYPES)}")
    return list(_read(script_type))


def for_enlist() -> list[Script]:
    """What runs on a machine nobody has accepted: nothing that touches its BMC or its disks."""
    return [
        script
        for script in for_commission()
        if "bmc-config" not in script.tags
        and not script.destructive
        and not script.apply_configured_networking
    ]


def for_commission() -> list[Script]:
    """What runs on an accepted machine unless a person chose otherwise.

    Scripts tagged `noauto`, and those for particular hardware, wait to be selected.
    """
    return [
        script
        for script in builtin("commissioning")
        if "noauto" not in script.tags and not script.for_hardware
    ]


@cache
def _read(script_type: str) -> tuple[Script, ...]:
    folder = resources.files("muster.scripts") / "builtin" / script_type
    if not folder.is_dir():
        return ()
    files = (entry for entry in folder.iterdir() if entry.is_file())
    scripts = (parse(file.read_bytes(), name=file.name) for file in files)
    return tuple(sorted(scripts, key=lambda script: script.name))
