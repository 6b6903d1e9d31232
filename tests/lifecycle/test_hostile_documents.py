"""Documents of machines that lie: stored, bounded, and no loss for the rest of the machine."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rackserver import rackserver

from muster.machine import facts
from muster.machine.differences import compare
from muster.machine.evidence import of_document
from muster.machine.parts import parts
from muster.machine.tagging import automatic
from muster.wire.resources import (
    DOCUMENT_LIMIT,
    ITEMS,
    BadDocument,
    Document,
    read_sections,
    summary,
)

EVIL = "\x1b[2J\u202eevil\n\x00\ud800<script>"


def raw(plain: dict[str, Any]) -> bytes:
    return json.dumps(plain).encode()


def everything(document: Document) -> list[Any]:
    """All that is made of a document when it is stored, diffed and shown."""
    told = [change.sentence for change in compare(document, read_sections(raw(rackserver())))]
    found = [facts.read(document), automatic(document), told, [vars(p) for p in parts(document)]]
    return [*found, vars(summary(document)), of_document(document)]


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in texts(key) + texts(item)]
    if isinstance(value, list | tuple | frozenset | set):
        return [text for item in value for text in texts(item)]
    return texts(vars(value)) if hasattr(value, "__dict__") else []


def every_text(plain: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(plain, dict | list):
        pairs = plain.items() if isinstance(plain, dict) else enumerate(plain)
        return [found for key, item in pairs for found in every_text(item, (*path, key))]
    return [path] if isinstance(plain, str) else []


def put(plain: Any, path: tuple[Any, ...], value: Any) -> None:
    for step in path[:-1]:
        plain = plain[step]
    plain[path[-1]] = value


def test_no_text_of_a_machine_reaches_a_terminal_or_database_as_it_is() -> None:
    plain = rackserver()
    for path in every_text(plain):
        if path[-1] not in ("api_version", "schema"):
            put(plain, path, EVIL * 50)
    shown = texts(everything(read_sections(raw(plain))))
    assert shown
    # Parts of a key of evidence are kept apart by U+001F.
    assert [t for t in shown if not t.replace("\x1f", "").isprintable()] == []


junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=6)
    | st.integers(-(2**70), 2**70) | st.sampled_from([EVIL, "x" * 5000, 2**63, 2**64, -1, 1e308]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)  # fmt: skip
PLACES = every_text(rackserver())


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 4), junk), max_size=4))
def test_wrong_types_anywhere_lose_their_own_section_and_nothing_else(
    damage: list[tuple[int, int, Any]],
) -> None:
    plain = rackserver()
    hit = set()
    for place, up, value in damage:
        path = PLACES[place % len(PLACES)]
        path = path[: max(3, len(path) - up)]
        if len(path) < 3 or path[0] not in ("resources", "extra"):
            continue
        try:
            put(plain, path, value)
        except (KeyError, IndexError, TypeError):
            continue
        hit.add(path[1])
    text = raw(plain)
    if b"NaN" in text or b"Infinity" in text:
        # JSON has neither: then the whole of it is none.
        with pytest.raises(BadDocument, match="is not a JSON number"):
            read_sections(text)
        return
    document = read_sections(text)
    assert set(document.unread) <= hit
    everything(document)


@pytest.mark.parametrize(
    "text", [b"[" * 200_000, b'{"a":' * 100_000, b'{"resources": NaN}', b"\xff\xfe", b"{", b""]
)
def test_what_is_no_document_says_why_at_once(text: bytes) -> None:
    with pytest.raises(BadDocument):
        read_sections(text)


def test_serial_numbers_that_repeat_identify_nothing_and_lose_no_part() -> None:
    plain = rackserver()
    for disk in plain["resources"]["storage"]["disks"]:
        disk["serial"] = "SAME"
    found = [part for part in parts(read_sections(raw(plain))) if part.kind == "disk"]
    assert [part.serial for part in found] == [""] * 4


def many(number: int, **more: Any) -> dict[str, Any]:
    plain = rackserver()
    disk = plain["resources"]["storage"]["disks"][0]
    plain["resources"]["storage"]["disks"] = [
        disk | {"id": f"d{n}", "serial": f"S{n}", "device_path": f"p{n}"} | more
        for n in range(number)
    ]
    return plain


def test_ten_thousand_disks_are_counted_and_lists_stay_bounded() -> None:
    found = facts.read(read_sections(raw(many(10_000))))
    assert (found["disk.count"], len(found["disks"])) == (10_000, ITEMS)
    assert len(summary(read_sections(raw(many(10_000)))).disks) == ITEMS


@pytest.mark.slow
def test_a_document_of_the_limit_is_read_in_bounded_memory_and_a_larger_one_is_refused() -> None:
    filler = "x" * 4000
    text = raw(many(10_000, model=filler))
    assert 35 * 2**20 < len(text) <= DOCUMENT_LIMIT
    tracemalloc.start()
    everything(read_sections(text))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * len(text)
    with pytest.raises(BadDocument, match="the limit is 52428800"):
        read_sections(b" " * (DOCUMENT_LIMIT + 1))
