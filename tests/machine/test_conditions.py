"""The language of conditions: what it says yes, no and not known to, and what it refuses."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muster.machine.columns import COLUMNS, LISTS
from muster.machine.conditions import BECAUSE_LIMIT, Verdict, evaluate
from muster.machine.grammar import DEPTH, LENGTH, TESTS, BadExpression, parse

GIB = 2**30
HARDWARE: dict[str, Any] = {
    "memory": 768 * GIB,
    "cpu.cores": 96,
    "cpu.model": "",
    "virtual": False,
    "disks": [
        {"name": "nvme0n1", "type": "nvme", "size": 1_920_383_410_176, "rotational": False},
        {"name": "sda", "type": "sata", "size": 480 * 10**9, "rotational": None},
    ],
    "nics": [
        {"name": "eth0", "vendor": "Intel Corporation", "speed": 1000, "link": True},
        {"name": "ens1", "vendor": "Mellanox Technologies", "speed": 25000, "link": True},
    ],
    "gpus": [],
    "nic.count": 2,
}
FACTS: dict[str, Any] = {
    "name": "web-1",
    "state": "Ready",
    "vendor": "Dell Inc.",
    "serial": "",
    "permitted": True,
    "created_at": datetime(2026, 3, 1, 12, tzinfo=UTC),
    "macs": ["52:54:00:12:34:01"],
    "hardware": HARDWARE,
}
NEVER_SURVEYED = FACTS | {"hardware": {}}

YES, NO, UNKNOWN = True, False, None
CASES: dict[str, tuple[bool | None, str]] = {
    "memory >= 512GiB": (YES, "memory is 768 GiB"),
    "memory < 512 GiB": (NO, "memory is 768 GiB, not < 512 GiB"),
    "memory = 768gib": (YES, "memory is 768 GiB"),
    "memory = 0": (NO, "memory is 768 GiB, not = 0"),
    "cpu.cores >= 64": (YES, "cpu.cores is 96"),
    "cpu.cores in (64, 96)": (YES, "cpu.cores is 96"),
    "cpu.cores not in (64, 96)": (NO, "cpu.cores is 96"),
    'state = "ready"': (YES, 'state is "Ready"'),
    "state = Ready": (YES, 'state is "Ready"'),
    "state != Ready": (NO, 'state is "Ready", not != Ready'),
    "name matches 'web-*'": (YES, 'name is "web-1"'),
    "name matches '*-?'": (YES, 'name is "web-1"'),
    "name matches 'web'": (NO, 'name is "web-1", not matches web'),
    "vendor has dell": (YES, 'vendor is "Dell Inc."'),
    "permitted": (YES, "permitted is yes"),
    "not permitted": (NO, "permitted is yes"),
    "virtual": (NO, "virtual is no"),
    "permitted = no": (NO, "permitted is yes"),
    "created_at >= 2026-03-01": (YES, "created_at is 2026-03-01 12:00"),
    "created_at < 2026-03-01T12:00Z": (
        NO,
        "created_at is 2026-03-01 12:00, not < 2026-03-01T12:00Z",
    ),
    'nic.vendor has "mellanox"': (YES, 'nic ens1: vendor is "Mellanox Technologies"'),
    "not nic.vendor has mellanox": (NO, 'nic ens1: vendor is "Mellanox Technologies"'),
    "nic.speed > 30Gbit": (
        NO,
        "nic eth0: speed is 1 Gbit/s, not > 30 Gbit; nic ens1: speed is 25 Gbit/s, not > 30 Gbit",
    ),
    "any(nic.vendor has Intel and nic.speed >= 10Gbit/s)": (
        NO,
        "nic eth0: speed is 1 Gbit/s, not >= 10 Gbit/s;"
        ' nic ens1: vendor is "Mellanox Technologies", not has Intel',
    ),
    "all(nic.link)": (YES, "nic eth0: link is yes; nic ens1: link is yes"),
    "all(nic.speed >= 10Gbit)": (NO, "nic eth0: speed is 1 Gbit/s, not >= 10 Gbit"),
    "count(nic.link) >= 2": (YES, "2 of 2 nics are so"),
    "count(disk.size >= 1TB) = 1": (YES, "1 of 2 disks are so"),
    "any(gpu.vendor has nvidia)": (NO, "it has no gpu"),
    "all(gpu.vendor has nvidia)": (YES, "it has no gpu"),
    'mac = "52:54:00:12:34:01"': (YES, 'mac 52:54:00:12:34:01: mac is "52:54:00:12:34:01"'),
    "serial = S1": (UNKNOWN, "serial is not known: its document does not state it"),
    "not serial = S1": (UNKNOWN, "serial is not known: its document does not state it"),
    "serial is unknown": (YES, "serial is not known"),
    "memory is known": (YES, "memory is known"),
    "dimm.size >= 32GiB": (UNKNOWN, "dimm is not known: its document does not state it"),
    "dimm.size is unknown": (YES, "dimm is not known: its document does not state it"),
    "all(disk.rotational = no)": (
        UNKNOWN,
        "disk sda: rotational is not known: its document does not state it",
    ),
    "count(disk.rotational = no) >= 1": (YES, "1 of 2 disks are so"),
    "count(disk.rotational = no) = 2": (
        UNKNOWN,
        "1 of 2 disks are so and of 1 too little is known",
    ),
    "serial = S1 and memory < 1GiB": (NO, "memory is 768 GiB, not < 1 GiB"),
    "serial = S1 or memory > 1GiB": (YES, "memory is 768 GiB"),
    "serial = S1 and memory > 1GiB": (
        UNKNOWN,
        "serial is not known: its document does not state it",
    ),
    "state = New or state = Ready and not virtual": (
        YES,
        'state is "Ready" and virtual is no',
    ),
    "(state = New or state = Ready) and virtual": (NO, "virtual is no"),
    'memory >= 512GiB and nic.vendor has "Mellanox" and cpu.cores >= 64': (
        YES,
        'memory is 768 GiB and nic ens1: vendor is "Mellanox Technologies" and cpu.cores is 96',
    ),
}


@pytest.mark.parametrize("text", CASES, ids=str)
def test_every_condition_has_its_answer_and_its_reason(text: str) -> None:
    holds, because = CASES[text]
    assert evaluate(parse(text), FACTS) == Verdict(holds, because)


REFUSED = {
    "": "is empty",
    "memroy >= 1GiB": "there is no column 'memroy'; did you mean memory",
    "zzz = 1": "there is no column 'zzz'; see docs/filter.md",
    "memory >= 512": "memory is a size and needs a unit, as 512GiB",
    "memory >= 512GHz": "memory is a size: 'GHz' is none of its units",
    "memory >= big": "memory is a size, not text: write it as 512GiB",
    "cpu.cores >= 64GiB": "cpu.cores is a number without unit: leave 'GiB' out",
    "nic.speed >= 25GB": "nic.speed is a speed: 'GB' is none of its units",
    "state >= Ready": "state is text: it has no order",
    "state = 5": "state is text, not a number",
    "memory has 5": "memory is a size: 'has' is for text",
    "created_at > yesterday": "created_at is a point in time: 'yesterday' is no date",
    "memory": "memory is a size: compare it, as memory >= 512GiB",
    "state is Ready": 'state: after "is" comes known or unknown; to compare write state =',
    "nic.vendor != Intel": "nic.vendor is one of each nic: write any(nic.vendor != ...)",
    "any(nic.speed > 1Gbit and disk.size > 1GB)": "is about one list, not disk and nic",
    "any(memory > 1GB)": "any(...) needs a column of a list",
    "any(nic.link and all(nic.link))": "all(...) cannot stand in another",
    "count(nic.link)": "compare it, as count(...) >= 2",
    "state = Ready)": "character 14, at ')': expected and, or, or the end",
    "(state = Ready": "at the end: expected ')'",
    "state = Ready state": "expected and, or, or the end",
    "state = 'Ready": "character 9: a quoted text that does not end",
    "state = $(reboot)": "character 9: '$' is no part of a condition",
    "state =": "expected a value for state",
    "and state": "expected a column",
    "state in Ready": 'write state in ("one", "other")',
    "x" * (LENGTH + 1): f"the limit is {LENGTH}",
    "(" * 100 + "virtual" + ")" * 100: f"nested deeper than {DEPTH}",
    "not " * 100 + "virtual": f"nested deeper than {DEPTH}",
    " or ".join(["virtual"] * (TESTS + 1)): f"more than {TESTS} tests",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40])
def test_what_cannot_be_read_is_named_with_its_remedy(text: str) -> None:
    with pytest.raises(BadExpression) as refused:
        parse(text)
    assert REFUSED[text] in str(refused.value)
    assert len(str(refused.value)) < 300


def test_nothing_is_known_of_the_hardware_of_a_machine_never_surveyed() -> None:
    for name, column in COLUMNS.items():
        if column.path[:1] == ("hardware",) or LISTS.get(column.of, ("",))[0] == "hardware":
            found = evaluate(parse(f"{name} is unknown"), NEVER_SURVEYED)
            assert found.holds is True
    told = evaluate(parse("memory > 1GiB"), NEVER_SURVEYED)
    assert told.because == (
        "memory is not known: it has sent no resources document that could be read"
    )


def test_a_vendor_s_control_characters_do_not_reach_the_reason() -> None:
    facts = FACTS | {"vendor": "\x1b[2J\u202eevil\n" + "x" * 9000}
    told = evaluate(parse("vendor has evil"), facts).because
    assert told.isprintable()
    assert len(told) < 100


def test_a_pattern_made_to_be_slow_is_not() -> None:
    facts = FACTS | {"vendor": "a" * 256}
    assert evaluate(parse(f"vendor matches '{'*a' * 300}b'"), facts).holds is False


def test_ten_thousand_disks_are_answered_with_a_short_reason() -> None:
    disks = [{"name": f"sd{n}", "size": 10**12} for n in range(10_000)]
    told = evaluate(parse("disk.size < 1TB"), {"hardware": {"disks": disks}})
    assert told.holds is False
    assert "and 9997 more" in told.because


atoms = st.sampled_from([case for case in CASES if not case.startswith("not ")])
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        inner.map(lambda text: f"not ({text})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        ),
    ),
    max_leaves=6,
)
machines = st.sampled_from([FACTS, NEVER_SURVEYED, {}])


def holds(text: str, facts: dict[str, Any]) -> bool | None:
    return evaluate(parse(text), facts).holds


@given(conditions, conditions, machines)
def test_not_and_or_obey_de_morgan_also_where_too_little_is_known(
    one: str, other: str, facts: dict[str, Any]
) -> None:
    either = holds(f"not ({one}) or not ({other})", facts)
    assert holds(f"not (({one}) and ({other}))", facts) == either
    assert holds(f"not not ({one})", facts) == holds(one, facts)


@given(conditions, machines)
def test_every_answer_has_a_short_reason(text: str, facts: dict[str, Any]) -> None:
    found = evaluate(parse(text), facts)
    assert 0 < len(found.because) <= BECAUSE_LIMIT


@given(st.text(alphabet=st.characters(max_codepoint=0x2100), max_size=60))
@example("1e999")
@example("cpu.cores > " + "9" * 1900)
@example("created_at > 0001-01-01T00:00:00+23:59")
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        node = parse(text)
    except BadExpression:
        return
    assert evaluate(node, FACTS).because


words = [
    *COLUMNS, "and", "or", "not", "(", ")", "any(", "all(", "count(", ">=", "=", "has", "in",
    "is known", "matches", "1", "5GiB", "25Gbit", "Ready", '"x"', "2026-01-01", ",", "yes",
]  # fmt: skip
junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["size", "name", "disks", "nics", "memory"]), inner),
    ),
    max_leaves=8,
)


@given(st.lists(st.sampled_from(words), max_size=12).map(" ".join), junk)
def test_words_in_any_order_and_facts_of_any_shape_never_raise(text: str, hardware: Any) -> None:
    try:
        node = parse(text)
    except BadExpression:
        return
    evaluate(node, FACTS | {"hardware": hardware})
