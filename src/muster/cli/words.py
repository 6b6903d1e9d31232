# SPDX-License-Identifier: Apache-2.0
"""Figures as people write them. What comes from a machine is cleaned of control characters."""

from typing import Any

from rich.text import Text

STATE_COLOURS = {
    "New": "cyan",
    "Ready": "green",
    "Commissioning": "yellow",
    "Testing": "yellow",
    "Broken": "red",
    "Failed commissioning": "red",
    "Failed testing": "red",
    "passed": "green",
    "done": "green",
    "failed": "red",
    "timed_out": "red",
    "lost": "red",
    "aborted": "red",
    "running": "yellow",
}


def size(number: int | float | None) -> str:
    """Bytes with a binary unit: 4294967296 -> 4 GiB."""
    value = float(number or 0)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.4g} {unit}"


def log_summary(log: dict[str, Any]) -> str:
    """A BMC's event log, as `log` of GET /machines/NAME/power has it, in one line."""
    if log["entries"] < 0:
        return f"never read: {log['error']}" if log["error"] else "not read yet"
    full = "" if log["full_percent"] is None else f", {log['full_percent']} % full"
    worst = log["newest_critical"]
    critical = (
        f"newest critical one {worst['at']}: {worst['message']}" if worst else "none critical"
    )
    stale = f"; cannot be read now: {log['error']}" if log["error"] else ""
    return f"{log['entries']} entries{full}, {critical}{stale}"


def plain(text: object) -> str:
    """Text of a machine or server, safe for a terminal: no escapes, no direction tricks."""
    return "".join(c if c.isprintable() else "\ufffd" for c in str(text))


def clean(text: object) -> Text:
    """The same for rich, which takes no markup from it."""
    return Text(plain(text))


def state(word: str) -> Text:
    """A state in its colour."""
    return Text(word.replace("_", " "), style=STATE_COLOURS.get(word, ""))
