import os
from pathlib import Path

import pytest

from muster.collect import reading
from muster.collect.buses import Names, pci_folder, usb_address
from muster.collect.reading import Reader, udev_unescape


def complaints(reader: Reader) -> list[tuple[str, str]]:
    return [(complaint.path, complaint.reason) for complaint in reader.complaints]


def test_what_is_absent_is_no_complaint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    reader = Reader(tmp_path)
    assert reader.raw("/no") is None
    assert reader.text("/file/below-a-file") == ""
    assert reader.number("/file") is None
    assert reader.count("/no") == 0
    assert reader.names("/no") == []
    assert reader.link("/file") == ""
    assert reader.complaints == []


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = Reader(tmp_path)
    assert reader.raw("/fifo") is None
    assert complaints(reader) == [("/fifo", "is not a regular file")]


def test_a_link_out_of_a_recorded_tree_shows_nothing_of_this_host(tmp_path: Path) -> None:
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    (tmp_path / "etc").symlink_to("/etc")
    reader = Reader(tmp_path)
    assert reader.text("/passwd") == ""
    assert reader.names("/etc") == []
    assert reader.real("/etc") == ""
    assert reader.link("/etc/mtab") == ""
    assert not reader.exists("/passwd")
    assert {reason for _, reason in complaints(reader)} == {"leads out of the root"}


