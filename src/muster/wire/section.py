# SPDX-License-Identifier: Apache-2.0
"""What all shapes of the resources document share, and how they become plain JSON.

The annotations of shapes are real types, not strings, because resources.py walks them to read a
document; that keeps `typing` (2.5 ms of start-up) out of the collector. Equality and text come
from `Shape`, the constructor from shape.py.
"""

from muster.wire.shape import Field, dataclass, field, fields_of

OMIT = {"omit": True}
"""Metadata of a field that is left out when empty, as LXD does."""
APART = {"apart": True}
"""Metadata of a field that travels elsewhere. ({"as": KEY} is of one named otherwise in JSON.)"""


class Shape:
    """Base of all shapes: two are equal when all their fields are."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)})"

    __hash__ = None  # type: ignore[assignment]


@dataclass(eq=False, repr=False)
class Complaint(Shape):
    """One thing that could not be read: the path on the machine, and why."""

    path: str
    reason: str


@dataclass(eq=False, repr=False)
class Section(Shape):
    """What a probe returns. `errors` travels apart, in the document's `extra`."""

    errors: list[Complaint] = field(default_factory=list, metadata=APART)


def plain(value: object) -> object:
    """`value` as dicts and lists for a JSON library, without what LXD leaves out when empty."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    fields = fields_of(type(value))
    if not fields:
        return value
    return {
        spec.metadata.get("as", name): plain(getattr(value, name))
        for name, spec in fields.items()
        if not _left_out(getattr(value, name), spec)
    }


def _left_out(item: object, spec: Field) -> bool:
    """What may be null is left out when it is: 0 and False are statements then, not absences."""
    if "omit" in spec.metadata:
        return item is None if spec.default is None else not item
    return "apart" in spec.metadata
