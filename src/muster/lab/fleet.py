# SPDX-License-Identifier: Apache-2.0
"""What simulated machines are made of: a rack of a few models, every serial number its own.

A model's document is written once with marks where machines differ; a machine's is that with the
marks replaced, which costs a tenth of a millisecond for 60 KB.
"""

import functools
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_SERIAL = "%SERIAL%"
_UUID = "%UUID%"
_MAC = "52:54:%MAC%"
_GIB = 2**30
RARE_EVERY = 1999
"""One machine of so many has accelerators; no other has."""
TRIALS = frozenset(range(500, 505))
"""The machines of a model on trial: as many, however large the fleet is."""


@dataclass(frozen=True)
class Model:
    """A kind of server: `cores` of each of two sockets, memory in GiB, disks in GB."""

    vendor: str
    product: str
    cpu: str
    cores: int
    dimms: int
    dimm_gib: int
    nic: str
    speed: int
    disk: str
    disks: int
    disk_gb: int
    accelerators: int = 0


MODELS = (
    Model("Dell Inc.", "PowerEdge R750", "Intel(R) Xeon(R) Gold 6346 CPU @ 3.10GHz", 16, 16, 32,
          "MT27800 Family [ConnectX-5]", 25000, "SAMSUNG MZQL23T8HCLS-00A07", 8, 3840),
    Model("HPE", "ProLiant DL380 Gen10", "Intel(R) Xeon(R) Silver 4214 CPU @ 2.20GHz", 12, 12, 16,
          "BCM57416 NetXtreme-E Dual-Media 10G RDMA", 10000, "MB002000GWFGH", 6, 2000),
    Model("Supermicro", "AS -2124US-TNRP", "AMD EPYC 7543 32-Core Processor", 32, 16, 64,
          "Ethernet Controller E810-C for QSFP", 100000, "KIOXIA KCM61RUL7T68", 10, 7680),
    Model("Lenovo", "ThinkSystem SR650", "Intel(R) Xeon(R) Gold 5218 CPU @ 2.30GHz", 16, 8, 32,
          "Ethernet Controller X710 for 10GbE SFP+", 10000, "INTEL SSDSC2KB019T8", 4, 1920),
)  # fmt: skip
RARE = Model("Dell Inc.", "PowerEdge XE8545", "AMD EPYC 7763 64-Core Processor", 64, 16, 128,
             "MT28908 Family [ConnectX-6]", 200000, "SAMSUNG MZWLR7T6HALA-00007", 8, 7680,
             4)  # fmt: skip
TRIAL = Model("HPE", "ProLiant DL380 Gen12", "Intel(R) Xeon(R) 6767P", 64, 16, 96,
              "MT2910 Family [ConnectX-7]", 400000, "MO003200KYDND", 8, 3200)  # fmt: skip


def model(number: int) -> Model:
    """Of the machine with this number, from 0 on."""
    if number in TRIALS:
        return TRIAL
    return RARE if number % RARE_EVERY == RARE_EVERY - 1 else MODELS[number % len(MODELS)]


@dataclass(frozen=True)
class Identity:
    """Who a machine is; `macs` are its ports' addresses."""

    uuid: str
    serial: str
    macs: tuple[str, str]


def identity(number: int) -> Identity:
    """The same for the same number, also in another run."""
    middle = f"{number >> 16 & 0xFF:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"
    made = uuid.uuid5(uuid.NAMESPACE_OID, f"muster-simulated-{number}")
    macs = (f"52:54:{middle}:00", f"52:54:{middle}:01")
    return Identity(str(made), f"SIM{number:07d}", macs)


def document(number: int) -> bytes:
    """Its resources document."""
    return _marked(model(number), identity(number), _document)


def output(script: str, number: int) -> bytes:
    """What a built-in script prints on it; any other script prints one line."""
    if script == "50-maas-01-commissioning":
        return document(number)
    make = _OUTPUTS.get(script)
    return _marked(model(number), identity(number), make) if make else b"simulated\n"


def _marked(kind: Model, who: Identity, make: Callable[[Model], bytes]) -> bytes:
    text = _template(kind, make).replace(_SERIAL.encode(), who.serial.encode())
    text = text.replace(_UUID.encode(), who.uuid.encode())
    middle = who.macs[0][6:14]
    text = text.replace(b"%MAC%", middle.encode())
    return text.replace(b"%DASHED%", middle.replace(":", "-").encode())


@functools.cache
def _template(kind: Model, make: Callable[[Model], bytes]) -> bytes:
    return make(kind)


