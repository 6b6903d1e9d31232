# SPDX-License-Identifier: Apache-2.0
"""The programs that ipmi_sim calls: `hands.py MACHINE` on its chassis, `hands.py FILE` on its LAN.

Then `get NAME ...`, `set NAME VALUE ...` or `check ...` (ipmi_sim_cmd(5), ipmi_lan(5)). Run alone
and without site-packages, as every power status over LAN waits for it; the standard library only.
"""

import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_DOOR = ("127.0.0.1", 8970)
_LIMIT_S = 10
_POWER = {"0": "off", "1": "on"}
# What ipmi_sim calls the boot devices that a lab machine has; any other is the firmware's choice.
_DEVICES = {"pxe": "pxe", "default": "none", "none": "none", "disk": "disk", "hd": "disk"}


def chassis(machine: str, verb: str, words: list[str]) -> Iterator[str]:
    """Yields the answers' lines."""
    path = f"/machines/{machine}"
    if verb == "get":
        told = ask("GET", path)
        facts = {
            "power": str(int(told["status"] == "running")),
            "boot": told["next_boot"] or "default",
        }
        yield from (f"{name}:{facts.get(name, '0')}" for name in words)
    for name, value in _pairs(words) if verb == "set" else ():
        if name == "power":
            ask("POST", f"{path}/press/{_POWER[value]}")
        elif name == "boot":
            ask("POST", f"{path}/boot/{_DEVICES.get(value, 'none')}")
        elif name == "reset":
            ask("POST", f"{path}/press/reset")
        elif name in ("shutdown", "graceful_shutdown"):
            ask("POST", f"{path}/press/soft")


def lan(file: Path, verb: str, words: list[str]) -> Iterator[str]:
    """What the BMC's LAN parameters are; what is set is kept in the file."""
    known = json.loads(file.read_text())
    if verb == "get":
        yield from (f"{name}:{known.get(name, '')}" for name in words)
    elif verb == "set":
        file.write_text(json.dumps(known | dict(_pairs(words))))


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    return zip(words[::2], words[1::2], strict=False)


def ask(method: str, path: str) -> Any:
    """One request to the supervisor."""
    connection = http.client.HTTPConnection(*_DOOR, timeout=_LIMIT_S)
    connection.request(method, path)
    answer = connection.getresponse()
    document = json.loads(answer.read())
    if answer.status >= 400:
        raise OSError(document["error"])
    return document


def main(argv: list[str]) -> int:
    """0, or 1 with the reason on standard error, which ipmi_sim shows to nobody."""
    subject, verb, *words = argv
    try:
        work = lan(Path(subject), verb, words) if "/" in subject else chassis(subject, verb, words)
        for line in work:
            print(line)
    except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
        print(f"{subject} {verb}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
