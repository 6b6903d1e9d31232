# SPDX-License-Identifier: Apache-2.0
"""How busy the machine is, from /proc/loadavg."""

import re

from muster.collect.reading import Reader, Root
from muster.wire.devices import Load

_PATH = "/proc/loadavg"
_NUMBER = r"([0-9]{1,9}\.[0-9]{1,9})"
_LINE = re.compile(rf"{_NUMBER} {_NUMBER} {_NUMBER} [0-9]{{1,9}}/([0-9]{{1,9}}) .*")


def probe(root: Root) -> Load:
    """The load section, of 1, 5 and 15 minutes; `Processes` counts threads, as the kernel does."""
    reader = Reader(root)
    text = reader.text(_PATH)
    match = _LINE.fullmatch(text)
    load = Load(errors=reader.complaints)
    if match:
        load.Average1Min, load.Average5Min, load.Average10Min = map(float, match.groups()[:3])
        load.Processes = int(match[4])
    elif text:
        reader.complain(_PATH, f"is not a load average: {text[:40]!r}")
    return load
