import msgspec
import pytest

from muster.lab.client import default_orders
from muster.lab.errors import BadOrder
from muster.lab.machines import (
    Arch,
    DiskKind,
    DiskOrder,
    Firmware,
    NicOrder,
    Order,
    build,
    parse_order,
    refuse_clashing_macs,
)


def test_the_same_names_give_the_same_machine_and_other_names_another() -> None:
    first = build("lab", Order(name="m1"))
    assert build("lab", Order(name="m1")) == first
    others = [build("lab", Order(name="m2")), build("other", Order(name="m1"))]
    assert len({machine.uuid for machine in [first, *others]}) == 3
    assert len({machine.nics[0].mac for machine in [first, *others]}) == 3


def test_what_an_order_leaves_out_is_filled_in() -> None:
    machine = build("lab", Order(name="m1", nics=(NicOrder(), NicOrder())))
    assert machine.memory_mib == 2048
    assert machine.cpus == 2
    assert [disk.size_mib for disk in machine.disks] == [4096]
    assert all(nic.mac.startswith("52:54:00:") for nic in machine.nics)
    assert machine.nics[0].mac != machine.nics[1].mac


@pytest.mark.parametrize(
    ("body", "uuid"),
    [
        (b'{"name": "m1", "uuid": null}', None),
        (
            b'{"name": "m1", "uuid": "00000000-0000-0000-0000-000000000000"}',
            "00000000-0000-0000-0000-000000000000",
        ),
    ],
)
def test_a_machine_may_have_no_uuid_or_a_dummy_one(body: bytes, uuid: str | None) -> None:
    assert build("lab", parse_order(body)).uuid == uuid


def test_the_drive_of_a_bmc_is_for_one_start_and_no_machine_s_first_choice() -> None:
    with pytest.raises(BadOrder, match="boot: cd: a medium goes before all else"):
        build("lab", parse_order(b'{"name": "m1", "boot": "cd"}'))


def test_the_derived_uuid_stands_when_the_order_says_nothing() -> None:
    assert build("lab", parse_order(b'{"name": "m1"}')).uuid is not None


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"[]", "object"),
        (b"{", "truncated"),
        (b"{}", "name"),
        (b'{"name": "M 1"}', "$.name"),
        (b'{"name": "m1", "firmware": "coreboot"}', "$.firmware"),
        (b'{"name": "m1", "memory_mib": "2048"}', "$.memory_mib"),
        (b'{"name": "m1", "memory_mib": 1}', "$.memory_mib"),
        (b'{"name": "m1", "uuid": "1234"}', "$.uuid"),
        (b'{"name": "m1", "nics": []}', "$.nics"),
        (b'{"name": "m1", "nics": [{"mac": "01:00:5e:00:00:01"}]}', "$.nics[0].mac"),
        (b'{"name": "m1", "disks": [{"kind": "tape"}]}', "$.disks[0].kind"),
        (b'{"name": "m1", "disks": [{"serial": "a,b=c"}]}', "$.disks[0].serial"),
        (b'{"name": "m1", "vendor": "a\\nb"}', "$.vendor"),
        (b'{"name": "m1", "ram": 5}', "ram"),
    ],
)
def test_a_bad_order_is_refused_by_field(body: bytes, named: str) -> None:
    with pytest.raises(BadOrder) as refusal:
        parse_order(body)
    assert named in str(refusal.value)
    assert "send a JSON object" in str(refusal.value)


def test_an_order_survives_json_with_and_without_a_uuid() -> None:
    for order in (Order(name="m1"), Order(name="m1", uuid=None, disks=(DiskOrder(size_mib=8),))):
        assert parse_order(msgspec.json.encode(order)) == order


def test_two_nics_of_one_mac_are_refused_and_both_owners_named() -> None:
    mac = "52:54:00:00:00:01"
    twins = [build("lab", Order(name=name, nics=(NicOrder(mac=mac),))) for name in ("m1", "m2")]
    with pytest.raises(BadOrder, match=r"52:54:00:00:00:01 of m2 .* NIC of m1"):
        refuse_clashing_macs(twins)


def test_firmware_is_dealt_out_in_turn() -> None:
    orders = default_orders(3, ["bios", "uefi"], memory_mib=512)
    assert [(one.name, one.firmware) for one in orders] == [
        ("m1", Firmware.BIOS),
        ("m2", Firmware.UEFI),
        ("m3", Firmware.BIOS),
    ]


def test_an_unknown_firmware_is_refused_with_the_field() -> None:
    with pytest.raises(BadOrder, match=r"'m1'.*'corebot'.*firmware"):
        default_orders(1, ["corebot"], memory_mib=512)


@pytest.mark.parametrize(
    ("order", "named"),
    [
        (Order(name="m1", memory_mib=1000, numa_nodes=3, cpus=3), "numa_nodes: 1000 MiB"),
        (Order(name="m1", cpus=3, numa_nodes=2), "numa_nodes: 3 CPUs"),
        (Order(name="m1", dimms=3), "dimms: 2048 MiB"),
        (Order(name="m1", arch=Arch.ARM64), "firmware: bios: an arm64 machine has uefi"),
        (Order(name="m1", arch=Arch.ARM64, firmware=Firmware.UEFI, tpm=True), "tpm: an arm64"),
        (Order(name="m1", disks=(DiskOrder(kind=DiskKind.SATA),) * 7), "6 SATA ports"),
    ],
)
def test_a_board_that_cannot_be_is_refused_by_name(order: Order, named: str) -> None:
    with pytest.raises(BadOrder, match=named):
        build("lab", order)
