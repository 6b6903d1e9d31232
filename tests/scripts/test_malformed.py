"""Scripts that are refused when they arrive: each with the line and the reason."""

import pytest

from muster.scripts import format as script_format
from muster.scripts.format import ScriptError

START = "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n"
END = "# --- End MAAS 1.0 script metadata ---\nexit 0\n"


def block(text: str) -> bytes:
    """The first line of `text` is line 3 of the script."""
    return (START + "".join(f"# {line}\n" for line in text.splitlines()) + END).encode()


P = "name: x\nparameters:\n"
WHOLE: list[tuple[bytes, int, str]] = [
    (b"", 1, 'must start with "#!/"'),
    (b"echo hello\n", 1, 'must start with "#!/"'),
    (b"\x7fELF\x02\x01", 1, 'must start with "#!/"'),
    (b"#!/bin/sh\n", 1, "is missing"),
    ((START + "# name: x\n").encode(), 2, "starts here and is not ended"),
    (("#!/bin/sh\n" + END).encode(), 2, "ends before it starts"),
    ((START + "# name: x\ntitle: y\n" + END).encode(), 4, 'has a line without "#"'),
    ((START.replace("1.0", "2.0") + END).encode(), 2, "version 2.0 is not 1.0"),
    (b"#!/bin/sh\n" + b"x" * script_format.SOURCE_LIMIT, 1, "the limit is"),
]
FIELDS: list[tuple[str, int, str]] = [
    ("name: x\ntitle: 'open", 4, "is not YAML"),
    ("- name\n- x", 3, "must be fields"),
    ("name: x\ncolour: red", 4, "is not a field of MAAS script metadata 1.0"),
    ("name: x\nname: y", 4, "is given twice"),
    ("type: test\nname: x\nscript_type: test", 5, "is given twice"),
    ("name: 123", 3, "must not be '123'"),
    ("name: none", 3, "must not be 'none'"),
    ("name: two words", 3, "no space"),
    ("name: ../../etc/passwd", 3, "must be letters"),
    ("name: $(reboot)", 3, "must be letters"),
    ("name: x\ntitle: [a]", 4, "must be text, not a list"),
    ("name: x\nscript_type: release", 4, "neither deploys nor releases"),
    ("name: x\nscript_type: party", 4, "must be one of"),
    ("name: x\nhardware_type: toaster", 4, "must be one of"),
    ("name: x\nparallel: sometimes", 4, "must be one of"),
    ("name: x\ntimeout: soon", 4, "must be HH:MM:SS"),
    ("name: x\ntimeout: -5", 4, "must be HH:MM:SS"),
    ("name: x\ndestructive: perhaps", 4, "must be true or false"),
    ("name: x\nfor_hardware: [pci:80861521]", 4, "must be modalias:GLOB"),
    ("name: x\ntags: {a: b}", 4, "must be text or a list of texts"),
    ("name: x\nresults: [1, 2]", 4, "must be text or a list of texts"),
    ("name: x\nresults:\n  iops: {description: y}", 5, "iops.title is missing"),
    ("name: x\nresults:\n  iops:\n    title: t\n    unit: s", 7, "iops.unit is not a title"),
    ("name: x\npackages: apt", 4, "must be a mapping, not text"),
    ("name: x\npackages:\n  pip: [a]", 5, "pip must be one of apt, snap, url"),
    ("name: x\npackages:\n  apt: ['--force-yes']", 5, "apt must be a package name"),
    ("name: x\npackages:\n  url: ftp://a/b", 5, "url must be an http://"),
    ("name: x\npackages:\n  snap: {name: a, mode: root}", 5, "snap must be a snap name"),
    (P + "  disk: {}", 5, "disk.type must be one of"),
    (P + "  disk:\n    type: tape", 6, "disk.type must be one of"),
    (P + "  disk: storage", 5, "disk must be a mapping, not text"),
    (P + "  'a b': {type: string}", 5, "must be letters, digits"),
    (P + "  s:\n    type: string\n    colour: red", 7, "s.colour is not known"),
    (P + "  disk:\n    type: storage\n    min: 1", 7, "type storage has no min"),
    (P + "  disk:\n    type: storage\n    argument_format: --disk", 7, "must name the device"),
    (P + "  nic:\n    type: interface\n    argument_format: '{path}'", 7, "{path} is not one of"),
    (P + "  s:\n    type: string\n    argument_format: '{0.__class__}'", 7, "is not one of"),
    (P + "  s:\n    type: string\n    argument_format: '{input'", 7, "expected '}'"),
    (P + "  r:\n    type: runtime\n    min: -1", 7, "cannot be negative"),
    (P + "  r:\n    type: runtime\n    default: an hour", 7, "must be a number of seconds"),
    (P + "  r:\n    type: runtime\n    max: 60\n    default: 90", 8, "more than the maximum, 60"),
    (P + "  r:\n    type: runtime\n    min: 9\n    max: 3", 7, "r.min 9 is more than r.max 3"),
    (P + "  s:\n    type: string\n    min: '1'", 7, "must be a whole number"),
    (P + "  s:\n    type: password\n    min: 8\n    default: short", 8, "less than the minimum"),
    (P + "  s:\n    type: string\n    required: maybe", 7, "s.required must be true or false"),
    (P + "  s:\n    type: string\n    allow_list: true", 7, "is for type url only"),
    (P + "  u:\n    type: url\n    default: gone://x", 7, "must begin with one of"),
    (P + "  u:\n    type: url\n    default: 'http:'", 7, "names no host"),
    (P + "  c:\n    type: choice", 5, "c.choices must be a list of values"),
    (P + "  c:\n    type: choice\n    choices: [1, 2]", 7, "must be texts or [value, label]"),
    (P + "  c:\n    type: choice\n    choices: [a, b]\n    default: z", 8, "must be one of a, b"),
    (P + "  s:\n    type: string\n    choices: [a]", 7, "is for type choice only"),
    (P + "  b:\n    type: boolean\n    default: 7", 7, "'7' must be true or false"),
    (P + "  s:\n    type: string\n    default: [a]", 7, "must be one value"),
]
MALFORMED = WHOLE + [(block(text), line, reason) for text, line, reason in FIELDS]


def test_there_are_enough_of_them() -> None:
    assert len(MALFORMED) >= 40


@pytest.mark.parametrize(
    ("source", "line", "reason"), MALFORMED, ids=[f"{n}: {m[2]}" for n, m in enumerate(MALFORMED)]
)
def test_it_is_refused_with_line_and_reason(source: bytes, line: int, reason: str) -> None:
    with pytest.raises(ScriptError) as caught:
        script_format.parse(source)
    assert reason in caught.value.reason
    assert caught.value.line == line
    assert caught.value.field


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = script_format.problems(block("timeout: soon\ncolour: red\nparallel: 9"))
    told = [(error.line, error.field) for error in found]
    assert told == [(1, "name"), (3, "timeout"), (4, "colour"), (5, "parallel")]
