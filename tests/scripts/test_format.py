import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.scripts import format as script_format
from muster.scripts.fields import FIELDS
from muster.scripts.format import ScriptError, parse


def script(*fields: str, version: str = "1.0") -> bytes:
    """A script whose first field is on line 3."""
    lines = [
        "#!/bin/sh",
        f"# --- Start MAAS {version} script metadata ---",
        *(f"# {line}" for line in fields),
        f"# --- End MAAS {version} script metadata ---",
        "echo hello",
    ]
    return "\n".join(lines).encode()


def test_every_field_is_read() -> None:
    source = script(
        "name: fio-short",
        "title: Fio",
        "description: A test",
        "comment: second",
        "script_type: test",
        "hardware_type: disk",
        "parallel: instance",
        "timeout: 1 02:03:04",
        "parameters:",
        "  storage: {type: storage, argument_format: '{path}'}",
        "packages: {apt: [fio], snap: {name: x, channel: edge}, url: http://server/a.deb}",
        "results:",
        "  iops: {title: IOPS, description: Operations a second}",
        "for_hardware: ['pci:8086:1521', 'modalias:usb:*']",
        "may_reboot: true",
        "recommission: yes",
        "destructive: true",
        "apply_configured_networking: true",
        "tags: burn-in, disk, disk",
    )
    found = parse(source)
    assert (found.name, found.title, found.description) == ("fio-short", "Fio", "A test")
    assert (found.comment, found.script_type, found.hardware_type) == (
        "second",
        "testing",
        "storage",
    )
    assert (found.parallel, found.timeout) == ("instance", 86400 + 2 * 3600 + 3 * 60 + 4)
    assert found.parameters == {"storage": {"type": "storage", "argument_format": "{path}"}}
    assert found.packages == {
        "apt": ["fio"],
        "snap": [{"name": "x", "channel": "edge"}],
        "url": ["http://server/a.deb"],
    }
    assert found.results == {"iops": {"title": "IOPS", "description": "Operations a second"}}
    assert found.for_hardware == ("pci:8086:1521", "modalias:usb:*")
    assert found.may_reboot
    assert found.recommission
    assert found.destructive
    assert found.apply_configured_networking
    assert found.tags == ("burn-in", "disk")
    assert found.source == source
    assert found.sha256 == hashlib.sha256(source).hexdigest()


def test_defaults_are_those_of_maas() -> None:
    found = parse(script("name: x"))
    assert (found.script_type, found.hardware_type, found.parallel) == (
        "testing",
        "node",
        "disabled",
    )
    assert (found.timeout, found.tags, found.parameters) == (0, (), {})


def test_a_script_without_metadata_takes_the_name_it_is_given() -> None:
    assert parse(b"#!/usr/bin/python3\n\xff\xfe", name="probe").name == "probe"


def test_a_field_left_empty_says_nothing() -> None:
    found = parse(script("name: x", "title:", "tags:", "results:", "packages:"))
    assert (found.title, found.tags, found.results, found.packages) == ("", (), {}, {})


def test_results_may_be_a_plain_list() -> None:
    found = parse(script("name: x", "results: [iops]"))
    assert found.results == {"iops": {"title": "iops"}}


def test_an_empty_block_is_a_block() -> None:
    assert parse(script(), name="probe").name == "probe"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:05:00", 300),
        ("10:00:00", 36000),
        ("90", 90),
        ("0", 0),
        ("2:30", 150),
        ("2 days, 00:00:01", 172801),
    ],
)
def test_a_timeout_is_a_duration_whatever_yaml_makes_of_it(text: str, seconds: int) -> None:
    assert parse(script("name: x", f"timeout: {text}")).timeout == seconds


@pytest.mark.parametrize(
    ("field", "alias", "meant"),
    [
        ("script_type", "commission", "commissioning"),
        ("script_type", "0", "commissioning"),
        ("type", "TEST", "testing"),
        ("hardware_type", "1", "cpu"),
        ("hardware_type", "graphics", "gpu"),
        ("parallel", "enabled", "any"),
        ("parallel", "none", "disabled"),
    ],
)
def test_aliases_and_numbers_mean_their_names(field: str, alias: str, meant: str) -> None:
    found = parse(script("name: x", f"{field}: {alias}"))
    assert getattr(found, "script_type" if field == "type" else field) == meant


