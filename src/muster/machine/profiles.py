# SPDX-License-Identifier: Apache-2.0
"""What hardware is expected: learned from golden machines, edited by hand, held against others.

A profile is plain data, by kind of part (machine.parts): `count` [least, most], `places` where one
has to sit, and `properties`: by name the texts that are right, or {"min": ..., "max": ...}, either
left out, compared number by number ("22.31.1014" lies behind "22.9"). `at` has properties by place,
where they are not the same everywhere (a PCIe link's width).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muster.machine.parts import KINDS, Part, known_kinds, parts
from muster.wire.resources import Document

Profile = Mapping[str, Any]

_OWN = re.compile(r"UUID|GUID|serial number|address of channel|MAC of channel")
"""Properties that are each machine's own."""

_LEFT_OUT = frozenset({"USB device", "optical module"})
"""What people plug in and out."""

_VALUES = 64
_PLACES = 512
_MOST = 100_000


class BadProfile(ValueError):
    """A profile that cannot be used: where, and why."""


@dataclass(frozen=True)
class Deviation:
    """`sentence` tells all, without full stop."""

    kind: str
    sentence: str


def learn(documents: Sequence[Document]) -> dict[str, Any]:
    """What all of these machines have in common, and the range where they differ."""
    common = set.intersection(*(known_kinds(document) for document in documents))
    several = [_by_kind(document) for document in documents]
    return {
        kind: _learned(kind, [found.get(kind, []) for found in several])
        for kind in KINDS
        if kind in common and kind not in _LEFT_OUT and any(found.get(kind) for found in several)
    }


def _learned(kind: str, several: list[list[Part]]) -> dict[str, Any]:
    counts = [len(found) for found in several]
    expected: dict[str, Any] = {"count": [min(counts), max(counts)]}
    places = set.intersection(*({part.place for part in found} for found in several)) - {""}
    if places:
        expected["places"] = sorted(places)
    everywhere, at = _split([part for found in several for part in found], places)
    return (
        expected | ({"properties": everywhere} if everywhere else {}) | ({"at": at} if at else {})
    )


def _split(
    found: list[Part], places: set[str]
) -> tuple[dict[str, list[str]], dict[str, dict[str, list[str]]]]:
    """What is right everywhere, and, of what differs from place to place, what is right where."""
    values: dict[str, set[str]] = {}
    local: dict[str, dict[str, set[str]]] = {}
    for part in found:
        for name, value in part.properties.items():
            if value and not _OWN.search(name):
                values.setdefault(name, set()).add(value)
                local.setdefault(name, {}).setdefault(part.place, set()).add(value)
    fixed = {
        name
        for name, known in values.items()
        if len(known) > 1 and places and all(len(local[name].get(p, ())) == 1 for p in places)
    }
    everywhere = {
        name: sorted(known)
        for name, known in values.items()
        if name not in fixed and len(known) <= _VALUES
    }
    at = {p: {name: sorted(local[name][p]) for name in sorted(fixed)} for p in sorted(places)}
    return everywhere, {place: named for place, named in at.items() if named}


def check(profile: object) -> None:
    """Raises BadProfile with the path of what is wrong."""
    if not isinstance(profile, dict):
        raise BadProfile("profile: must be an object, by kind of part")
    for kind, expected in profile.items():
        if kind not in KINDS:
            raise BadProfile(f"{str(kind)[:40]}: is no kind of part; these are: {', '.join(KINDS)}")
        if not isinstance(expected, dict):
            raise BadProfile(f"{kind}: must be an object with count, places, properties")
        if strange := expected.keys() - {"count", "places", "properties", "at"}:
            raise BadProfile(
                f"{kind}.{min(strange)[:40]}: is none of count, places, properties, at"
            )
        _check_count(kind, expected.get("count", [0, 0]))
        _check_places(kind, expected.get("places", []))
        _check_properties(f"{kind}.properties", expected.get("properties", {}))
        _check_at(kind, expected.get("at", {}))


def _check_at(kind: str, at: Any) -> None:
    if not isinstance(at, dict) or len(at) > _PLACES:
        raise BadProfile(f"{kind}.at: must be an object by place, of at most {_PLACES}")
    for place, properties in at.items():
        _check_properties(f"{kind}.at.{place[:40]}", properties)


def _check_count(kind: str, count: Any) -> None:
    whole = isinstance(count, list) and len(count) == 2 and all(type(n) is int for n in count)
    if not whole or not 0 <= count[0] <= count[1] <= _MOST:
        raise BadProfile(f"{kind}.count: must be [least, most]")


