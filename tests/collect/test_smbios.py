"""The raw table of a real machine against dmidecode's reading of it, and of damaged ones."""

import re
from pathlib import Path

import pytest
import trees
from tables import TABLE, dimm, planted, structure

from muster.collect import bmc, cpu, dimms, firmware, processors, smbios, supplies, tpm
from muster.collect.reading import Reader
from muster.wire.slots import (
    CpuIdentity,
    EdacDimm,
    IpmiInterface,
    MemoryArray,
    PowerSupply,
    RedfishHost,
)

RECORDED = trees.HERE / "qemu-smbios"


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    files: trees.Files = {
        TABLE: (RECORDED / "DMI.bin").read_bytes(),
        "/sys/firmware/dmi/tables/smbios_entry_point": (RECORDED / "entry_point.bin").read_bytes(),
        "/sys/class/dmi/id/chassis_asset_tag": "AT1\n",
    }
    return trees.plant(tmp_path, files)


def told_by_dmidecode() -> list[dict[str, str]]:
    """One dictionary a structure, with handle, type and length under "" keys of their own."""
    found: list[dict[str, str]] = []
    for line in (RECORDED / "dmidecode.txt").read_text().splitlines():
        if match := re.fullmatch(r"Handle 0x(\w+), DMI type (\d+), (\d+) bytes", line):
            found.append({"handle": match[1], "type": match[2], "length": match[3]})
        elif line.startswith("\t") and ": " in line:
            key, _, value = line.strip().partition(": ")
            unknown = ("Unknown", "Not Specified", "None", "Unspecified")
            found[-1][key] = "" if value in unknown else value
    return found


def of_type(number: int) -> list[dict[str, str]]:
    return [item for item in told_by_dmidecode() if item["type"] == str(number)]


def test_handles_types_and_lengths_are_dmidecode_s(guest: Path) -> None:
    found = [
        {"handle": f"{item.handle:04X}", "type": str(item.type), "length": str(len(item.body))}
        for item in smbios.structures(Reader(guest))
    ]
    told = [
        {key: item[key] for key in ("handle", "type", "length")} for item in told_by_dmidecode()
    ]
    assert found == told
    assert len(found) == 11


# DSP0134 7.2 to 7.4: where the texts are that /sys/class/dmi/id has too.
TEXTS = {
    1: {
        "Manufacturer": 0x04,
        "Product Name": 0x05,
        "Version": 0x06,
        "Serial Number": 0x07,
        "SKU Number": 0x19,
        "Family": 0x1A,
    },
    2: {
        "Manufacturer": 0x04,
        "Product Name": 0x05,
        "Version": 0x06,
        "Serial Number": 0x07,
        "Asset Tag": 0x08,
        "Location In Chassis": 0x0A,
    },
    3: {"Manufacturer": 0x04, "Version": 0x06, "Serial Number": 0x07, "Asset Tag": 0x08},
}


@pytest.mark.parametrize("kind", TEXTS)
def test_every_text_of_system_board_and_chassis_is_dmidecode_s(guest: Path, kind: int) -> None:
    (item,) = (found for found in smbios.structures(Reader(guest)) if found.type == kind)
    (told,) = of_type(kind)
    texts = {key: item.text(place) for key, place in TEXTS[kind].items()}
    assert texts == {key: told[key] for key in texts}


def test_capacity_and_range_are_dmidecode_s(guest: Path) -> None:
    (item,) = (found for found in smbios.structures(Reader(guest)) if found.type == 19)
    (told,) = of_type(19)
    start, end = item.number(0x04, 4) * 1024, (item.number(0x08, 4) + 1) * 1024
    assert f"0x{start:011X}" == told["Starting Address"]
    assert f"0x{end - 1:011X}" == told["Ending Address"]
    assert f"0x{item.number(0x0C, 2):04X}" == told["Physical Array Handle"]
    assert str(item.number(0x0E)) == told["Partition Width"]


def mebibytes(text: str) -> int:
    number, _, unit = text.partition(" ")
    return int(number) << {"kB": 10, "MB": 20, "GB": 30}[unit]


def first_number(text: str) -> int:
    return int(text.split()[0]) if text else 0


