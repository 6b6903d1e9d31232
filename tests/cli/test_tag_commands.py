"""`muster tag` and `muster machine`."""

import pytest
from tests.api.test_filtering import enlist
from tests.cli.conftest import Person


@pytest.mark.slow
def test_a_person_tags_machines_and_writes_notes(person: Person) -> None:
    enlist(person.desk, 1)
    enlist(person.desk, 2)
    assert person.gets("tag", "add", "spare", "m01", "m02") == "m01: done\nm02: done\n"
    assert "expression: gpu.count >= 2" in person.gets("tag", "set", "gpu", "gpu.count >= 2")
    assert "spare  2" in person.gets("tag", "list")
    assert "by admin" in person.gets("machine", "tags", "m01")
    assert "spare" in person.gets("machines", "tag = spare")
    failed = person.types("tag", "add", "spare", "nobody")
    assert (failed.returncode, failed.stdout) == (1, "nobody: no machine has the id or name "
                                                  "'nobody'\n")  # fmt: skip
    person.gets("machine", "untag", "m01", "spare")
    assert "given by its definition" in person.told_no("machine", "tag", "m01", "gpu")
    person.gets("machine", "note", "m01", "fan 3 rattles")
    assert "admin: fan 3 rattles" in person.gets("machine", "notes", "m01")
    assert person.gets("machine", "pool", "m01", "lab") == "m01: pool lab\n"
    assert person.gets("tag", "delete", "gpu") == "gpu was deleted\n"
