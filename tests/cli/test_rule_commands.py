"""`muster rule`."""

import pytest
from tests.api.test_filtering import enlist
from tests.cli.conftest import Person


@pytest.mark.slow
def test_a_person_tries_a_rule_and_switches_it_on(person: Person) -> None:
    enlist(person.desk, 1)
    words = ("rule", "add", "new", "state = New", "--tag", "fresh", "--pool", "lab")
    assert "new is off: try it" in person.gets(*words)
    assert "was not tried" in person.told_no("rule", "enable", "new")
    told = person.gets("rule", "dry-run", "new")
    assert 'm01: yes: state is "New"; would get tag fresh, go into pool lab' in told
    assert told.endswith("of 1 machines: yes 1, no 0, not known 0\n")
    assert person.gets("rule", "enable", "new") == "new is on\n"
    assert "tags fresh, pool lab" in person.gets("rule", "list")
    assert "go round" in person.told_no("rule", "add", "x", "tag = a", "--tag", "a")
    assert person.gets("rule", "disable", "new") == "new is off\n"
    assert person.gets("rule", "delete", "new") == "new was deleted\n"