def test_memory_slots_are_dmidecode_s_field_by_field(guest: Path) -> None:
    found = dimms.probe(guest)
    (array,), (told,) = found.arrays, of_type(16)
    assert array == MemoryArray(
        location=told["Location"],
        use=told["Use"],
        error_correction=told["Error Correction Type"],
        maximum_size=mebibytes(told["Maximum Capacity"]),
        slots=int(told["Number Of Devices"]),
    )
    (dimm,), (told,) = found.slots, of_type(17)
    assert dimm.size == mebibytes(told["Size"])
    texts = {
        "Locator": dimm.slot,
        "Bank Locator": dimm.bank,
        "Type": dimm.type,
        "Type Detail": " ".join(dimm.type_detail),
        "Form Factor": dimm.form_factor,
        "Manufacturer": dimm.manufacturer,
        "Serial Number": dimm.serial,
        "Asset Tag": dimm.asset_tag,
        "Part Number": dimm.part,
    }
    assert {key: told[key] for key in texts} == texts
    numbers = {
        "Total Width": dimm.total_width,
        "Data Width": dimm.data_width,
        "Speed": dimm.speed,
        "Configured Memory Speed": dimm.configured_speed,
        "Rank": dimm.rank,
        "Configured Voltage": dimm.voltage,
    }
    assert {key: first_number(told[key]) for key in numbers} == numbers
    assert dimm.ecc is None
    assert found.errors == []


def test_processor_slots_are_dmidecode_s_field_by_field(guest: Path) -> None:
    found = processors.probe(guest).slots
    assert len(found) == 2
    for slot, told in zip(found, of_type(4), strict=True):
        texts = {
            "Socket Designation": slot.slot,
            "Manufacturer": slot.manufacturer,
            "ID": slot.id,
            "Version": slot.version,
            "Serial Number": slot.serial,
            "Asset Tag": slot.asset_tag,
            "Part Number": slot.part,
            "Status": "Populated, " + slot.status,
        }
        assert {key: told[key] for key in texts} == texts
        assert slot.populated
        numbers = {
            "Max Speed": slot.maximum_speed,
            "Current Speed": slot.current_speed,
            "Core Count": slot.cores,
            "Core Enabled": slot.cores_enabled,
            "Thread Count": slot.threads,
        }
        assert {key: first_number(told[key]) for key in numbers} == numbers


def test_firmware_facts_are_dmidecode_s(guest: Path) -> None:
    found, (told,) = firmware.probe(guest), of_type(0)
    assert (found.vendor, found.version, found.date) == (
        told["Vendor"],
        told["Version"],
        told["Release Date"],
    )
    assert found.rom_size == mebibytes(told["ROM Size"])
    assert (found.release, found.controller_release) == (told["BIOS Revision"], "")
    assert (found.smbios_version, found.chassis_asset_tag) == ("2.8", "AT1")
    assert (found.mode, found.secure_boot, found.boot_order) == ("bios", None, [])


@pytest.mark.parametrize(
    ("size", "extended", "expected"),
    [
        (0, 0, 0),
        (0xFFFF, 0, None),
        (0x8200, 0, 0x200 << 10),
        (0x4000, 0, 16 << 30),
        (0x7FFF, 65536, 64 << 30),
        (0x7FFF, 0x80010000, 64 << 30),
    ],
)
def test_a_module_s_size_is_read_in_each_of_its_forms(
    tmp_path: Path, size: int, extended: int, expected: int | None
) -> None:
    (slot,) = dimms.probe(planted(tmp_path, dimm(size, extended))).slots
    assert slot.size == expected


def test_a_module_tells_all_that_smbios_3_has(tmp_path: Path) -> None:
    (slot,) = dimms.probe(planted(tmp_path, dimm(0x7FFF, 65536, 0xFFFF, 70000))).slots
    assert (slot.slot, slot.bank, slot.type, slot.form_factor) == ("A1", "P0", "DDR5", "DIMM")
    assert (slot.technology, slot.rank, slot.ecc, slot.voltage) == ("DRAM", 2, True, 1100)
    assert (slot.speed, slot.configured_speed) == (70000, 3000)
    assert (slot.manufacturer, slot.serial, slot.part) == ("Maker", "SN", "PN")
    assert slot.type_detail == ["Synchronous", "Registered (Buffered)"]


