"""`muster user`, `muster key`, `muster view`."""

import pytest
from tests.api.test_filtering import GIB, enlist, survey
from tests.cli.conftest import Person

PASSWORD = "correct horse battery\n"


@pytest.mark.slow
def test_an_admin_keeps_accounts_and_keys(person: Person) -> None:
    done = person.types("user", "add", "eve", "--role", "operator", stdin=PASSWORD)
    assert done.stdout == "eve was added as operator\n"
    assert person.gets("user", "role", "eve", "viewer") == "eve is viewer now\n"
    assert "eve" in person.gets("user", "list")
    done = person.types("user", "password", "eve", stdin="short\n")
    assert (done.returncode, "12" in done.stderr) == (1, True)
    assert person.gets("user", "remove", "eve") == "eve was removed\n"
    key = person.gets("key", "make", "ci").strip()
    assert person.gets("machines", "-o", "json", MUSTER_KEY=key) == "[]\n"
    rows = person.gets("key", "list").splitlines()
    number = next(row.split()[0] for row in rows if "ci" in row)
    assert person.gets("key", "close", number) == f"key {number} is closed\n"
    assert "revoked API key" in person.told_no("machines", MUSTER_KEY=key)


@pytest.mark.slow
def test_a_view_is_kept_and_shown(person: Person) -> None:
    for number, memory in ((1, 768), (2, 256), (3, 512)):
        enlist(person.desk, number, survey(memory * GIB, "Intel"))
    words = ("view", "save", "big", "memory >= 512GiB", "--sort=-memory", "--shared")
    assert "muster machines --view big" in person.gets(*words)
    assert "memory >= 512GiB" in person.gets("view", "list")
    rows = person.gets("machines", "--view", "big", "--columns", "name", "-o", "csv").split()
    assert rows == ["name", "m01", "m03"]
    assert person.gets("view", "remove", "big") == "big was removed\n"
    assert "there is no view 'big'" in person.told_no("machines", "--view", "big")
