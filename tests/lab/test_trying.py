"""`muster script try` as far as no machine is needed: refusals, and how a verdict is told."""

from pathlib import Path

import pytest

from muster.lab import trial, trying
from muster.lab.trial import Tried, Verdict, Wish

HEAD = "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: mine\n"
END = "# --- End MAAS 1.0 script metadata ---\n"
TRIED = Tried(
    name="mine",
    device="sda (QEMU\x1b[31m)",
    state="timed_out",
    reason="stopped after its limit of 3 s",
    exit_status=143,
    runtime_s=3.02,
    values={"speed": {"value": 181.5, "unit": "MiB/s"}},
    result_yaml="results: {speed: 181.5}\n",
    output="reading\n",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "mine.sh"
    found.write_text(HEAD + END)
    return found


def test_what_is_wrong_with_a_script_is_told_first(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(HEAD + "# timeout: soon\n# gats: a\n" + END)
    assert trying.try_script(file, images=tmp_path) == trying.NOT_TRIED
    told = capsys.readouterr().err
    assert f"{file}:4: timeout: 'soon' must be" in told
    assert f"{file}:5: gats: is not a field" in told


def test_without_an_image_the_remedy_is_told(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trying.try_script(file, images=tmp_path / "none") == trying.NOT_TRIED
    assert "run 'muster image build'" in capsys.readouterr().err
    assert trying.try_script(tmp_path / "nothing", images=tmp_path) == trying.NOT_TRIED
    assert "No such file" in capsys.readouterr().err


def test_a_verdict_is_told_as_the_server_would(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[Wish] = []

    def run(wish: Wish, ears: trial.Ears) -> Verdict:
        asked.append(wish)
        ears.phase("0.1 s dhcp")
        for device in ("sda", "sdb"):
            ears.output(device, b"one\ntwo \x1b[31m\xff")
        return Verdict(False, "mine on sda timed out", [TRIED])

    monkeypatch.setattr(trial, "run", run)
    assert trying.try_script(file, images=tmp_path, parameter=["depth=3"]) == 1
    assert asked[0].parameters == {"*": {"depth": "3"}}
    told = capsys.readouterr().out
    assert told.startswith("== sda\none\ntwo ")
    assert "== sdb\none\n" in told
    assert "\x1b" not in told
    for line in ("mine on sda (QEMU\ufffd[31m): timed out after 3.0 s", "  exit status  143",
                 "  speed        181.5 MiB/s", "    results: {speed: 181.5}",
                 "a run with it fails: mine on sda timed out"):  # fmt: skip
        assert line in told.splitlines()


def test_a_script_for_other_hardware_is_told_not_to_have_run(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    passed = Verdict(False, "every script passed", [])
    monkeypatch.setattr(trial, "run", lambda wish, ears: passed)
    assert trying.try_script(file, images=tmp_path) == 1
    assert "none of the hardware that it is for" in capsys.readouterr().out
    assert trying.try_script(file, images=tmp_path, output="json") == 1
    assert '"results": []' in capsys.readouterr().out
