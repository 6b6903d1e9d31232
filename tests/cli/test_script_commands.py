"""muster script, test, override, suppress, findings: as processes against a real server."""

import json
from pathlib import Path

import pytest
from tests.api.desk import resources, story
from tests.cli.conftest import Person

SOURCE = """#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: mine
# title: {title}
# tags: quick
# --- End MAAS 1.0 script metadata ---
"""


def test_lint_needs_no_server_and_tells_every_line(stranger: Person, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text(SOURCE.format(title="one"))
    bad.write_text(SOURCE.format(title="[a]").replace("tags", "gats"))
    assert "testing script mine: good" in stranger.gets("script", "lint", str(good))
    told = stranger.types("script", "lint", str(good), str(bad))
    assert told.returncode == 1
    assert f"{bad}:4: title: must be text, not a list" in told.stdout
    assert f"{bad}:5: gats: is not a field" in told.stdout
    assert "No such file" in stranger.told_no("script", "lint", str(tmp_path / "none"))


@pytest.mark.slow
def test_a_script_s_life_as_a_person_sees_it(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    for number, title in ((1, "one"), (2, "two")):
        file.write_text(SOURCE.format(title=title))
        told = person.gets("script", "add", str(file), "--comment", title)
        assert f"mine: version {number} (" in told
    listed = json.loads(person.gets("script", "list", "--tag", "quick", "--output", "json"))
    assert "mine" in [script["name"] for script in listed]
    assert "version 1" in person.gets("script", "show", "mine")
    assert person.gets("script", "show", "mine", "--source") == file.read_text()
    changed = person.types("script", "diff", "mine")
    assert changed.returncode == 1
    assert "-# title: one" in changed.stdout
    assert "+# title: two" in changed.stdout
    words = ("--no-enable", "--tags", "a,b", "--timeout", "9", "--threshold", "iops>=5")
    assert "changed" in person.gets("script", "change", "mine", *words)
    shown = person.gets("script", "show", "mine")
    assert '{"iops": {"min": 5.0}}' in shown
    assert '["a", "b"]' in shown
    file.write_text("#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n")
    assert "line 2" in person.told_no("script", "add", str(file))
    assert "removed" in person.gets("script", "remove", "mine")
    assert "no script" in person.told_no("script", "show", "mine")


@pytest.mark.slow
def test_a_machine_is_tested_and_judged(person: Person) -> None:
    welcome = person.desk.enlist()
    name = welcome["machine"]
    person.desk.events(welcome["token"], story(welcome, document=resources()))
    assert json.loads(person.gets("findings", name))["virtuality"]["virtual"] is False
    assert "cannot become Testing" in person.told_no("test", name, "smartctl-validate")
    with person.desk.store.write() as tx:
        tx.exec_driver_sql("UPDATE machines SET state = 'Failed testing'")
    assert "Ready: failed tests overridden" in person.gets("override", name, "--reason", "known")
    assert "would destroy" in person.told_no("test", name, "fio-destructive")
    assert "Testing: run " in person.gets(
        "test", name, "stress-ng-cpu-short", "--param", "runtime=60"
    )
    result = welcome["scripts"][0]["result"]
    assert "known" in person.gets("suppress", str(result), "--reason", "known")
    assert "counts again" in person.gets("suppress", str(result))
