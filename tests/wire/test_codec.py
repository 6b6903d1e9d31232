import contextlib
import json
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.wire.codec import BadMessage, Limited, decode, encode, limited
from muster.wire.events import Ack, Batch, Event, PhaseReport
from muster.wire.hello import Evidence, Hello, Nic, ScriptItem, Welcome


@dataclass(frozen=True)
class Inner(Limited):
    name: str = limited(most=3)


@dataclass(frozen=True)
class Sample(Limited):
    number: int
    ratio: float = 0.5
    flag: bool = False
    word: Literal["a", "b", ""] = "a"
    inner: Inner | None = None
    items: list[Inner] = limited(most=2, factory=list)
    table: dict[str, int] = field(default_factory=dict)


def test_what_is_left_out_gets_its_default_and_what_is_unknown_is_ignored() -> None:
    assert decode(Sample, b'{"number": 1, "future": {}}') == Sample(1)


def test_everything_comes_back_as_it_was() -> None:
    whole = Sample(-7, 1.5, True, "b", Inner("abc"), [Inner(""), Inner("é")], {"x": 1})
    assert decode(Sample, encode(whole)) == whole


def test_an_int_is_good_for_a_float() -> None:
    (ratio,) = (decode(Sample, b'{"number": 1, "ratio": 2}').ratio,)
    assert (ratio, type(ratio)) == (2.0, float)


