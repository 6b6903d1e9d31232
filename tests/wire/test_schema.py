"""The published JSON Schema says what the reader does."""

import copy
import inspect
import json
import runpy
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import trees
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.collect.document import document
from muster.wire import devices, extra, hardware, networks, peripherals, schema, section, slots
from muster.wire.resources import BadDocument, read_document

PUBLISHED = Path(__file__).parents[2] / "docs" / "resources.schema.json"


@pytest.fixture(scope="module")
def validator() -> jsonschema_rs.Draft202012Validator:
    made = schema.json_schema()
    jsonschema_rs.meta.validate(made)
    return jsonschema_rs.Draft202012Validator(made)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of the recorded rich guest."""
    root = trees.load("qemu-rich-guest", tmp_path_factory.mktemp("guest"))
    return json.loads(json.dumps(document(root)))


def test_the_published_schema_is_the_one_of_this_code() -> None:
    assert PUBLISHED.read_text() == schema.text(), "run 'make schema'"


def test_the_module_prints_the_schema(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "muster.wire.schema")
    runpy.run_module("muster.wire.schema", run_name="__main__")
    assert capsys.readouterr().out == schema.text()


def test_no_two_shapes_have_one_name() -> None:
    modules = (devices, extra, hardware, networks, peripherals, section, slots)
    names = Counter(
        name
        for module in modules
        for name, found in inspect.getmembers(module, inspect.isclass)
        if found.__module__ == module.__name__
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_our_document_and_lxd_s_are_valid(
    validator: jsonschema_rs.Draft202012Validator, whole: dict[str, Any]
) -> None:
    assert validator.is_valid(whole)
    lxd = {"api_version": "1.0", "resources": trees.answer_of_lxd("qemu-rich-guest")}
    assert validator.is_valid(lxd)
    assert validator.is_valid(whole | {"machine-extra": [1], "extra": {"schema": "another/2"}})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a document."""
    if path:
        yield path
    if isinstance(value, dict):
        items: Any = value.items()
    else:
        items = enumerate(value if isinstance(value, list) else ())
    for key, item in items:
        yield from places(item, (*path, key))


OTHERS = st.sampled_from(
    [None, True, -1, 7, 1 << 64, 1.5, "text", "1.0", [], [None], {}, {"id": "x"}, "REMOVED"]
)


@settings(deadline=None)
@given(data=st.data())
def test_the_schema_and_the_reader_refuse_the_same_documents(
    validator: jsonschema_rs.Draft202012Validator, whole: dict[str, Any], data: st.DataObject
) -> None:
    changed = copy.deepcopy(whole)
    *way, last = data.draw(st.sampled_from(list(places(whole))))
    inside: Any = changed
    for key in way:
        inside = inside[key]
    other = data.draw(OTHERS)
    if other == "REMOVED":
        del inside[last]
    else:
        inside[last] = other
    try:
        read_document(json.dumps(changed).encode())
        accepted = True
    except BadDocument:
        accepted = False
    assert validator.is_valid(changed) == accepted
