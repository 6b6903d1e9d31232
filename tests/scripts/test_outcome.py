import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.scripts import outcome
from muster.scripts.outcome import BadResult, beyond, read, unit


def test_a_whole_result_file() -> None:
    found = read(b"status: degraded\nlink_connected: false\nresults: {iops: [1, 2.5], ok: true}\n")
    assert (found.state, found.link_connected) == ("degraded", False)
    assert found.values == {"iops": [1, 2.5], "ok": True}
    assert read(b"").state == ""
    assert read(b"{status: timedout}").state == "timed_out"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"status: great", "status: 'great' must be one of passed"),
        (b"status: [passed]", "must be one of"),
        (b"iops: 5", "'iops' is not one of status"),
        (b"- a", "must be a mapping"),
        (b"results: [a]", "results: must be a mapping"),
        (b"results: {a: {b: c}}", "results.a: must be a text"),
        (b"results: {a: [[1]]}", "results.a: must be a text"),
        (b"results: {a: .nan}", "finite"),
        (b"results: {a: 2026-01-01}", "must be a mapping of texts"),
        (b"link_connected: maybe", "must be true or false"),
        (b"a: &x 1\nb: *x", "line 2: not YAML: aliases are not allowed"),
        (b"a: [1", "line 1: not YAML"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"results: {a: " + b"[" * 5000, "not YAML|nested"),
        (b"x" * (outcome.RESULT_YAML_LIMIT + 1), "the limit is"),
        (b"results: {a: '" + b"x" * 5000 + b"'}", "longer than 4096"),
        (b"!!python/object:os.system x", "not YAML"),
    ],
)
def test_what_cannot_be_used_says_why(raw: bytes, why: str) -> None:
    with pytest.raises(BadResult, match=why):
        read(raw)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_and_can_be_kept(raw: bytes) -> None:
    try:
        found = read(raw)
    except BadResult:
        return
    json.dumps(found.values, allow_nan=False)


def test_thresholds_hold_every_number() -> None:
    limits = {"iops": {"min": 1000}, "errors": {"max": 0}}
    assert beyond({"iops": 1000, "errors": 0}, limits) == ""
    assert beyond({"iops": [2000, 900]}, limits) == "iops is 900, less than 1000"
    assert beyond({"errors": 1}, limits) == "errors is 1, more than 0"
    assert beyond({"errors": True, "iops": "none"}, limits) == ""


def test_the_unit_is_at_the_end_of_the_title() -> None:
    assert unit("Random reads (IOPS)") == "IOPS"
    assert unit("Errors") == ""
