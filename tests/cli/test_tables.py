"""Tables as people and their pipes get them."""

import sys

import pytest

from muster.cli import tables

LONG = "a-name-as-long-as-any-may-be-that-stands-in-the-first-column"
WORDS = "Supermicro AS -2124US-TNRP " * 8


def some() -> None:
    made = tables.table("name", "hardware", "serial")
    made.add_row(LONG, WORDS.strip(), "Y" * 90)
    made.add_row("m2", "", "")
    tables.put(made)


def test_through_a_pipe_a_row_is_one_line_with_all_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    some()
    head, long, short = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "hardware", "serial"]
    assert long == f"{LONG}  {WORDS.strip()}  {'Y' * 90}"
    assert short == "m2"


def test_on_a_narrow_terminal_nothing_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    some()
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert LONG in text
    assert "…" not in text
    assert sum(line.count("Y") for line in text.splitlines()) == 90