WRONG = {
    "{": "$: not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    "[]": "$: must be an object, not list",
    "null": "$: must be an object, not null",
    "{}": "$.number: is missing",
    '{"number": "1"}': "$.number: must be int, not str",
    '{"number": 1.5}': "$.number: must be int, not float",
    '{"number": true}': "$.number: must be int, not bool",
    '{"number": null}': "$.number: must be int, not null",
    '{"number": 1, "flag": 1}': "$.flag: must be bool, not int",
    '{"number": 1, "ratio": true}': "$.ratio: must be float, not bool",
    '{"number": 1, "word": "c"}': "$.word: must be one of 'a', 'b', ''",
    '{"number": 1, "word": []}': "$.word: must be one of 'a', 'b', ''",
    '{"number": 1, "inner": []}': "$.inner: must be an object, not list",
    '{"number": 1, "inner": {"name": "long"}}': "$.inner: name: 4 long, the limit is 3",
    '{"number": 1, "inner": {"name": "\\u0000"}}': (
        "$.inner: name: holds a NUL or half a surrogate pair"
    ),
    '{"number": 1, "inner": {"name": "\\ud83d"}}': (
        "$.inner: name: holds a NUL or half a surrogate pair"
    ),
    '{"number": 1, "items": {}}': "$.items: must be a list, not dict",
    '{"number": 1, "items": [{"name": ""}, 1]}': "$.items[1]: must be an object, not int",
    '{"number": 1, "items": [{"name": ""}, {}]}': "$.items[1].name: is missing",
    '{"number": 1, "items": [{"name": ""}, {"name": ""}, {"name": ""}]}': (
        "$: items: 3 long, the limit is 2"
    ),
    '{"number": 1, "table": []}': "$.table: must be an object, not list",
    '{"number": 1, "table": {"x": "y"}}': "$.table.x: must be int, not str",
    '{"number": 1, "ratio": NaN}': "$: ratio: must be a finite number",
    '{"number": 1, "ratio": 1e999}': "$: ratio: must be a finite number",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_message_that_does_not_fit_is_refused_with_its_path(text: str) -> None:
    with pytest.raises(BadMessage) as refusal:
        decode(Sample, text)
    assert str(refusal.value) == WRONG[text]
    assert f"{refusal.value.path}: {refusal.value.why}" == WRONG[text]


def test_json_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(BadMessage, match=r"^\$: not JSON: "):
        decode(Sample, "[" * 200_000)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(BadMessage, match=r"^\$: not JSON: "):
        decode(Sample, b'{"number": "\xff\xfe\xfd"}')


@dataclass(frozen=True)
class Loose:
    """Two kinds that no message has yet: anything, and perhaps nothing."""

    raw: object = None
    number: int | None = None


def test_a_field_may_hold_anything_or_nothing() -> None:
    assert decode(Loose, '{"raw": [1], "number": null}') == Loose([1], None)
    assert decode(Loose, '{"number": 7}') == Loose(None, 7)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
fields = st.sampled_from(["number", "ratio", "flag", "word", "inner", "items", "table"])


@given(st.dictionaries(fields, anything))
def test_no_json_makes_decoding_fail_otherwise(value: dict) -> None:
    with contextlib.suppress(BadMessage):
        decoded = decode(Sample, json.dumps(value))
        assert decode(Sample, encode(decoded)) == decoded


NIC = Nic("52:54:00:12:34:01", "eth0", "e1000e", "pci")
MESSAGES = [
    Hello(Evidence("uuid", "serial", nics=[NIC]), nonce="n", key="k", firmware="uefi"),
    Welcome("run", token="t", mode="enlist", scripts=[ScriptItem(1, "lshw", "ab", timeout_s=1.5)]),
    Batch([Event(1, "started"), Event(2, "output", data="aGk="), Event(3, "end")]),
    Ack(3, "abort", "aborted by ada"),
    PhaseReport("root", "failed", "HTTP 404", 12.5),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_crosses_the_gate_unchanged(message: object) -> None:
    assert decode(type(message), encode(message)) == message


HELLO = {"evidence": {}, "nonce": "n", "key": "k"}
EVENT = {"seq": 1, "kind": "finished"}
REFUSED = [
    (Hello, HELLO | {"nonce": ""}, "$: nonce: must not be empty"),
    (Hello, HELLO | {"key": ""}, "$: key: must not be empty"),
    (Hello, HELLO | {"nonce": "n" * 129}, "$: nonce: 129 long, the limit is 128"),
    (Hello, HELLO | {"evidence": None}, "$.evidence: must be an object, not null"),
    (Hello, HELLO | {"firmware": "coreboot"}, "$.firmware: must be one of 'bios', 'uefi', ''"),
    (
        Hello,
        HELLO | {"evidence": {"vendor": "v" * 257}},
        "$.evidence: vendor: 257 long, the limit is 256",
    ),
    (
        Hello,
        HELLO | {"evidence": {"nics": [{"mac": "m"}] * 513}},
        "$.evidence: nics: 513 long, the limit is 512",
    ),
    (Hello, HELLO | {"evidence": {"nics": [{}]}}, "$.evidence.nics[0].mac: is missing"),
    (Batch, {"events": [EVENT] * 1001}, "$: events: 1001 long, the limit is 1000"),
    (Batch, {"events": [EVENT | {"seq": "1"}]}, "$.events[0].seq: must be int, not str"),
    (
        Batch,
        {"events": [EVENT | {"data": "A" * 87400}]},
        "$.events[0]: data: 87400 long, the limit is 87389",
    ),
    (
        Batch,
        {"events": [EVENT | {"exit_status": 2**31}]},
        "$.events[0]: exit_status: 2147483648 does not fit 32 bits",
    ),
    (
        Batch,
        {"events": [EVENT | {"kind": "gone"}]},
        "$.events[0].kind: must be one of 'started', 'output', 'finished', 'heartbeat', 'end'",
    ),
    (
        PhaseReport,
        {"phase": "end", "status": "done"},
        "$.phase: must be one of 'kernel', 'network', 'firmware', 'swift', 'root', 'metadata',"
        " 'agent', 'drivers'",
    ),
]


@pytest.mark.parametrize(("kind", "value", "expected"), REFUSED, ids=[r[2][:40] for r in REFUSED])
def test_a_bad_message_of_the_protocol_is_refused_by_field(kind, value, expected: str) -> None:
    with pytest.raises(BadMessage) as refusal:
        decode(kind, json.dumps(value))
    assert str(refusal.value) == expected
