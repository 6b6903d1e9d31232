"""`muster diff` and `muster component`."""

import json

import pytest
from rackserver import rackserver
from tests.api.test_history import Server
from tests.cli.conftest import Person


@pytest.mark.slow
def test_a_person_reads_what_changed_and_where_a_dimm_was(person: Person) -> None:
    server = Server(person.desk, 1)
    server.sends(rackserver())
    plain = rackserver()
    plain["extra"]["dimms"]["slots"][9]["size"] = 0
    server.sends(plain)
    done = person.types("diff", server.name)
    assert done.returncode == 1
    assert "DIMM in slot B2 is gone: 32 GiB DDR4 Samsung M393A4K40DB3-CWE serial 03AB277F" in (
        done.stdout
    )
    assert "nothing changed from version 1" in person.gets("diff", server.name, "1", "1")
    found = json.loads(person.types("diff", server.name, "-o", "json").stdout)
    assert found["changes"][0]["what"] == "gone"
    table = person.gets("component", "03AB277F")
    assert server.name in table
    assert "slot B2" in table
    assert "no machine has shown" in person.told_no("component", "nothing")
