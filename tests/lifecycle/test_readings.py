import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.lifecycle import readings
from muster.lifecycle.readings import READERS, Unreadable

LLDP = b"""<?xml version="1.0" encoding="UTF-8"?>
<lldp label="LLDP neighbors">
 <interface label="Interface" name="eth1" via="LLDP" rid="1" age="0 day, 00:00:03">
  <chassis label="Chassis">
   <id label="ChassisID" type="mac">00:1c:73:aa:bb:cc</id>
   <name label="SysName">leaf-7</name>
   <descr label="SysDescr">A switch</descr>
   <mgmt-ip label="MgmtIP">192.0.2.7</mgmt-ip><mgmt-ip label="MgmtIP">2001:db8::7</mgmt-ip>
  </chassis>
  <port label="Port"><id label="PortID" type="ifname">Ethernet12</id>
   <descr label="PortDescr">rack 4 unit 12</descr></port>
  <vlan label="VLAN" vlan-id="40" pvid="yes">machines</vlan>
  <vlan label="VLAN" vlan-id="41" pvid="no">storage</vlan>
 </interface>
 <interface label="Interface" name="eth2" via="unknown"/>
</lldp>"""


def test_a_neighbour_is_switch_port_vlans_and_addresses() -> None:
    assert readings.lldp(LLDP) == [
        {
            "interface": "eth1",
            "via": "LLDP",
            "switch": "leaf-7",
            "chassis_id": "00:1c:73:aa:bb:cc",
            "description": "A switch",
            "management": ["192.0.2.7", "2001:db8::7"],
            "port_id": "Ethernet12",
            "port": "rack 4 unit 12",
            "vlan": 40,
            "vlans": [
                {"id": 40, "name": "machines", "untagged": True},
                {"id": 41, "name": "storage", "untagged": False},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("word", "virtual", "hypervisor"),
    [("none", False, ""), ("kvm", True, "kvm"), ("vmware", True, "vmware")],
)
def test_virtuality(word: str, virtual: bool, hypervisor: str) -> None:
    found = readings.virtuality(f"{word}\n".encode())
    assert found == {"virtual": virtual, "hypervisor": hypervisor}


def test_the_boot_interface_is_the_loaders() -> None:
    line = b"root=/dev/ram0 BOOTIF=01-52-54-00-Ab-34-56 quiet\n"
    assert readings.boot_interface(line) == {"mac": "52:54:00:ab:34:56"}
    assert readings.boot_interface(b"quiet") == {}
    assert readings.boot_interface(b"XBOOTIF=01-52-54-00-ab-34-56") == {}


def test_serial_ports_and_fruid() -> None:
    line = b"/sys/devices/pnp0/00:04/tty/ttyS0 type=4 port=0x3F8 irq=4\n"
    (port,) = readings.serial_ports(line)
    assert (port["name"], port["type"], port["port"], port["irq"]) == ("ttyS0", "4", "0x3F8", "4")
    told = {"Information": {"Product Name": "WEDGE100", "Product Serial Number": "AH1"}}
    assert readings.fruid(json.dumps(told).encode()) == {"product": "WEDGE100", "serial": "AH1"}
    assert readings.fruid(b"not a Wedge: nothing to ask\n") == {}


def test_lshw_becomes_the_tree_of_its_json() -> None:
    xml = b"""<list><node id="host" class="system"><product>X</product>
    <configuration><setting id="boot" value="normal"/></configuration>
    <node id="cpu" class="processor"><vendor>V</vendor></node></node></list>"""
    assert readings.lshw(xml) == {
        "id": "host",
        "class": "system",
        "product": "X",
        "configuration": {"boot": "normal"},
        "children": [{"id": "cpu", "class": "processor", "vendor": "V"}],
    }


def test_modaliases_are_sorted_and_each_once() -> None:
    assert readings.modaliases(b"pci:b\nacpi:a\npci:b\n\n") == ["acpi:a", "pci:b"]


def test_subnets_are_told_by_interface() -> None:
    offer = {"address": "10.0.0.7", "server": "10.0.0.1", "subnet": "10.0.0.0/24", "routers": ["x"]}
    nic = {"name": "eth1", "mac": "52:54:00:00:00:01", "link": True, "offers": [offer], "ipv6": []}
    (found,) = readings.subnets(json.dumps({"interfaces": [nic]}).encode())
    assert found["offers"][0]["subnet"] == "10.0.0.0/24"
    assert found["offers"][0]["routers"] == []


@pytest.mark.parametrize(
    ("name", "raw", "why"),
    [
        ("00-maas-01-lshw", b"<list>", "not XML"),
        ("00-maas-01-lshw", b"<list/>", "has no node"),
        ("00-maas-01-lshw", b'<!DOCTYPE a [<!ENTITY b "c">]><list/>', "document type"),
        ("00-maas-01-lshw", b"<list>" + b"<node>" * 99 + b"</node>" * 99 + b"</list>", "deeply"),
        ("00-maas-02-virtuality", b"a b c", "is not a word of"),
        ("00-maas-05-dhcp-unconfigured-ifaces", b"{}x", "not JSON"),
        ("00-maas-05-dhcp-unconfigured-ifaces", b"[]", "must be a JSON object"),
        ("00-maas-05-dhcp-unconfigured-ifaces", b'{"interfaces": 5}', "must be a list"),
        ("00-maas-05-dhcp-unconfigured-ifaces", b'{"interfaces": [{"name": "\\u0000"}]}', "keeps"),
        ("00-maas-06-get-fruid-api-data", b"{}", "has no Information"),
        ("00-maas-08-serial-ports", b"/etc/passwd", "is not below /sys/devices"),
        ("40-maas-01-network-interfaces", b"{", "not JSON"),
        ("40-maas-01-network-interfaces", b"[" * 50_000, "not JSON"),
        ("99-maas-01-capture-lldp", b"lldpd is not running", "not XML"),
        ("00-maas-04-list-modaliases", b"x" * (readings.LIMIT + 1), "the limit is"),
    ],
)
def test_what_cannot_be_read_says_why(name: str, raw: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        READERS[name][1](raw)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=30, deadline=None)
@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_any_bytes_are_read_or_refused_and_can_be_kept(name: str, raw: bytes) -> None:
    try:
        body = READERS[name][1](raw)
    except Unreadable:
        return
    assert "\\u0000" not in json.dumps(body, allow_nan=False)