def test_delimiters_are_read_loosely_and_lines_may_end_in_crlf() -> None:
    source = b"#!/bin/sh\r\n  # -- start maas 1.0 SCRIPT metadata --\r\n#name: x\r\n#title: y\r\n"
    source += b"# - End MAAS 1.0 script metadata -\r\n"
    assert parse(source).title == "y"


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        ("colour: red", "colour", "is not a field of MAAS script metadata 1.0"),
        ("name: y", "name", "is given twice"),
        ("type: test\n# script_type: test", "script_type", "is given twice"),
        ("script_type: deployment", "script_type", "neither deploys nor releases"),
        ("script_type: party", "script_type", "'party' must be one of"),
        ("hardware_type: [cpu]", "hardware_type", "'' must be one of"),
        ("parallel: 7", "parallel", "'7' must be one of"),
        ("timeout: soon", "timeout", "'soon' must be HH:MM:SS"),
        ("timeout: 99999999", "timeout", "99999999 seconds, the limit is"),
        ("for_hardware: [1]", "for_hardware", "must be text or a list of texts"),
        ("title: [a]", "title", "must be text, not a list"),
        ("title: 5", "title", "must be text, not a number"),
        ("destructive: maybe", "destructive", "must be true or false"),
        ("tags: [a, 1]", "tags", "must be text or a list of texts"),
        ("for_hardware: pci:80:1", "for_hardware", "'pci:80:1' must be modalias:GLOB"),
        ("results: {a: {title: 1}}", "results", "a.title is not a title or description"),
        ("results: {a: {description: x}}", "results", "a.title is missing"),
        ("results: 5", "results", "must be a mapping, not a number"),
        ("parameters: [a]", "parameters", "must be a mapping, not a list"),
        ("parameters: {a: storage}", "parameters", "a must be a mapping"),
        ("parameters: {a: {type: disk}}", "parameters", "a.type must be one of boolean"),
        ("parameters: {a: {type: url, foo: 1}}", "parameters", "a.foo is not known"),
        ("packages: {pip: x}", "packages", "pip must be one of apt, snap, url"),
        ("packages: {apt: [1]}", "packages", "apt must be a package name"),
        ("packages: {snap: {channel: x}}", "packages", "snap must be a snap name"),
        ("comment: 2026-13-45", "comment", "month must be in 1..12"),
        ("comment: 2026-01-02", "comment", "must be made of text"),
        ("parameters: {a: {type: runtime, min: .inf}}", "parameters", "must be made of text"),
        ('title: "a\\0b"', "title", "must be made of text"),
        ("parameters: {1: {}}", "parameters", "must be made of text"),
        ("results: [{a: b}]", "results", "must be text or a list of texts"),
        ("title: 'open", "metadata", "is not YAML"),
        ("title: &a x\n# description: *a", "metadata", "aliases are not allowed"),
        ("title: !!python/object:os.system x", "metadata", "is not YAML"),
        ("[a]: b", "metadata", "has a field whose name is not text"),
    ],
)
def test_what_is_wrong_is_refused_with_line_field_and_reason(
    line: str, field: str, reason: str
) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(script("name: x", line))
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert caught.value.line >= 4
    assert str(caught.value).startswith(f"line {caught.value.line}: {field}: ")


@pytest.mark.parametrize(
    "name", ["", "123", "none", "a b", "a/b", "../x", "-rf", "$(x)", "é", "a" * 256, "[a]", "'0'"]
)
def test_a_name_that_no_file_or_shell_should_see_is_refused(name: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(script(f"name: {name}"))
    assert (caught.value.line, caught.value.field) == (3, "name")


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        (b"echo\n", 1, 'must start with "#!/"'),
        (script("name: x", version="2.0"), 2, "version 2.0 is not 1.0"),
        (b"#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: x\n", 2, "is not ended"),
        (b"#!/bin/sh\n# --- End MAAS 1.0 script metadata ---\n", 2, "ends before it starts"),
        (script("- a"), 3, 'must be fields ("name: value")'),
        (script("name: x").replace(b"# name", b"name"), 3, 'has a line without "#"'),
        (script("a: " + "[" * 1200), 3, "is nested too deeply"),
        (script("title: " + "x" * 70000), 2, "is larger than 65536 bytes"),
        (script("title: \x01"), 3, "is not YAML"),
        (script("name: x").replace(b"x", b"\xff"), 3, "is not YAML"),
        (b"#!/bin/sh\necho\n", 1, "is missing"),
    ],
)
def test_a_container_that_is_wrong_is_refused(source: bytes, line: int, reason: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(source)
    assert caught.value.line == line
    assert reason in caught.value.reason


def test_a_script_over_the_limit_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_format, "SOURCE_LIMIT", 10)
    with pytest.raises(ScriptError, match="12 bytes, the limit is 10"):
        parse(b"#!/bin/sh\n#x")


TEXT = st.text("az09:#-,|>[]{}'\"\\ \n\t\0\x85\u2028\u00e9&*!%@`?<=.~", max_size=20)
LINES = st.builds(
    lambda name, value: f"{name}: {value}",
    st.sampled_from(sorted(FIELDS)) | TEXT,
    TEXT | st.sampled_from(["{a: {type: storage}}", "[a, b]", "null", "0x1F"]),
)


@given(st.lists(LINES, max_size=5))
def test_any_metadata_is_read_or_refused_with_a_line(lines: list[str]) -> None:
    line = 1
    try:
        parse(script(*lines), name="x")
    except ScriptError as error:
        line = error.line
    assert line >= 1