def test_an_array_of_many_terabytes_uses_the_long_field(tmp_path: Path) -> None:
    body = b"\x03\x03\x06" + (0x80000000).to_bytes(4, "little") + b"\xfe\xff\x20\0"
    (array,) = dimms.probe(
        planted(tmp_path, structure(16, body + (12 << 40).to_bytes(8, "little")))
    ).arrays
    assert array == MemoryArray(
        "System Board Or Motherboard", "System Memory", "Multi-bit ECC", 12 << 40, 32
    )


def test_edac_counts_errors_by_module(tmp_path: Path) -> None:
    home = "/sys/devices/system/edac/mc/mc0/dimm3"
    files: trees.Files = {
        f"{home}/dimm_label": "CPU_SrcID#0_MC#0_Chan#1_DIMM#0\n",
        f"{home}/dimm_location": "channel 1 slot 0\n",
        f"{home}/size": "16384\n",
        f"{home}/dimm_ce_count": "7\n",
        f"{home}/dimm_ue_count": "0\n",
    }
    assert dimms.probe(trees.plant(tmp_path, files)).errors_counted == [
        EdacDimm("mc0/dimm3", "CPU_SrcID#0_MC#0_Chan#1_DIMM#0", "channel 1 slot 0", 16 << 30, 7, 0)
    ]


def test_the_kernel_s_list_stands_in_for_the_table(tmp_path: Path) -> None:
    files: trees.Files = {
        "/sys/firmware/dmi/entries/17-0/raw": dimm(0x4000),
        "/sys/firmware/dmi/entries/17-1/raw": b"\x11",
        "/sys/firmware/dmi/entries/odd/raw": dimm(0x4000),
    }
    assert len(dimms.probe(trees.plant(tmp_path, files)).slots) == 1


def test_processors_of_more_than_254_cores_use_the_long_fields(tmp_path: Path) -> None:
    body = bytearray(0x30 - 4)
    body[0x18 - 4] = 0x41
    body[0x23 - 4 : 0x26 - 4] = b"\xff\xff\xff"
    body[0x2A - 4 : 0x30 - 4] = b"\x80\x01\x7f\x01\0\x03"
    (slot,) = processors.probe(planted(tmp_path, structure(4, bytes(body)))).slots
    assert (slot.cores, slot.cores_enabled, slot.threads) == (384, 383, 768)
    assert (slot.status, slot.id) == ("Enabled", "")


def test_a_processor_that_cpuinfo_does_not_name_is_named_by_smbios(tmp_path: Path) -> None:
    body = bytearray(0x20)
    body[0x04 - 4], body[0x07 - 4], body[0x10 - 4] = 1, 2, 3
    table = structure(4, bytes(body), "CPU 0", "Ampere(R)", "Ampere(R) Altra(R) Processor")
    files: trees.Files = {
        TABLE: structure(4, bytes(0x20)) + table,
        "/proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\n",
        "/sys/devices/system/cpu/cpu0/topology/core_id": "0\n",
    }
    (socket,) = cpu.probe(trees.plant(tmp_path, files)).sockets
    assert (socket.name, socket.vendor) == ("Ampere(R) Altra(R) Processor", "Ampere(R)")


def test_an_empty_socket_is_listed_as_such(tmp_path: Path) -> None:
    (slot,) = processors.probe(planted(tmp_path, structure(4, b"\1" + bytes(22), "CPU1"))).slots
    assert (slot.slot, slot.populated, slot.status) == ("CPU1", False, "")


def test_processors_name_microcode_smt_and_vulnerabilities(tmp_path: Path) -> None:
    cpus = "/sys/devices/system/cpu"
    block = "processor\t: {0}\ncpu family\t: 6\nmodel\t\t: 143\nstepping\t: 8\n"
    block += "microcode\t: 0x2b0005c0\nphysical id\t: {1}\n\n"
    files: trees.Files = {
        "/proc/cpuinfo": block.format(0, 0) + block.format(1, 1) + block.format(2, 0),
        f"{cpus}/smt/control": "on\n",
        f"{cpus}/smt/active": "1\n",
        f"{cpus}/cpu0/cpufreq/scaling_governor": "performance\n",
        f"{cpus}/vulnerabilities/meltdown": "Not affected\n",
    }
    found = processors.probe(trees.plant(tmp_path, files))
    assert found.packages == [
        CpuIdentity(0, "6", "143", "8", "0x2b0005c0"),
        CpuIdentity(1, "6", "143", "8", "0x2b0005c0"),
    ]
    assert (found.smt, found.smt_active, found.governor) == ("on", True, "performance")
    assert found.vulnerabilities == {"meltdown": "Not affected"}


