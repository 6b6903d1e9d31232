"""Scripts written from the public documentation of the format: each is taken as it is."""

from pathlib import Path

import pytest

from muster.scripts import format as script_format
from muster.scripts.fields import FIELDS
from muster.scripts.format import Script
from muster.scripts.parameters import TYPES, argument

WRITTEN = sorted((Path(__file__).parent / "written").iterdir())


def read(name: str) -> Script:
    (file,) = (file for file in WRITTEN if file.name == name)
    return script_format.parse(file.read_bytes(), name=file.name)


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.name)
def test_it_is_taken_unmodified(file: Path) -> None:
    source = file.read_bytes()
    assert script_format.problems(source, name=file.name) == []
    found = script_format.parse(source, name=file.name)
    assert found.name.endswith(file.name)
    assert found.source == source


def test_together_they_use_every_field_and_every_type_of_parameter() -> None:
    scripts = [read(file.name) for file in WRITTEN]
    assert len(scripts) >= 20
    plain = script_format.parse(b"#!/bin/sh\n", name="plain")
    for field in FIELDS:
        assert any(getattr(s, field) != getattr(plain, field) for s in scripts), field
    kinds = {str(about["type"]) for s in scripts for about in s.parameters.values()}
    assert kinds == set(TYPES)
    assert {source for s in scripts for source in s.packages} == {"apt", "snap", "url"}
    assert {s.hardware_type for s in scripts} >= {"node", "cpu", "memory", "storage", "network"}


def test_a_model_with_a_space_stays_one_argument() -> None:
    about = read("disk-write").parameters["storage"]
    facts = {"path": "/dev/sda", "model": "QEMU HARDDISK", "serial": "S 1", "input": "all"}
    words = argument("storage", about, facts)
    assert words == ["--device", "/dev/sda", "--model", "QEMU HARDDISK", "--serial", "S 1"]


@pytest.mark.parametrize(
    ("script", "parameter", "facts", "words"),
    [
        ("reach-the-web", "interface", {"name": "eth0", "input": "all"}, ["--interface=eth0"]),
        ("cpu-burn", "runtime", {"input": "30"}, ["--timeout", "30"]),
        ("flag-only", "thorough", {"input": "true"}, ["--thorough=true"]),
        ("link-speed", "interface", {"name": "e", "mac": "m", "vendor": "v", "product": "p 1"},
         ["e", "m", "v", "p 1"]),
    ],
)  # fmt: skip
def test_parameters_become_arguments(
    script: str, parameter: str, facts: dict[str, str], words: list[str]
) -> None:
    assert argument(parameter, read(script).parameters[parameter], facts) == words
