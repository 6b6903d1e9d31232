import re

import pytest
from rack import Rack

from muster.lifecycle import people
from muster.lifecycle.secrets import Forbidden
from muster.store.schema import metadata


@pytest.fixture
def password(rack: Rack) -> str:
    """The admin's, shown once."""
    made = people.first_admin(rack.store, rack.now())
    assert made is not None
    return made


def sign_in(rack: Rack, name: str, password: str) -> str:
    return people.login(rack.store, name, password, rack.now(), key_name="laptop")


def test_the_first_start_makes_one_admin_and_no_later_one(rack: Rack, password: str) -> None:
    assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", password)
    assert people.first_admin(rack.store, rack.now()) is None
    assert rack.told("audit.first_admin") == ["the user admin was made"]


def test_two_servers_that_start_at_once_make_one_admin(rack: Rack, together) -> None:
    made = together(*[lambda: people.first_admin(rack.store, rack.now())] * 2)
    assert made.count(None) == 1


def test_a_key_opens_until_it_is_revoked(rack: Rack, password: str) -> None:
    key = sign_in(rack, "admin", password)
    owner = people.owner_of(rack.store, key)
    assert key.startswith("muster_")
    assert (owner.name, owner.role) == ("admin", "admin")
    assert rack.told("audit.login") == ["admin signed in: key 'laptop'"]
    people.logout(rack.store, key, rack.now())
    with pytest.raises(Forbidden) as refusal:
        people.owner_of(rack.store, key)
    expected = ("unknown or revoked API key", 401)
    assert (str(refusal.value), refusal.value.status) == expected


def test_other_keys_stay_when_one_is_revoked(rack: Rack, password: str) -> None:
    first, second = sign_in(rack, "admin", password), sign_in(rack, "admin", password)
    people.logout(rack.store, first, rack.now())
    assert people.owner_of(rack.store, second).name == "admin"


@pytest.mark.parametrize(("name", "wrong"), [("admin", "guess"), ("nobody", ""), ("admin", "")])
def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(
    rack: Rack, password: str, name: str, wrong: str
) -> None:
    with pytest.raises(Forbidden) as refusal:
        sign_in(rack, name, wrong)
    expected = ("wrong user name or password", 401)
    assert (str(refusal.value), refusal.value.status) == expected
    assert rack.told("audit.login") == []


def test_neither_passwords_nor_keys_are_stored(rack: Rack, password: str) -> None:
    key = sign_in(rack, "admin", password)
    with rack.store.read() as tx:
        tables = [metadata.tables[name] for name in ("users", "api_keys", "events")]
        stored = [str(row) for table in tables for row in tx.execute(table.select())]
    assert len(stored) == 4
    assert not any(secret in row for secret in (key, password) for row in stored)
