# SPDX-License-Identifier: Apache-2.0
"""What a script printed, as HTML that only has our own classes: colours stay, nothing else acts."""

import re
from html import escape

_ESCAPE = re.compile(
    r"\x1b\[(?P<sgr>[0-9;:]*)m"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences (ECMA-48 section 5.4)
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # strings: titles, hyperlinks
    r"|\x1b[ -/]*[0-~]?"
)
_HIDDEN = re.compile(
    # Controls but tab and newline; what turns the direction of text or takes no room.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_PLAIN = {"bold": "", "fg": "", "bg": ""}


def visible(text: str) -> str:
    """One line of text with what cannot be seen written out; not yet HTML."""
    return _HIDDEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def html(text: str) -> str:
    """Terminal output as escaped HTML; colours become classes a-fg1 ... a-bg15 and a-bold."""
    return "\n".join(_lines(text))


def _lines(text: str) -> list[str]:
    style = dict(_PLAIN)
    return [_line(line, style) for line in text.split("\n")]


def _line(line: str, style: dict[str, str]) -> str:
    # A progress bar is what it was at last.
    line = line.rstrip("\r").rpartition("\r")[2]
    parts: list[str] = []
    place = 0
    for found in _ESCAPE.finditer(line):
        parts.append(_styled(line[place : found.start()], style))
        place = found.end()
        if found["sgr"] is not None:
            _apply(found["sgr"], style)
    parts.append(_styled(line[place:], style))
    return "".join(parts)


def _styled(text: str, style: dict[str, str]) -> str:
    if not text:
        return ""
    safe = escape(visible(text))
    classes = " ".join(name for name in style.values() if name)
    return f'<span class="{classes}">{safe}</span>' if classes else safe


def _apply(codes: str, style: dict[str, str]) -> None:
    numbers = [int(code) if code.isdigit() else 0 for code in re.split("[;:]", codes)][:32]
    while numbers:
        code = numbers.pop(0)
        if code == 0:
            style.update(_PLAIN)
        elif code in (1, 22):
            style["bold"] = "a-bold" if code == 1 else ""
        elif code in (38, 48):
            side = "fg" if code == 38 else "bg"
            style[side] = f"a-{side}{_of_many(numbers)}"
        elif code in (39, 49):
            style["fg" if code == 39 else "bg"] = ""
        else:
            _one_of_16(code, style)


def _one_of_16(code: int, style: dict[str, str]) -> None:
    for first, side, bright in ((30, "fg", 0), (40, "bg", 0), (90, "fg", 8), (100, "bg", 8)):
        if first <= code < first + 8:
            style[side] = f"a-{side}{code - first + bright}"


def _of_many(numbers: list[int]) -> int:
    """The nearest of 16 to what follows 38 or 48; takes it from `numbers`."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 5 and numbers:
        number = min(numbers.pop(0), 255)
        if number < 16:
            return number
        if number >= 232:
            return (0, 8, 7, 15)[(number - 232) // 6]
        number -= 16
        return _nearest(number // 36 * 51, number // 6 % 6 * 51, number % 6 * 51)
    if kind == 2 and len(numbers) >= 3:
        red, green, blue = numbers[:3]
        del numbers[:3]
        return _nearest(red, green, blue)
    return 7


def _nearest(red: int, green: int, blue: int) -> int:
    least = max(red, green, blue) // 2
    bits = (red > least) | (green > least) << 1 | (blue > least) << 2
    return bits + (8 if max(red, green, blue) > 170 else 0)
