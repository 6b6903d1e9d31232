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
    assert "did you mean memory" in person.told_no("machines", "memroy > 1GiB")
