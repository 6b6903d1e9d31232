"""Tags by XPath over what lshw printed, and what the virtuality script says."""

from datetime import datetime

import pytest
from rack import Rack, event

from muster.lifecycle import tags
from muster.lifecycle.survey import LSHW, VIRTUALITY
from muster.scripts import catalogue
from muster.store import machines
from muster.store import tags as rows
from muster.wire.codec import BadMessage

REAL = catalogue.for_commission
"""Before conftest.py takes most of them away."""
TREE = b"""<list><node id="box" class="system"><product>Rack 9000</product>
<node id="nic" class="network"><configuration><setting id="driver" value="%b"/></configuration>
</node></node></list>"""


@pytest.fixture(autouse=True)
def two_scripts(monkeypatch: pytest.MonkeyPatch, three_scripts: None) -> None:
    assert three_scripts is None, "it takes away what is given back here"
    two = [script for script in REAL() if script.name in (LSHW, VIRTUALITY)]
    monkeypatch.setattr(catalogue, "for_commission", lambda: two)


def arrive(
    rack: Rack, number: int, driver: bytes, hypervisor: bytes = b"kvm", again: str = ""
) -> str:
    if again:
        rack.set(again, surveyed_at=None)
    uuid = f"0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e00{number:02x}"
    mac = f"52:54:00:12:34:{number:02x}"
    _, welcome = rack.arrive(uuid=uuid, macs=[mac], serial=f"SN{number}", key=f"k{driver!r}")
    said = {LSHW: TREE % driver, VIRTUALITY: hypervisor + b"\n"}
    seq = 0
    for item in welcome.scripts:
        for kind, words in (("output", {"data": said[item.name]}), ("finished", {})):
            seq += 1
            rack.send(welcome.token, event(seq, kind, item.result, **words))
    rack.send(welcome.token, event(seq + 1, "end"))
    return welcome.machine


def of(rack: Rack, name: str) -> dict[str, tuple[str, str]]:
    """Source and reason by tag."""
    with rack.store.read() as tx:
        found = rows.of_machine(tx, machines.find(tx, name).id)
        return {row.tag: (row.source, row.because) for row in found}


def define(rack: Rack, name: str, text: str, now: datetime) -> None:
    tags.define(rack.store, name, comment="", kind="xpath", definition=text, actor="ann", now=now)
    while tags.catch_up(rack.store, now):
        pass


def test_an_xpath_gives_a_tag_to_the_machines_whose_lshw_has_it(rack: Rack, now: datetime) -> None:
    fast, slow = arrive(rack, 1, b"ixgbe"), arrive(rack, 2, b"e1000e")
    define(rack, "intel10g", "//setting[@id='driver' and @value='ixgbe']", now)
    assert of(rack, fast)["intel10g"] == ("definition", "lshw has setting driver")
    assert "intel10g" not in of(rack, slow)
    arrive(rack, 2, b"ixgbe", again=slow)
    assert "intel10g" in of(rack, slow), "tried again when lshw was read"
    arrive(rack, 1, b"tg3", again=fast)
    assert "intel10g" not in of(rack, fast)


def test_many_machines_are_tried_in_small_steps(rack: Rack, now: datetime) -> None:
    names = [arrive(rack, number, b"ixgbe") for number in range(1, 13)]
    define(rack, "net", "//node[@class='network']", now)
    assert all("net" in of(rack, name) for name in names)
    assert rack.told("tag.settled")[-1] == "tag net: 12 machines have it"


def test_an_xpath_that_is_none_is_refused_and_one_that_fails_gives_nothing(
    rack: Rack, now: datetime
) -> None:
    name = arrive(rack, 1, b"ixgbe")
    with pytest.raises(BadMessage, match="unexpected end"):
        define(rack, "broken", "//node[", now)
    nested = "//*[count(//*[count(//*[count(//*[count(//*)>1])>1])>1])>1000 or $none]"
    define(rack, "strange", nested, now)
    assert "strange" not in of(rack, name)


def test_a_virtual_machine_has_its_tag_with_the_hypervisor_and_loses_it(
    rack: Rack, now: datetime
) -> None:
    name = arrive(rack, 1, b"a", b"vmware")
    assert of(rack, name)["virtual"] == ("automatic", "the hypervisor is vmware")
    arrive(rack, 1, b"b", b"none", again=name)
    assert "virtual" not in of(rack, name)