def _document(kind: Model) -> bytes:
    whole = {
        "api_version": "1.0",
        "api_extensions": ["resources", "resources_v2"],
        "environment": {"kernel": "Linux", "kernel_version": "6.12.0", "server_name": "sim"},
        "networks": {f"ens1f{port}np{port}": _state(port) for port in (0, 1)},
        "resources": {
            "cpu": _cpu(kind),
            "memory": _memory(kind),
            "storage": {"disks": [_disk(kind, n) for n in range(kind.disks)], "total": kind.disks},
            "network": {"cards": [_card(kind, port) for port in (0, 1)], "total": 2},
            "gpu": {"cards": [_gpu(n) for n in range(kind.accelerators)]},
            "pci": {"devices": [_pci(n) for n in range(140)], "total": 140},
            "usb": {"devices": [], "total": 0},
            "system": _system(kind),
        },
        "extra": {
            "schema": "muster.extra/1",
            "probes": {},
            "dimms": {"slots": [_dimm(kind, n) for n in range(16)]},
            "bmc": {"present": True, "firmware_version": "6.10.30.00"},
            "tpm": {"present": True, "version": "2.0"},
            "boot_firmware": {"mode": "uefi", "secure_boot": False},
        },
    }
    return json.dumps(whole, indent=1).encode()


def _state(port: int) -> dict[str, Any]:
    return {"hwaddr": f"{_MAC}:{port:02x}", "mtu": 1500, "state": "up", "type": "broadcast",
            "addresses": [], "counters": {}}  # fmt: skip


def _cpu(kind: Model) -> dict[str, Any]:
    sockets = [
        {
            "socket": socket,
            "vendor": kind.cpu.split()[0].removesuffix("(R)"),
            "name": kind.cpu,
            "frequency": 3100,
            "cache": [{"level": 1, "type": "Data", "size": 49152}],
            "cores": [_core(kind, socket, core) for core in range(kind.cores)],
        }
        for socket in (0, 1)
    ]
    return {"architecture": "x86_64", "sockets": sockets, "total": kind.cores * 4}


def _core(kind: Model, socket: int, core: int) -> dict[str, Any]:
    first = socket * kind.cores + core
    threads = [
        {"id": first + n * 2 * kind.cores, "numa_node": socket, "thread": n, "online": True}
        for n in (0, 1)
    ]
    return {"core": core, "die": 0, "threads": threads, "frequency": 3100}


