"""Shapes are dataclasses with one constructor for all."""

import pytest

from muster.wire.hardware import Cache, Cpu, Disk, Storage
from muster.wire.section import Complaint
from muster.wire.shape import dataclass, field, fields_of


def test_a_shape_takes_values_by_place_and_by_name() -> None:
    assert vars(Cache(1, "Data", size=48)) == {"level": 1, "type": "Data", "size": 48}
    assert vars(Cache()) == {"level": 0, "type": "", "size": 0}
    assert repr(Cache(2)) == "Cache({'level': 2, 'type': '', 'size': 0})"


def test_two_shapes_do_not_share_a_default_list() -> None:
    first, second = Storage(), Storage()
    first.disks.append(Disk(id="sda"))
    assert second.disks == []
    assert first != second


def test_inherited_fields_come_first() -> None:
    assert list(fields_of(Cpu)) == ["errors", "architecture", "sockets", "total"]
    assert Cpu([Complaint("/", "why")]).errors[0].reason == "why"
    assert fields_of(dict) == {}


@pytest.mark.parametrize(
    ("values", "names", "why"),
    [
        ((1, 2, 3, 4), {}, "Cache has 3 fields, not 4"),
        ((), {"colour": 1}, "Cache has no field 'colour'"),
    ],
)
def test_what_a_shape_has_no_field_for_is_refused(
    values: tuple, names: dict[str, int], why: str
) -> None:
    with pytest.raises(TypeError, match=why):
        Cache(*values, **names)


def test_a_required_field_must_be_given() -> None:
    with pytest.raises(TypeError, match="Disk needs 'id'"):
        Disk()  # type: ignore[call-arg]


def test_a_class_may_be_made_a_shape_with_or_without_words() -> None:
    @dataclass
    class Plain:
        size: int = field(default=7)

    assert vars(Plain()) == {"size": 7}
    assert Plain.size == 7
