"""`muster clashes` and `muster clash`."""

import pytest
from tests.api.test_clash_routes import M2, U1, two
from tests.cli.conftest import Person


@pytest.mark.slow
def test_a_person_says_who_is_who_and_takes_it_back(person: Person) -> None:
    one, other = two(person.desk)
    assert person.gets("clashes") == "no clash waits for a decision\n"
    person.desk.client.get("/boot/ipxe", params={"mac": M2, "uuid": U1})
    assert f"hardware UUID is {one}'s" in person.gets("clashes")
    shown = person.gets("clash", "show", "1")
    assert f"{other} (New), weight -20:" in shown
    assert f"+60 MAC {M2} is on both" in shown
    assert person.gets("clash", "decide", "1", "same", one) == "clash 1 is decided: same\n"
    assert "same by admin" in person.gets("clashes", "--decided")
    assert "is being looked at" in person.told_no("clash", "split", one, M2)
    assert "waits again" in person.gets("clash", "undo", "1")
    assert "is not decided" in person.told_no("clash", "undo", "1")
    assert "clash 1 waits about these two" in person.told_no("clash", "merge", one, other)
    person.gets("clash", "decide", "1", "different")
    assert "is being looked at" in person.told_no("clash", "merge", one, other)
