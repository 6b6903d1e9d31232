# SPDX-License-Identifier: Apache-2.0
"""Reading a resources document, whoever wrote it: ours, LXD's, Incus's or MAAS's.

Strict about what it knows (types, ranges, the few required keys), deaf to what it does not:
unknown keys stay in `Document.raw`. Go writes an empty list as null, so null stands for one.
"""

import json
import math
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass as record
from functools import cache

from muster.wire.extra import EXTRA_SCHEMA, Extra
from muster.wire.hardware import API_VERSION, Cpu, Disk, Resources
from muster.wire.networks import NetworkState, Port
from muster.wire.section import APART
from muster.wire.shape import dataclass, field, fields_of

DOCUMENT_LIMIT = 50 * 1024 * 1024
"""Bytes. A machine of 1024 threads and 500 disks stays under 5 MiB."""

NUMBER_LIMIT = (1 << 64) - 1
"""LXD's integers are unsigned and of 64 bits."""
_SIZE_LIMIT = (1 << 63) - 1
_TEXT_LIMIT = 256
ITEMS = 2000
"""Disks, ports ... of one machine that lists and searches know; its document keeps all."""


class BadDocument(ValueError):
    """A resources document that cannot be read: `path` ("$.resources.cpu.total") and `why`."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"resources document: {path}: {why}")
        self.path = path
        self.why = why


@dataclass
class Document:
    """What `50-maas-01-commissioning` prints. `raw` is the whole of it, unknown keys included.

    `extra` is null in a document without one, or with one of a schema that we do not know.
    """

    api_version: str
    resources: Resources
    api_extensions: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    networks: dict[str, NetworkState] = field(default_factory=dict)
    extra: Extra | None = None
    raw: dict[str, object] = field(default_factory=dict, metadata=APART)
    unread: dict[str, str] = field(default_factory=dict, metadata=APART)
    """Sections ("storage", "dimms") that are empty here as they could not be read, and why."""


@record(frozen=True)
class DiskSummary:
    """One disk; `size_bytes` is 0 for a slot without a medium."""

    name: str
    model: str
    serial: str
    size_bytes: int
    rotational: bool


@record(frozen=True)
class NicSummary:
    """One port of a network card; `speed` in Mbit/s, 0 when unknown or without link."""

    name: str
    mac: str
    speed: int
    link: bool


@record(frozen=True)
class Summary:
    """What a list of machines shows. Texts are one line, at most 256 characters, without NUL."""

    cpu_count: int
    cores: int
    sockets: int
    cpu_model: str
    memory_bytes: int
    disks: list[DiskSummary]
    nics: list[NicSummary]
    vendor: str
    product: str
    serial: str
    uuid: str
    virtual: bool


def read_document(data: bytes) -> Document:
    """Parse `data` (UTF-8 JSON, at most `DOCUMENT_LIMIT` bytes); raises BadDocument."""
    raw = _load(data)
    document = _shape(Document, {**raw, "extra": _extra_of(raw)}, "$")
    assert isinstance(document, Document)
    document.raw = raw
    _check_version(document.api_version)
    return document


def read_sections(data: bytes) -> Document:
    """As `read_document`, but a section that cannot be read is empty and named in `unread`, and

    the others are there. Raises BadDocument for what is no resources document at all.
    """
    raw = _load(data)
    try:
        document = _shape(Document, {**raw, "extra": _extra_of(raw)}, "$")
        assert isinstance(document, Document)
    except BadDocument:
        document = _in_sections(raw)
    document.raw = raw
    _check_version(document.api_version)
    for section, check in _SIZES.items():
        try:
            check(document.resources)
        except BadDocument as error:
            document.unread[section] = _why(error)
            setattr(document.resources, section, fields_of(Resources)[section].default_factory())  # type: ignore[misc]
    return document


def _extra_of(raw: dict[str, object]) -> object:
    extra = raw.get("extra")
    return extra if isinstance(extra, dict) and extra.get("schema") == EXTRA_SCHEMA else None


def _check_version(version: str) -> None:
    if version != API_VERSION:
        raise BadDocument("$.api_version", f"is {version!r:.80}, must be {API_VERSION!r}")


def _in_sections(raw: dict[str, object]) -> Document:
    version = _read(str, raw.get("api_version", ""), "$.api_version")
    assert isinstance(version, str)
    document = Document(version, Resources())
    for name, kind in (("resources", Resources), ("extra", Extra)):
        value = raw.get("resources") if name == "resources" else _extra_of(raw)
        if value is None and name == "extra":
            continue
        if name not in raw:
            raise BadDocument(f"$.{name}", "is missing")
        if not isinstance(value, dict):
            raise BadDocument(f"$.{name}", f"must be an object, not {_kind_of(value)}")
        setattr(document, name, _sections(kind, value, f"$.{name}", document.unread))
    for name, spec in fields_of(Document).items():
        if name in ("networks", "environment", "api_extensions") and name in raw:
            try:
                setattr(document, name, _read(spec.type, raw[name], f"$.{name}"))
            except BadDocument as error:
                document.unread[name] = _why(error)
    return document


def _sections(kind: type, value: dict[str, object], path: str, unread: dict[str, str]) -> object:
    given = {}
    for name, spec in fields_of(kind).items():
        key = str(spec.metadata.get("as", name))
        if key not in value or "apart" in spec.metadata:
            continue
        try:
            given[name] = _read(spec.type, value[key], f"{path}.{key}")
        except BadDocument as error:
            unread[name] = _why(error)
    return kind(**given)


def _why(error: BadDocument) -> str:
    return f"{line(error.path)}: {line(error.why)}"


def _sizes_of_disks(found: Resources) -> None:
    for index, disk in enumerate(found.storage.disks):
        _size(disk.size, f"$.resources.storage.disks[{index}].size")


_SIZES: dict[str, Callable[[Resources], object]] = {
    "cpu": lambda found: _size(found.cpu.total, "$.resources.cpu.total"),
    "memory": lambda found: _size(found.memory.total, "$.resources.memory.total"),
    "storage": _sizes_of_disks,
}
"""What no database could hold."""


def summary(document: Document) -> Summary:
    """The facts of `document` that lists and searches need; raises BadDocument for a size that

    no database can hold (2^63 bytes and more).
    """
    found = document.resources
    return Summary(
        cpu_count=_size(found.cpu.total, "$.resources.cpu.total"),
        cores=sum(len(socket.cores) for socket in found.cpu.sockets),
        sockets=len(found.cpu.sockets),
        cpu_model=_cpu_model(found.cpu),
        memory_bytes=_size(found.memory.total, "$.resources.memory.total"),
        disks=list(_disks(found.storage.disks))[:ITEMS],
        nics=[_nic(port) for card in found.network.cards for port in card.ports][:ITEMS],
        vendor=line(found.system.vendor),
        product=line(found.system.product),
        serial=line(found.system.serial),
        uuid=line(found.system.uuid).lower(),
        virtual=found.system.type not in ("", "physical", "unknown"),
    )


def _disks(disks: list[Disk]) -> Iterator[DiskSummary]:
    for index, disk in enumerate(disks):
        if disk.type == "cdrom":
            continue
        turns = disk.rpm > 0 if disk.rotational is None else disk.rotational
        size = _size(disk.size, f"$.resources.storage.disks[{index}].size")
        yield DiskSummary(line(disk.id), line(disk.model), line(disk.serial), size, turns)


def _nic(port: Port) -> NicSummary:
    speed = min(port.link_speed, _SIZE_LIMIT)
    return NicSummary(line(port.id), line(port.address), speed, port.link_detected)


def _cpu_model(cpu: Cpu) -> str:
    """The name all sockets share; a mixed machine has none."""
    names = {socket.name for socket in cpu.sockets}
    return line(names.pop()) if len(names) == 1 else ""


def _size(number: int, path: str) -> int:
    if number > _SIZE_LIMIT:
        raise BadDocument(path, f"{number} does not fit a signed 64-bit number")
    return number


def line(text: str) -> str:
    """One line that every database keeps: PostgreSQL refuses NUL and half surrogate pairs."""
    text = text[:_TEXT_LIMIT]
    return (text if text.isprintable() else "".join(c for c in text if c.isprintable())).strip()


def _load(data: bytes) -> dict[str, object]:
    if len(data) > DOCUMENT_LIMIT:
        raise BadDocument("$", f"{len(data)} bytes, the limit is {DOCUMENT_LIMIT}")
    try:
        raw = json.loads(data, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise BadDocument("$", "nested too deeply") from error
    except ValueError as error:
        raise BadDocument("$", f"is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise BadDocument("$", f"must be an object, not {_kind_of(raw)}")
    return raw


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _read(kind: object, value: object, path: str) -> object:
    """`value` as `kind`: a dataclass, `list[X]`, `dict[str, X]`, `X | None`, a scalar or object."""
    if kind is object:
        return value
    if isinstance(kind, types.UnionType):
        return None if value is None else _read(kind.__args__[0], value, path)
    if isinstance(kind, types.GenericAlias):
        return _container(kind, value, path)
    if isinstance(kind, type) and fields_of(kind):
        return _shape(kind, value, path)
    return _scalar(kind, value, path)


def _container(kind: types.GenericAlias, value: object, path: str) -> object:
    inner = kind.__args__[-1]
    if kind.__origin__ is list:
        if value is not None and not isinstance(value, list):
            raise BadDocument(path, f"must be a list, not {_kind_of(value)}")
        return [_read(inner, item, f"{path}[{i}]") for i, item in enumerate(value or ())]
    if value is not None and not isinstance(value, dict):
        raise BadDocument(path, f"must be an object, not {_kind_of(value)}")
    return {key: _read(inner, item, f"{path}.{key}") for key, item in (value or {}).items()}


def _shape(kind: type, value: object, path: str) -> object:
    if not isinstance(value, dict):
        raise BadDocument(path, f"must be an object, not {_kind_of(value)}")
    given: dict[str, object] = {}
    for name, key, wanted, required in _members(kind):
        if key in value:
            item = value[key]
            # Most of a document: no path has to be written, as nothing can be wrong with it.
            plain = type(item) is wanted and (
                wanted is str or (isinstance(item, int) and 0 <= item <= NUMBER_LIMIT)
            )
            given[name] = item if plain else _read(wanted, item, f"{path}.{key}")
        elif required:
            raise BadDocument(f"{path}.{name}", "is missing")
    return kind(**given)


@cache
def _members(kind: type) -> tuple[tuple[str, str, object, bool], ...]:
    """Of each field that is read: its name, its key, its type, whether it must be there."""
    return tuple(
        (name, str(spec.metadata.get("as", name)), spec.type, spec.required)
        for name, spec in fields_of(kind).items()
        if "apart" not in spec.metadata
    )


def _scalar(kind: object, value: object, path: str) -> object:
    if kind is float and type(value) in (int, float):
        return _float(value, path)
    if type(value) is not kind:
        wanted = getattr(kind, "__name__", str(kind))
        raise BadDocument(path, f"must be {wanted}, not {_kind_of(value)}")
    if isinstance(value, int) and not 0 <= value <= NUMBER_LIMIT:
        raise BadDocument(path, f"{value} is outside 0 to 2^64-1")
    return value


def _float(value: object, path: str) -> float:
    """JSON writes 480.0 as 480 too; 1e999 would be infinite."""
    assert isinstance(value, int | float)
    if not math.isfinite(value) or abs(value) > NUMBER_LIMIT:
        raise BadDocument(path, "is larger than 2^64-1")
    return float(value)


def _kind_of(value: object) -> str:
    return "null" if value is None else type(value).__name__
