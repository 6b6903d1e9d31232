"""`muster profile`, `muster deviations`, `muster odd-ones`."""

import pytest
from rackserver import rackserver
from tests.api.test_history import Server
from tests.cli.conftest import Person


@pytest.mark.slow
def test_a_person_learns_a_profile_edits_it_and_finds_what_deviates(person: Person) -> None:
    golden, other = Server(person.desk, 1), Server(person.desk, 2)
    golden.sends(rackserver())
    plain = rackserver()
    plain["extra"]["bmc"]["firmware_version"] = "5.0"
    other.sends(plain)
    assert person.gets("profile", "learn", "r750", golden.name).startswith("r750: system, BIOS")
    done = person.types("deviations", "r750")
    assert done.returncode == 1
    assert f"{other.name}: BMC: firmware 5.0, expected 6.10" in done.stdout
    assert "of 2 machines 1 are as expected" in done.stdout
    file = person.folder / "r750.yaml"
    file.write_text(person.gets("profile", "show", "r750").replace("6.10", "5.0"))
    assert person.gets("profile", "set", "r750", str(file)) == "r750 was changed\n"
    assert f"{golden.name}: BMC: firmware 6.10, expected 5.0" in (
        person.types("deviations", "r750").stdout
    )
    assert "for all machines" in person.gets("profile", "list")
    assert person.gets("odd-ones", "nothing") == "none is odd\n"
    assert person.gets("profile", "delete", "r750") == "r750 was deleted\n"