def test_loops_and_endless_chains_of_links_are_complaints(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link0").write_text("1")
    for number in range(1, 3000):
        (tmp_path / f"link{number}").symlink_to(f"link{number - 1}")
    reader = Reader(tmp_path)
    assert reader.text("/loop") == ""
    assert reader.text("/link2999") == ""
    assert reader.names("/loop") == []
    assert len(reader.complaints) == 3


def test_a_file_larger_than_the_limit_is_not_taken_in_part(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 4097)
    reader = Reader(tmp_path)
    assert reader.text("/big") == ""
    assert complaints(reader) == [("/big", "is larger than 4096 bytes")]
    assert reader.head("/big", 3) == b"xxx"


def test_odd_bytes_are_replaced_and_nuls_dropped(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b" A\xffB\0\n")
    reader = Reader(tmp_path)
    assert reader.text("/model") == "A\ufffdB"
    assert complaints(reader) == [("/model", "is not UTF-8; the odd bytes are replaced")]


@pytest.mark.parametrize("text", ["1_000", "+1", "٣", "12a", "99999999999999999999", "-", "1 2"])
def test_what_only_resembles_a_number_is_a_complaint(tmp_path: Path, text: str) -> None:
    (tmp_path / "number").write_text(text)
    reader = Reader(tmp_path)
    assert reader.number("/number") is None
    assert complaints(reader) == [("/number", f"is not a number: {text!r}")]


def test_numbers_are_read_with_sign_and_base(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("-1\n")
    (tmp_path / "flags").write_text("0x1003\n")
    reader = Reader(tmp_path)
    assert reader.number("/number") == -1
    assert reader.count("/number") == 0
    assert reader.count("/flags", 16) == 0x1003


def test_amounts_and_decimals_keep_to_their_bounds(tmp_path: Path) -> None:
    (tmp_path / "size").write_text("18446744073709551615\n")
    (tmp_path / "speed").write_text("1.5\n")
    (tmp_path / "odd").write_text("1e9\n")
    reader = Reader(tmp_path)
    assert (reader.amount("/size", 1), reader.amount("/size", 512)) == ((1 << 64) - 1, 0)
    assert [reader.decimal(f"/{name}") for name in ("speed", "odd", "no")] == [1.5, 0.0, 0.0]
    assert [path for path, _ in complaints(reader)] == ["/size", "/odd"]


def test_names_are_in_natural_order_and_printable(tmp_path: Path) -> None:
    for name in (b"cpu10", b"cpu2", b"a\xff", "cpu٣".encode()):
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_text("")
    reader = Reader(tmp_path)
    assert reader.names("/") == ["cpu2", "cpu10", "cpu٣"]
    assert len(reader.complaints) == 1


def test_links_give_their_last_part_even_when_dangling(tmp_path: Path) -> None:
    (tmp_path / "driver").symlink_to("../../bus/e1000e/")
    (tmp_path / "odd").symlink_to("a\nb")
    reader = Reader(tmp_path)
    assert reader.link("/driver") == "e1000e"
    assert reader.link("/odd") == ""


def test_complaints_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    reader = Reader(tmp_path)
    for _ in range(reading.COMPLAINTS_LIMIT + 5):
        reader.text("/folder")
    assert len(reader.complaints) == reading.COMPLAINTS_LIMIT


def test_cpu_lists_are_ranges_however_wide(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("0-3,8,10-999999999\n")
    (tmp_path / "odd").write_text("0-x\n")
    reader = Reader(tmp_path)
    assert reader.cpu_list("/list") == [range(4), range(8, 9), range(10, 1000000000)]
    assert reader.cpu_list("/odd") == []
    assert complaints(reader) == [("/odd", "is not a list of CPUs: '0-x'")]


def test_udev_properties_and_links_are_read(tmp_path: Path) -> None:
    (tmp_path / "run/udev/data").mkdir(parents=True)
    (tmp_path / "run/udev/data/b8:0").write_text("S:disk/by-id/a\nS:disk/by-id/b\nE:K=v=w\nI:1\n")
    known = Reader(tmp_path).udev("b8:0")
    assert known == {"K": "v=w", "DEVLINKS": "disk/by-id/a disk/by-id/b"}
    assert udev_unescape("QEMU\\x20DISK\\x20\\x00") == "QEMU DISK"


def test_the_nearest_pci_function_and_usb_device_are_found(tmp_path: Path) -> None:
    usb = "/sys/devices/pci0000:00/0000:00:06.0/usb1/1-4"
    (tmp_path / usb[1:]).mkdir(parents=True)
    (tmp_path / usb[1:] / "busnum").write_text("1\n")
    (tmp_path / usb[1:] / "devnum").write_text("12\n")
    reader = Reader(tmp_path)
    assert pci_folder(f"{usb}/1-4:1.0") == "/sys/devices/pci0000:00/0000:00:06.0"
    assert pci_folder("/sys/devices/virtual/block/sda") == ""
    assert usb_address(reader, f"{usb}/1-4:1.0/host7") == "1:12"
    assert usb_address(reader, "/sys/devices/pci0000:00/0000:00:06.0/usb1") == ""


def test_pci_ids_are_searched_by_vendor_then_product(tmp_path: Path) -> None:
    (tmp_path / "usr/share/misc").mkdir(parents=True)
    table = (
        "# ids\n15b3  Mellanox\n\t1014  MT27700\n\t\t15b3 0001  sub\n\t1015  MT27710\n1af4  Red\n"
    )
    (tmp_path / "usr/share/misc/pci.ids").write_text(table)
    names = Names(Reader(tmp_path))
    assert names.pci("15b3", "1015") == ("Mellanox", "MT27710")
    assert names.pci("15b3", "9999") == ("Mellanox", "")
    assert names.pci("1af4", "1000") == ("Red", "")
    assert names.pci("ffff", "0001") == ("", "")
    assert names.pci("", "") == ("", "")
    assert names.usb("15b3", "1015") == ("", "")


def test_the_live_machine_names_its_architecture() -> None:
    reader = Reader("/")
    assert reader.live
    assert reader.architecture() == os.uname().machine


def test_the_live_machine_follows_links_and_keeps_what_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "link").symlink_to("place")
    reader = Reader("/")
    assert reader.real(f"{tmp_path}/link") == f"{tmp_path}/place"
    assert reader.real(f"{tmp_path}/link/missing") == f"{tmp_path}/place/missing"
