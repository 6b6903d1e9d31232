"""Trees damaged at random: no probe raises, nothing hangs, and only what was struck is lost."""

import errno
import json
import os
import random
from pathlib import Path

import pytest
import trees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muster.collect import reading
from muster.collect.document import document
from muster.wire.resources import read_document, summary

DAMAGES = st.sampled_from(
    [
        *("missing", "empty", "huge", "binary", "loop", "folder", "fifo", "escape", "dangling"),
        *("negative", "most", "words", "link"),
    ]
)


def damage(place: Path, how: str) -> None:
    place.unlink()
    if how == "loop":
        place.symlink_to(place.name)
    elif how == "escape":
        place.symlink_to("/dev/zero")
    elif how == "link":
        place.symlink_to(".")
    elif how == "dangling":
        place.symlink_to("nowhere")
    elif how == "folder":
        place.mkdir()
    elif how == "fifo":
        os.mkfifo(place)
    elif how != "missing":
        contents = {
            "huge": b"9" * 5000,
            "binary": bytes(range(256)),
            "negative": b"-99999999999",
            "most": b"18446744073709551615",
            "words": "one\ttwo: \u0663\n".encode(),
        }
        place.write_bytes(contents.get(how, b""))


def entries(root: Path) -> list[Path]:
    return sorted(place for place in root.rglob("*") if place.is_symlink() or place.is_file())


def surveyed(root: Path) -> dict[str, object]:
    """Every section of the document by name, but for what changes from call to call."""
    found = json.loads(json.dumps(document(root)))
    probes = found["extra"].pop("probes")
    assert [name for name, probe in probes.items() if not probe["ok"]] == []
    summary(read_document(json.dumps(found).encode()))
    return found["resources"] | found["extra"] | {"networks": found["networks"]}


def struck_by_damage(data: st.DataObject, root: Path) -> None:
    for place in data.draw(st.lists(st.sampled_from(entries(root)), max_size=12, unique=True)):
        damage(place, data.draw(DAMAGES))
    surveyed(root)


LIGHT = settings(max_examples=8, deadline=10_000)
HEAVY = settings(max_examples=100, deadline=10_000)


@LIGHT
@given(data=st.data())
def test_random_damage_never_raises_and_the_document_stays_readable(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    struck_by_damage(data, trees.plant(tmp_path_factory.mktemp("tree"), *trees.server()))


@pytest.mark.slow
@HEAVY
@given(data=st.data())
def test_much_random_damage_never_raises_either(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    struck_by_damage(data, trees.plant(tmp_path_factory.mktemp("tree"), *trees.server()))


# Whose attributes these are, by a part of the path, the most particular first: the sections that
# may tell otherwise when one of them is struck.
OWNERS = {
    "0000:08:00.0": {"gpu", "pci", "pcie"},
    "0000:08:00.1": {"accelerators", "pci", "pcie"},
    "0000:00:08.0": {"pci", "pcie"},
    "0000:00:03.0/net": {"network", "networks"},
    "0000:00:03.0": {"network", "pci", "pcie"},
    "0000:00:1f.2/ata1": {"storage", "disk_writes", "disk_health"},
    "0000:00:1f.2": {"storage", "raid", "pci", "pcie"},
    "usb1": {"usb"},
    "sys/class/enclosure": {"enclosures"},
    "sys/class/tty": {"serial"},
    "sys/class/tpm": {"tpm"},
    "sys/class/dmi": {"system", "boot_firmware"},
    "sys/firmware/dmi": {"dimms", "processors", "boot_firmware"},
    "sys/firmware/efi": {"boot_firmware"},
    "edac": {"dimms"},
    "hugepages": {"hugepages"},
    "devices/system/memory": {"memory"},
    "devices/system/node/node0/cpulist": {"cpu"},
    "devices/system/node/node1/cpulist": {"cpu"},
    "devices/system/node": {"memory"},
    "devices/system/cpu": {"cpu"},
    "proc/cpuinfo": {"cpu", "processors", "system"},
    "proc/meminfo": {"memory"},
    "proc/loadavg": {"load"},
    "proc/net": {"networks"},
}
PORT = "0000:00:08.0/"


def lists(section: object) -> list[list[object]]:
    values = section.values() if isinstance(section, dict) else []
    return [value for value in values if isinstance(value, list)]


def hurt(before: object, after: object) -> int:
    """How many items of that list of a section which lost the most are not as they were."""
    pairs = zip(lists(before), lists(after), strict=False)
    return max((sum(item not in now for item in was) for was, now in pairs), default=0)


def cost_of_one(data: st.DataObject, root: Path) -> None:
    whole = surveyed(root)
    owned = [
        (place, next((names for part, names in OWNERS.items() if part in str(place)), None))
        for place in entries(root)
        if place.is_file() and not place.is_symlink()
    ]
    place, names = data.draw(st.sampled_from([(place, names) for place, names in owned if names]))
    damage(place, data.draw(DAMAGES))
    left = surveyed(root)
    assert {name for name in whole if left[name] != whole[name]} <= names
    # A port's speed is told with each of the two functions below it.
    limit = 3 if PORT in str(place) else 1
    table = any(part in str(place) for part in ("firmware/dmi", "devices/system", "/proc/"))
    assert table or all(hurt(whole[name], left[name]) <= limit for name in names)


@LIGHT
@given(data=st.data())
def test_one_damaged_attribute_costs_only_its_own_item(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cost_of_one(data, trees.plant(tmp_path_factory.mktemp("tree"), *trees.server()))


@pytest.mark.slow
@HEAVY
@given(data=st.data())
def test_any_one_damaged_attribute_costs_only_its_own_item(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cost_of_one(data, trees.plant(tmp_path_factory.mktemp("tree"), *trees.server()))


@pytest.mark.slow
@settings(max_examples=30, deadline=10_000, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), share=st.sampled_from([2, 5, 20]))
def test_files_that_vanish_or_fail_while_they_are_read_are_survived(
    seed: int, share: int, server: Path
) -> None:
    chance = random.Random(seed)
    errors = [errno.ENOENT, errno.EACCES, errno.EIO, errno.ESTALE, errno.ENODEV]
    real = reading._first_bytes

    def failing(place: str, size: int) -> bytes:
        if chance.randrange(share) == 0:
            number = chance.choice(errors)
            raise OSError(number, os.strerror(number))
        return real(place, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_first_bytes", failing)
        assert surveyed(server)
