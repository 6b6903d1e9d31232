"""A two-socket server's resources document, written by hand in the shape of real ones."""

from typing import Any


def rackserver() -> dict[str, Any]:
    """A new copy, as plain data: 2 CPUs, 8 DIMMs in 16 slots, 4 disks, 4 ports, 2 GPUs."""
    return {
        "api_version": "1.0",
        "resources": {
            "cpu": {"sockets": [_socket(0), _socket(1)], "total": 64},
            "memory": {"total": 8 * 2**35, "used": 1234},
            "storage": {"disks": [_disk(n) for n in range(3)] + [_boot_disk()]},
            "network": {"cards": [_card(0), _card(1)]},
            "gpu": {"cards": [_gpu(0), _gpu(1)]},
            "usb": {"devices": [_usb("0", "Keyboard", 3), _usb("1", "Hub Reader", 4)]},
            "pci": {"devices": [*_pci_devices()]},
            "system": _system(),
            "load": {"Average1Min": 0.5},
        },
        "extra": {
            "schema": "muster.extra/1",
            "probes": {},
            "dimms": {"slots": [_dimm(side, n) for side in "AB" for n in range(1, 9)]},
            "processors": {"packages": [{"socket": n, "microcode": "0xd0003a5"} for n in (0, 1)]},
            "boot_firmware": {"mode": "uefi", "secure_boot": False, "boot_order": ["0003"]},
            "tpm": {"present": True, "version": "2.0", "ek_sha256": "ab" * 32},
            "bmc": {"present": True, "firmware_version": "6.10", "lan": [_lan()]},
            "power_supplies": {"supplies": [_supply(1), _supply(2)]},
            "nics": {"interfaces": [_optics(n) for n in range(4)]},
            "pcie": {"functions": [_link(d["pci_address"]) for d in _pci_devices()]},
            "disk_health": {"disks": [{"disk": "nvme0n1", "passed": True, "temperature": 40.0}]},
        },
    }


def _socket(number: int) -> dict[str, Any]:
    cores = [{"core": n, "threads": [{"id": 2 * n}, {"id": 2 * n + 1}]} for n in range(16)]
    return {"socket": number, "name": "Xeon Gold 6346", "cores": cores, "frequency": 3100 + number}


def _dimm(side: str, number: int) -> dict[str, Any]:
    if number > 4:
        return {"slot": f"{side}{number}", "size": 0}
    return {
        "slot": f"{side}{number}",
        "size": 2**35,
        "type": "DDR4",
        "manufacturer": "Samsung",
        "part": "M393A4K40DB3-CWE",
        "serial": f"03A{side}{number}77F",
        "speed": 3200,
        "configured_speed": 2933,
    }


def _disk(number: int) -> dict[str, Any]:
    return {
        "id": f"nvme{number}n1",
        "model": "SAMSUNG MZQL23T8HCLS",
        "serial": f"S64HNE0R5000{number}",
        "type": "nvme",
        "size": 3840755982336,
        "firmware_version": "GDC5602Q",
        "device_path": f"pci-0000:6{number}:00.0-nvme-1",
        "pci_address": f"0000:6{number}:00.0",
    }


def _boot_disk() -> dict[str, Any]:
    return {
        "id": "sda",
        "model": "MTFDDAK480TDS",
        "serial": "2031296A6B90",
        "type": "sata",
        "size": 480103981056,
        "firmware_version": "D3MU001",
        "device_path": "pci-0000:00:17.0-ata-1",
        "pci_address": "0000:00:17.0",
    }


def _card(number: int) -> dict[str, Any]:
    ports = [
        {
            "id": f"ens{number}f{port}np{port}",
            "address": f"b8:59:9f:00:0{number}:0{port}",
            "port": port,
            "link_detected": True,
            "link_speed": 25000,
        }
        for port in (0, 1)
    ]
    return {
        "vendor": "Mellanox Technologies",
        "product": "MT27800 [ConnectX-5]",
        "firmware_version": "16.35.2000",
        "pci_address": f"0000:3{number}:00.0",
        "ports": ports,
    }


def _gpu(number: int) -> dict[str, Any]:
    return {
        "vendor": "NVIDIA Corporation",
        "product": "GA100 [A100 PCIe 80GB]",
        "pci_address": f"0000:8{number}:00.0",
        "nvidia": {
            "uuid": f"GPU-3f2d8c1b-000{number}",
            "brand": "A100",
            "model": "A100 80GB PCIe",
            "vbios_version": "92.00.68.00.01",
        },
    }


def _usb(serial: str, product: str, address: int) -> dict[str, Any]:
    ids = {"vendor_id": "0557", "product_id": f"222{serial}", "serial": ""}
    return {
        "bus_address": 1,
        "device_address": address,
        "vendor": "ATEN",
        "product": product,
        **ids,
    }


def _pci_devices() -> list[dict[str, Any]]:
    ids = {"vendor_id": "8086", "product_id": "a1d2"}
    found = [("0000:00:17.0", "Intel Corporation", "C620 SATA Controller")]
    found += [(f"0000:6{n}:00.0", "Samsung Electronics", "NVMe PM9A3") for n in range(3)]
    found += [(f"0000:3{n}:00.0", "Mellanox Technologies", "MT27800") for n in range(2)]
    found += [(f"0000:8{n}:00.0", "NVIDIA Corporation", "GA100") for n in range(2)]
    return [{"pci_address": at, "vendor": who, "product": what, **ids} for at, who, what in found]


def _system() -> dict[str, Any]:
    return {
        "uuid": "4c4c4544-0051-3310-8051-b4c04f4e3331",
        "vendor": "Dell Inc.",
        "product": "PowerEdge R750",
        "serial": "3Q3N1J3",
        "sku": "090E",
        "type": "physical",
        "firmware": {"vendor": "Dell Inc.", "version": "1.8.2", "date": "09/14/2022"},
        "motherboard": {"vendor": "Dell Inc.", "product": "0PJ80M", "serial": ".3Q3N1J3.CN1."},
        "chassis": {"vendor": "Dell Inc.", "type": "Rack Mount", "serial": "3Q3N1J3"},
    }


def _lan() -> dict[str, Any]:
    return {"channel": 1, "address": "10.1.0.5", "mac": "b0:7b:25:00:00:01"}


def _supply(number: int) -> dict[str, Any]:
    part = {"manufacturer": "DELTA", "part": "0W6C8YA00", "serial": f"CNDED0022{number}"}
    return {"slot": f"PSU.{number}", "present": True, "power": 1400, "status": "OK", **part}


def _optics(number: int) -> dict[str, Any]:
    card, port = divmod(number, 2)
    module = {"type": "SFP28", "vendor": "Mellanox", "part": "MCP2M00-A001"}
    return {
        "interface": f"ens{card}f{port}np{port}",
        "optics": {**module, "serial": f"MT2049VS0{number}", "temperature": 35.5},
    }


def _link(address: str) -> dict[str, Any]:
    gpu = address.startswith("0000:8")
    return {
        "pci_address": address,
        "class_id": "030200" if gpu else "020000",
        "link": {"speed": 16.0 if gpu else 8.0, "width": 16 if gpu else 8},
    }
