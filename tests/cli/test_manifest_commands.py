"""`muster manifest`: from a table to what is missing, and back."""

import pytest
from rackserver import rackserver
from tests.api.test_history import Server
from tests.cli.conftest import Person


@pytest.mark.slow
def test_a_person_imports_a_table_checks_it_and_exports_it(person: Person) -> None:
    server = Server(person.desk, 1)
    server.sends(rackserver())
    file = person.folder / "racks.csv"
    file.write_bytes("Name;MAC;Rack;U;Price\nweb-1;52:54:00:12:36:01;R12;U17;9\nweb-2;;R12;18;9\n"
                     .encode("utf-16"))  # fmt: skip
    tried = person.gets("manifest", "import", str(file), "--dry-run")
    assert tried.splitlines()[-1] == (
        "2 added, 0 changed, 0 removed, 0 unchanged (dry run: nothing was stored)"
    )
    assert "added: web-2" in person.gets("manifest", "import", str(file))
    again = person.types("manifest", "import", str(file))
    assert again.stdout == "0 added, 0 changed, 0 removed, 2 unchanged\n"
    assert again.stderr == "columns that nobody knows: Price\n"
    checked = person.types("manifest", "check")
    assert checked.returncode == 1
    assert checked.stdout == (
        f"web-1 (R12 U17): name {server.name}, the manifest says web-1\n"
        "web-2 (R12 U18): nothing with its name web-2 has come yet\n"
        "of 2 expected machines 0 matching, 1 mismatching, 1 missing, 0 unexpected\n"
    )
    assert person.gets("manifest", "apply", "web-1") == "web-1: web-1 was given it\n"
    assert "R12 U17  web-1  52:54:00:12:36:01" in person.gets("manifest", "show")
    assert "rack: R12" in person.gets("manifest", "show", "web-2")
    shown = " ".join(person.gets("show", "web-1").split())
    assert "rack R12 U17 manifest web-1: matching" in shown
    file.write_text(person.gets("manifest", "export").replace("R12", "R13"))
    assert "changed: web-1: rack R12, now R13" in person.gets("manifest", "import", str(file))
    file.write_text("name,mac\nweb-3,x\nweb 4,\n")
    told = person.told_no("manifest", "import", str(file))
    assert "line 2: macs: 'x' is no MAC of a NIC" in told
    assert "line 3: name: 'web 4' is no DNS label" in told
    assert person.gets("manifest", "remove", "web-2") == "web-2 is not expected any more\n"
    assert person.types("manifest", "check", "--rack", "R13").returncode == 0