def test_a_power_supply_tells_its_bay_state_and_power(tmp_path: Path) -> None:
    flags = (1 | 2 | 3 << 7 | 4 << 10).to_bytes(2, "little")
    body = b"\1\1\2\3\4\5\6\7" + (1400).to_bytes(2, "little") + flags
    texts = ("PSU 1", "PWR SPLY,1400W", "DELTA", "CN1", "TAG", "0PJMDN", "A01")
    empty = b"\2\1" + bytes(6) + (0x8000).to_bytes(2, "little") + b"\4\0"
    found = supplies.probe(
        planted(tmp_path, structure(39, body, *texts), structure(39, empty, "PSU 2"))
    ).supplies
    assert found == [
        PowerSupply(
            slot="PSU 1",
            present=True,
            unplugged=False,
            hot_replaceable=True,
            status="OK",
            type="Switching",
            name="PWR SPLY,1400W",
            manufacturer="DELTA",
            part="0PJMDN",
            serial="CN1",
            revision="A01",
            asset_tag="TAG",
            power=1400,
        ),
        PowerSupply(slot="PSU 2", unplugged=True),
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\1\x20\x20\xff\xa3\x0c" + bytes(6), IpmiInterface("KCS", "2.0", "0xca2", "io")),
        (b"\4\x20\x20\xff\x20" + bytes(7), IpmiInterface("SSIF", "2.0", "0x10", "smbus")),
        (b"\3\x15\x20\xff\x00\x10" + bytes(6), IpmiInterface("BT", "1.5", "0x1000", "memory")),
    ],
)
def test_smbios_says_how_the_bmc_is_reached(
    tmp_path: Path, body: bytes, expected: IpmiInterface
) -> None:
    found = bmc.probe(planted(tmp_path, structure(38, body)))
    assert found.present
    assert found.interfaces == [expected]


def redfish(form: int, address: bytes, name: bytes = b"bmc") -> bytes:
    record = bytes(16) + bytes((1, form)) + address.ljust(16, b"\0") + bytes(16)
    record += bytes((1, form)) + address.ljust(16, b"\0") + bytes(16)
    record += (443).to_bytes(2, "little") + (7).to_bytes(4, "little") + bytes((len(name),)) + name
    return b"\x40\x02\x02\x00\x01\x04" + bytes((len(record),)) + record


def test_a_redfish_host_interface_names_its_service(tmp_path: Path) -> None:
    bodies = (
        redfish(1, b"\xa9\xfe\0\x11"),
        redfish(2, b"\xfe\x80" + bytes(13) + b"\1"),
        redfish(7, b"\1"),
        redfish(1, b""),
        redfish(1, b"\1\1\1\1")[:-20],
        b"\x40\x00\x01\x02\x01\x00",
    )
    found = bmc.probe(planted(tmp_path, *(structure(42, body) for body in bodies)))
    first = RedfishHost("USB", "bmc", "169.254.0.17", 443, 7, "169.254.0.17", "static")
    assert found.redfish[0] == first
    assert found.redfish[1].service_address == "fe80::1"
    assert [host.service_address for host in found.redfish[2:]] == ["", ""]


def test_smbios_knows_the_tpm_before_any_driver_does(tmp_path: Path) -> None:
    body = b"IFX\0\2\0" + (0x00070055).to_bytes(4, "little") + bytes(4) + b"\1" + bytes(8)
    found = tpm.probe(planted(tmp_path, structure(43, body, "TPM 2.0")))
    assert (found.present, found.version, found.manufacturer) == (True, "2.0", "IFX")
    assert (found.firmware_version, found.description) == ("7.85", "TPM 2.0")
