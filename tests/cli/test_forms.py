"""Lists for programs and spreadsheets."""

import csv
import io
import json

import pytest
import yaml
from tests.api.desk import resources, story
from tests.cli.conftest import Person

from muster.cli.forms import csv_text, yaml_text


def test_a_spreadsheet_gets_text_where_a_vendor_wrote_a_formula() -> None:
    told = csv_text(("vendor", "n"), [['=HYPERLINK("x")', 5], ["a\x1b[2J,b\n", ""]])
    (first, second) = list(csv.reader(io.StringIO(told)))[1:]
    assert first == ['\'=HYPERLINK("x")', "5"]
    assert second == ["a\ufffd[2J,b\ufffd", ""]


def test_yaml_reads_back_as_what_was_written() -> None:
    found = [{"name": "no", "uuid": "1e3", "macs": ["a\u202eb"], "summary": {"n": None}}]
    assert yaml.safe_load(yaml_text(found)) == found


@pytest.mark.slow
def test_a_condition_lists_in_every_form(person: Person) -> None:
    welcome = person.desk.enlist()
    person.desk.events(welcome["token"], story(welcome, document=resources()))
    name = welcome["machine"]
    table = person.gets("machines", "state = New")
    assert name in table
    assert "because" in table
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        (found,) = read(person.gets("machines", "memory is unknown", "-o", form))
        assert found["name"] == name
    (row,) = csv.DictReader(io.StringIO(person.gets("machines", "state = New", "-o", "csv")))
    assert (row["name"], row["because"]) == (name, 'state is "New"')
    assert "no machine is so" in person.gets("machines", "state = Ready")
    nothing = ("machines", "state = Ready", "--fields", "name, pool", "-o", "csv")
    assert person.gets(*nothing) == "name,pool\n"
    assert "did you mean memory" in person.told_no("machines", "memroy > 1GiB")


@pytest.mark.slow
def test_columns_are_chosen_and_kept_and_words_find_machines(person: Person) -> None:
    name = person.desk.enlist()["machine"]
    other = person.desk.enlist(mac="52:54:00:12:34:77", uuid="5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0b77")
    listed = person.gets("machines", "--columns", "name,macs", "-o", "csv", "--sort", "-created_at")
    assert listed.splitlines() == [
        "name,macs",
        f"{other['machine']},52:54:00:12:34:77",
        f"{name},52:54:00:12:34:01",
    ]
    found = person.gets("machines", "--search", "3477", "--columns", "name,state", "--save-columns")
    assert other["machine"] in found
    assert name not in found
    assert person.gets("machines", "-o", "csv").splitlines()[0] == "name,state"
    assert "there is no 'size'" in person.told_no("machines", "--columns", "size")