def _check_places(kind: str, places: Any) -> None:
    if not isinstance(places, list) or not all(_short(place) for place in places):
        raise BadProfile(f"{kind}.places: must be a list of texts")
    if len(places) > _PLACES:
        raise BadProfile(f"{kind}.places: {len(places)} of them, the limit is {_PLACES}")


def _check_properties(path: str, properties: Any) -> None:
    if not isinstance(properties, dict):
        raise BadProfile(f"{path}: must be an object")
    for name, right in properties.items():
        listed = isinstance(right, list) and 0 < len(right) <= _VALUES and all(map(_short, right))
        ranged = isinstance(right, dict) and right and not right.keys() - {"min", "max"}
        if not listed and not (ranged and all(map(_short, right.values()))):
            where = f"{path}.{str(name)[:40]}"
            raise BadProfile(f'{where}: must be a list of texts, or {{"min": ..., "max": ...}}')


def _short(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) <= 512 and text.isprintable()


def deviations(profile: Profile, document: Document) -> list[Deviation]:
    """Every way in which a machine is not as expected."""
    known, found = known_kinds(document), _by_kind(document)
    told: list[Deviation] = []
    for kind, expected in profile.items():
        if kind not in known:
            told.append(Deviation(kind, f"{kind}: not known, its document does not tell of it"))
            continue
        sentences = _of_kind(kind, expected, found.get(kind, []))
        told += [Deviation(kind, sentence) for sentence in sentences]
    return told


def _of_kind(kind: str, expected: Mapping[str, Any], found: list[Part]) -> Iterator[str]:
    least, most = expected.get("count", [0, _MOST])
    taken = {part.place for part in found}
    missing = [place for place in expected.get("places", []) if place not in taken]
    for place in missing:
        yield f"{Part(kind, place).label} is missing"
    # An empty place has its own sentence; what is missing beyond that is counted.
    if len(found) + len(missing) < least or len(found) > most:
        wanted = str(least) if least == most else f"{least} to {most}"
        yield f"{kind}: {len(found)} found, {wanted} expected"
    for part in found:
        here = expected.get("at", {}).get(part.place, {})
        for name, right in {**expected.get("properties", {}), **here}.items():
            value = part.properties.get(name, "")
            if value and not _right(value, right):
                yield f"{part.label}: {name} {value}, expected {_wanted(right)}"


def _right(value: str, right: Any) -> bool:
    if isinstance(right, list):
        return value in right
    least, most = right.get("min"), right.get("max")
    fits = least is None or _order(value) >= _order(least)
    return fits and (most is None or _order(value) <= _order(most))


def _order(text: str) -> list[tuple[int, int, str]]:
    """Numbers by their value, all else by its letters."""
    words = re.findall(r"\d+|[^\d.\s_-]+", text)
    return [(1, int(word), "") if word.isdigit() else (0, 0, word) for word in words]


def _wanted(right: Any) -> str:
    if isinstance(right, list):
        return " or ".join(right[:3]) + (f" or {len(right) - 3} more" if len(right) > 3 else "")
    told = [f"{word} {right[key]}" for key, word in (("min", "at least"), ("max", "at most"))
            if key in right]  # fmt: skip
    return " and ".join(told)


def odd(documents: Mapping[str, Document]) -> dict[str, list[Deviation]]:
    """Machines of one model that are not as most of the others are; three are needed for most."""
    told: dict[str, list[Deviation]] = {name: [] for name in documents}
    views = {name: _view(document) for name, document in documents.items()}
    for key in sorted({key for view in views.values() for key in view}):
        seen = {name: view[key] for name, view in views.items() if key in view}
        (usual, number), *_ = Counter(seen.values()).most_common(1)
        if number * 2 <= len(seen) or len(seen) < 3:
            continue
        for name, value in seen.items():
            if value != usual:
                sentence = f"{key[1]} {value}, while {number} of {len(seen)} have {usual}"
                told[name].append(Deviation(key[0], sentence))
    return {name: found for name, found in told.items() if found}


def _view(document: Document) -> dict[tuple[str, str], str]:
    """Of each kind how many, and each property with its values and how often: for comparing."""
    known, found = known_kinds(document), _by_kind(document)
    view = {}
    for kind in KINDS:
        if kind not in known or kind in _LEFT_OUT:
            continue
        several = found.get(kind, [])
        view[kind, f"{kind}: count"] = str(len(several))
        names = {name for part in several for name in part.properties if not _OWN.search(name)}
        for name in names:
            values = sorted({part.properties.get(name, "") for part in several} - {""})
            if values:
                view[kind, f"{kind}: {name}"] = ", ".join(values)[:200]
    return view


def _by_kind(document: Document) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    for part in parts(document):
        found.setdefault(part.kind, []).append(part)
    return found