def _memory(kind: Model) -> dict[str, Any]:
    total = kind.dimms * kind.dimm_gib * _GIB
    nodes = [{"numa_node": n, "total": total // 2, "used": _GIB} for n in (0, 1)]
    return {"total": total, "used": 2 * _GIB, "nodes": nodes}


def _disk(kind: Model, number: int) -> dict[str, Any]:
    nvme = not kind.disk.startswith(("MB", "INTEL"))
    name = f"nvme{number}n1" if nvme else f"sd{chr(97 + number)}"
    return {
        "id": name,
        "device": f"259:{number}",
        "model": kind.disk,
        "type": "nvme" if nvme else "sata",
        "read_only": False,
        "size": kind.disk_gb * 10**9,
        "removable": False,
        "wwn": f"eui.{_SERIAL}{number:04x}",
        "numa_node": 0,
        "device_path": f"pci-0000:{0x60 + number:02x}:00.0-nvme-1",
        "block_size": 512,
        "firmware_version": "GDC5602Q",
        "rpm": 0,
        "serial": f"{_SERIAL}D{number:02d}",
        "device_id": f"nvme-eui.{_SERIAL}{number:04x}",
        "pci_address": f"0000:{0x60 + number:02x}:00.0",
    }


def _card(kind: Model, port: int) -> dict[str, Any]:
    return {
        "driver": "mlx5_core",
        "ports": [
            {
                "id": f"ens1f{port}np{port}",
                "address": f"{_MAC}:{port:02x}",
                "port": 0,
                "protocol": "ethernet",
                "auto_negotiation": True,
                "link_detected": port == 0,
                "link_speed": kind.speed if port == 0 else 0,
                "supported_modes": ["1000baseKX/Full", "10000baseKR/Full", "25000baseCR/Full"],
            }
        ],
        "numa_node": 0,
        "pci_address": f"0000:31:00.{port}",
        "vendor": "Mellanox Technologies" if "ConnectX" in kind.nic else "Intel Corporation",
        "product": kind.nic,
        "firmware_version": "16.35.2000",
    }


def _gpu(number: int) -> dict[str, Any]:
    return {
        "vendor": "NVIDIA Corporation",
        "product": "GA100 [A100 SXM4 80GB]",
        "driver": "nvidia",
        "pci_address": f"0000:{0x80 + number:02x}:00.0",
        "nvidia": {"uuid": f"GPU-{_SERIAL}-{number}", "brand": "A100", "model": "A100-SXM4-80GB"},
    }


def _pci(number: int) -> dict[str, Any]:
    return {
        "driver": "pcieport",
        "driver_version": "6.12.0",
        "numa_node": number // 48,
        "pci_address": f"0000:{number:02x}:00.0",
        "vendor": "Intel Corporation",
        "vendor_id": "8086",
        "product": "Ice Lake Memory Map/VT-d",
        "product_id": "09a2",
        "iommu_group": number,
        "vpd": {},
    }


def _dimm(kind: Model, number: int) -> dict[str, Any]:
    slot = f"{'AB'[number // 8]}{number % 8 + 1}"
    if number >= kind.dimms:
        return {"slot": slot, "size": 0}
    return {
        "slot": slot,
        "size": kind.dimm_gib * _GIB,
        "type": "DDR4",
        "manufacturer": "Samsung",
        "part": f"M393A{kind.dimm_gib}K40DB3-CWE",
        "serial": f"{_SERIAL}M{number:02d}",
        "speed": 3200,
        "configured_speed": 2933,
    }


def _system(kind: Model) -> dict[str, Any]:
    return {
        "uuid": _UUID,
        "vendor": kind.vendor,
        "product": kind.product,
        "family": "",
        "version": "",
        "sku": "",
        "serial": _SERIAL,
        "type": "physical",
        "firmware": {"vendor": kind.vendor, "version": "1.8.2", "date": "09/14/2022"},
        "chassis": {"vendor": kind.vendor, "type": "Rack Mount Chassis", "serial": _SERIAL},
        "motherboard": {"vendor": kind.vendor, "product": "0PJ80M", "serial": f".{_SERIAL}."},
    }


def _lshw(kind: Model) -> bytes:
    parts = "".join(
        f'<node id="pci:{n}" class="bridge"><description>PCI bridge</description>'
        f"<product>Ice Lake PCIe Root Port</product><vendor>Intel Corporation</vendor>"
        f"<physid>{n:x}</physid><businfo>pci@0000:{n:02x}:00.0</businfo><width>32</width>"
        f'<configuration><setting id="driver" value="pcieport"/></configuration></node>'
        for n in range(110)
    )
    return (f'<?xml version="1.0"?><list><node id="sim" class="system"><product>{kind.product}'
            f"</product><vendor>{kind.vendor}</vendor><serial>{_SERIAL}</serial>"
            f'<node id="core" class="bus">{parts}</node></node></list>').encode()  # fmt: skip


def _support(kind: Model) -> bytes:
    lines = [f"{n:02x}:00.0 0604: 8086:347a (rev 04) [{kind.product} {_SERIAL}] LnkSta: 16GT/s x16"
             for n in range(256)]  # fmt: skip
    return "\n".join(["### lspci -vnn", *lines, ""]).encode()


def _aliases(_: Model) -> bytes:
    lines = [f"pci:v00008086d0000{n:04X}sv00001028sd00000A6Bbc06sc04i00" for n in range(96)]
    return "\n".join([*lines, ""]).encode()


def _links(_: Model) -> bytes:
    links = [
        {"ifname": f"ens1f{port}np{port}", "address": f"{_MAC}:{port:02x}", "link_type": "ether",
         "operstate": "UP", "mtu": 1500, "addr_info": []}
        for port in (0, 1)
    ]  # fmt: skip
    return json.dumps(links).encode()


def _lldp(_: Model) -> bytes:
    return (
        '<?xml version="1.0"?><lldp><interface name="ens1f0np0" via="LLDP"><chassis>'
        '<id type="mac">b8:6a:97:00:00:01</id><name>tor-1</name><descr>Arista DCS-7050</descr>'
        '<mgmt-ip>10.0.0.2</mgmt-ip></chassis><port><id type="ifname">Ethernet7</id>'
        f'<descr>{_SERIAL}</descr></port><vlan vlan-id="100" pvid="yes">rack</vlan>'
        "</interface></lldp>"
    ).encode()


def _command_line(_: Model) -> bytes:
    return b"BOOTIF=01-52-54-%DASHED%-00 console=ttyS0\n"


_OUTPUTS: dict[str, Callable[[Model], bytes]] = {
    "00-maas-00-support-info": _support,
    "00-maas-01-lshw": _lshw,
    "00-maas-02-virtuality": lambda _: b"none\n",
    "00-maas-04-list-modaliases": _aliases,
    "00-maas-05-dhcp-unconfigured-ifaces": lambda _: b"{}",
    "00-maas-06-get-fruid-api-data": lambda _: b"",
    "00-maas-08-serial-ports": lambda _: b"/sys/devices/pnp0/00:03 type=16550A port=0x3F8 irq=4\n",
    "40-maas-01-network-interfaces": _links,
    "99-maas-01-capture-lldp": _lldp,
    "99-maas-05-kernel-cmdline": _command_line,
}
