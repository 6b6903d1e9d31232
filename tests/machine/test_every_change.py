"""Every single change of every recorded machine has exactly its sentence; no change has none."""

import json
import random
import re
from pathlib import Path

import pytest
import trees
from changing import Plain, every_change
from rackserver import rackserver
from rereading import reread

from muster.collect.document import document
from muster.machine.differences import compare
from muster.wire.resources import Document, read_document

MACHINES = ("rackserver", "rich server", "qemu-rich-guest", "qemu-rich-guest as LXD tells it",
            "cloud-vm")  # fmt: skip


def recorded(name: str, folder: Path) -> Plain:
    if name == "rackserver":
        return rackserver()
    if name.endswith("LXD tells it"):
        plain = {"api_version": "1.0", "resources": trees.answer_of_lxd("qemu-rich-guest")}
        return json.loads(json.dumps(plain))
    if name == "rich server":
        return json.loads(json.dumps(document(trees.plant(folder, *trees.server()))))
    return json.loads(json.dumps(document(trees.load(name, folder))))


def read(plain: Plain) -> Document:
    return read_document(json.dumps(plain).encode())


def told(old: Plain, new: Plain) -> list[str]:
    return [change.sentence for change in compare(read(old), read(new))]


def wrong_of(whole: Plain) -> tuple[int, list[str]]:
    """How many changes were made, and those that have other sentences than their own."""
    made, wrong = 0, []
    for name, old, new, sentence in every_change(whole):
        made += 1
        found = told(old, new)
        if len(found) != 1 or not re.fullmatch(sentence, found[0]):
            wrong.append(f"{name}: {found}")
    return made, wrong


def test_every_change_of_a_server_has_exactly_its_sentence() -> None:
    made, wrong = wrong_of(rackserver())
    assert wrong == []
    assert made > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", MACHINES[1:])
def test_every_change_of_a_recorded_machine_has_exactly_its_sentence(
    name: str, tmp_path: Path
) -> None:
    made, wrong = wrong_of(recorded(name, tmp_path))
    assert wrong == []
    assert made >= 10


def test_a_machine_read_again_has_no_sentence() -> None:
    rng, whole = random.Random(7), rackserver()
    assert [told(whole, reread(whole, rng)) for _ in range(20)] == [[]] * 20


@pytest.mark.slow
@pytest.mark.parametrize("name", MACHINES)
def test_a_recorded_machine_read_a_thousand_times_has_no_sentence(
    name: str, tmp_path: Path
) -> None:
    rng, whole = random.Random(7), recorded(name, tmp_path)
    first = read(whole)
    for _ in range(1000):
        assert compare(first, read(reread(whole, rng))) == []
