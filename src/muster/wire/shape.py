# SPDX-License-Identifier: Apache-2.0
"""`dataclass` and `field` for the shapes of the resources document, at a tenth of the price.

The standard library's write and compile a constructor for every class and import `inspect`: for
90 shapes 30 of the survey's 100 ms. These share one constructor. Same meaning, same
`__dataclass_fields__`; what the shapes do not use (frozen, order, slots, init=False) is not there.
"""

from collections.abc import Callable, Mapping

# What type checkers believe, without importing `typing`.
TYPE_CHECKING = False

MISSING: object = object()
"""No default: the field is required."""


class Field:
    """One field of a shape."""

    __slots__ = ("default", "default_factory", "metadata", "name", "type")

    def __init__(
        self,
        default: object,
        default_factory: Callable[[], object] | None,
        metadata: Mapping[str, object],
    ) -> None:
        self.name = ""
        self.type: object = None
        self.default = default
        self.default_factory = default_factory
        self.metadata = metadata

    @property
    def required(self) -> bool:
        return self.default is MISSING and self.default_factory is None


def _field(
    *,
    default: object = MISSING,
    default_factory: Callable[[], object] | None = None,
    metadata: Mapping[str, object] | None = None,
) -> Field:
    return Field(default, default_factory, metadata or {})


def fields_of(kind: type) -> dict[str, Field]:
    """The fields of a shape by name, inherited ones first; {} for any other class."""
    found: dict[str, Field] = getattr(kind, "__dataclass_fields__", {})
    return found


def _dataclass(kind: type | None = None, **_: bool) -> object:
    """Make a class a shape; `eq` and `repr` are taken and not needed (see section.Shape)."""
    return _shaped if kind is None else _shaped(kind)


def _shaped(kind: type) -> type:
    fields: dict[str, Field] = {}
    for base in reversed(kind.__mro__[1:]):
        fields.update(fields_of(base))
    for name, annotation in kind.__annotations__.items():
        spec = kind.__dict__.get(name, MISSING)
        if not isinstance(spec, Field):
            spec = Field(spec, None, {})
        elif spec.default is MISSING:
            delattr(kind, name)
        else:
            setattr(kind, name, spec.default)
        spec.name, spec.type = name, annotation
        fields[name] = spec
    kind.__dataclass_fields__ = fields  # type: ignore[attr-defined]
    kind.__init__ = _init  # type: ignore[misc]
    return kind


def _init(self: object, *values: object, **given: object) -> None:
    fields = fields_of(type(self))
    if len(values) > len(fields):
        raise TypeError(f"{type(self).__name__} has {len(fields)} fields, not {len(values)}")
    given |= zip(fields, values)  # noqa: B905 # fewer values than fields are usual
    made = vars(self)
    for name, spec in fields.items():
        if name in given:
            made[name] = given.pop(name)
        elif spec.default_factory is not None:
            made[name] = spec.default_factory()
        elif spec.default is not MISSING:
            made[name] = spec.default
        else:
            raise TypeError(f"{type(self).__name__} needs {name!r}")
    if given:
        raise TypeError(f"{type(self).__name__} has no field {next(iter(given))!r}")


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
else:
    dataclass, field = _dataclass, _field
