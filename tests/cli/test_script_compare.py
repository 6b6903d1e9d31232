"""`muster script compare`: who is the odd one out."""

from typing import Any

import pytest

from muster.scripts import commands


def sample(name: str, speed: float, off: float) -> dict[str, Any]:
    return {"name": name, "device": "sda (S1)", "state": "passed", "values": {"speed": speed},
            "off": {"speed": off}}  # fmt: skip


GROUP = {
    "vendor": "Acme\x1b[31m",
    "product": "R9",
    "model": "S1",
    "numbers": [
        {"name": "speed", "unit": "MiB/s", "median": 100.0},
        {"name": "other", "unit": "", "median": 1.0},
    ],
    "samples": [sample("web-1", 100.0, 0.0), sample("web-2", 61.5, -38.5)],
}


@pytest.mark.parametrize(("beyond", "status"), [(20.0, 1), (50.0, 0)])
def test_what_is_far_from_the_median_is_marked(
    beyond: float,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(commands, "_get", lambda path: [asked.append(path), GROUP][1:])
    monkeypatch.setenv("COLUMNS", "120")
    assert commands.compare("fio", beyond=beyond) == status
    told = capsys.readouterr().out
    assert asked == ["/scripts/fio/comparison"]
    assert "\x1b" not in told
    assert ("61.5 -38.5 % !" in told) == bool(status)
    assert "median" in told
    assert commands.compare("fio", beyond=beyond, output="json") == status
    assert '"samples"' in capsys.readouterr().out


def test_a_test_without_numbers_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "_get", lambda path: [])
    assert commands.compare("fio") == 0
    assert "no result of fio has a number yet" in capsys.readouterr().out
