# SPDX-License-Identifier: Apache-2.0
"""The whole survey: what every probe found, as one document.

The document has exactly the shape of MAAS's `machine-resources` and one key more, `extra`, with
a schema of its own. A probe that fails leaves an empty section and says so there.
"""

import os

from muster.collect import (
    accelerators,
    bmc,
    cpu,
    dimms,
    enclosures,
    ethtool,
    firmware,
    gpu,
    health,
    hugepages,
    interfaces,
    load,
    memory,
    network,
    nics,
    pci,
    pcie,
    processors,
    raid,
    serial,
    storage,
    supplies,
    system,
    tpm,
    usb,
    writes,
)
from muster.collect.reading import Reader, Root
from muster.collect.survey import Outcome, Probe, survey
from muster.wire.devices import Gpu, Load, Pci, Serial, Usb
from muster.wire.extra import EXTRA_SCHEMA, Extra, HugePages, ProbeReport
from muster.wire.hardware import API_VERSION, Cpu, Memory, Resources, Storage, System
from muster.wire.networks import Network
from muster.wire.peripherals import (
    Accelerators,
    DiskHealth,
    Enclosures,
    Nics,
    Pcie,
    RaidControllers,
)
from muster.wire.section import Section, Shape, plain
from muster.wire.slots import Bmc, BootFirmware, Dimms, PowerSupplies, Processors, Tpm

# The extensions that MAAS's machine-resources announces (its consumer requires five of them).
_EXTENSIONS = [
    "resources",
    "resources_cpu_socket",
    "resources_gpu",
    "resources_numa",
    "resources_v2",
    "resources_disk_sata",
    "resources_network_firmware",
    "resources_disk_id",
    "resources_usb_pci",
    "resources_cpu_threads_numa",
    "resources_cpu_core_die",
    "api_os",
    "resources_system",
    "resources_pci_iommu",
    "resources_network_usb",
    "resources_disk_address",
]

PROBES = [
    Probe("cpu", cpu.probe, Cpu),
    Probe("memory", memory.probe, Memory),
    Probe("gpu", gpu.probe, Gpu),
    Probe("network", network.probe, Network),
    Probe("ethtool", ethtool.probe, ethtool.Links),
    Probe("interfaces", interfaces.probe, interfaces.Interfaces),
    Probe("storage", storage.probe, Storage),
    Probe("usb", usb.probe, Usb),
    Probe("pci", pci.probe, Pci),
    Probe("system", system.probe, System),
    Probe("load", load.probe, Load),
    Probe("serial", serial.probe, Serial),
    Probe("writes", writes.probe, writes.DiskWrites),
    Probe("dimms", dimms.probe, Dimms),
    Probe("processors", processors.probe, Processors),
    Probe("hugepages", hugepages.probe, HugePages),
    Probe("boot_firmware", firmware.probe, BootFirmware),
    Probe("tpm", tpm.probe, Tpm),
    Probe("bmc", bmc.probe, Bmc),
    Probe("power_supplies", supplies.probe, PowerSupplies),
    Probe("pcie", pcie.probe, Pcie),
    Probe("nics", nics.probe, Nics),
    Probe("disk_health", health.probe, DiskHealth),
    Probe("raid", raid.probe, RaidControllers),
    Probe("enclosures", enclosures.probe, Enclosures),
    Probe("accelerators", accelerators.probe, Accelerators),
]


def document(root: Root) -> dict[str, object]:
    """Survey the machine under `root`: a JSON object, whatever happens."""
    outcomes = survey(PROBES, root)
    sections = {name: outcome.section for name, outcome in outcomes.items()}
    links, cards = sections["ethtool"], sections["network"]
    if isinstance(links, ethtool.Links) and isinstance(cards, Network):
        ethtool.join(links, cards)
    extra = Extra(
        probes={name: _report(outcome) for name, outcome in outcomes.items()},
        disk_writes=getattr(sections["writes"], "sectors", {}),
    )
    return {
        "api_extensions": _EXTENSIONS,
        "api_version": API_VERSION,
        "environment": _environment(root),
        "resources": plain(_filled(Resources(), sections)),
        "networks": plain(getattr(sections["interfaces"], "states", {})),
        "extra": plain(_filled(extra, sections)),
    }


def _filled(whole: Shape, sections: dict[str, Section]) -> Shape:
    """A probe that is named as a field of `whole` fills it."""
    for name in vars(whole).keys() & sections.keys():
        setattr(whole, name, sections[name])
    return whole


def _report(outcome: Outcome) -> ProbeReport:
    return ProbeReport(outcome.ok, round(outcome.ms, 3), outcome.section.errors)


def _environment(root: Root) -> dict[str, str]:
    """The running system, as MAAS's tool states it."""
    reader = Reader(root)
    release = _os_release(reader)
    return {
        "kernel": reader.text("/proc/sys/kernel/ostype"),
        "kernel_architecture": reader.architecture(),
        "kernel_version": reader.text("/proc/sys/kernel/osrelease"),
        "os_name": release.get("ID", "").lower(),
        "os_version": release.get("VERSION_ID", "").lower(),
        "server": "muster",
        "server_name": os.uname().nodename if reader.live else _hostname(reader),
        "server_version": EXTRA_SCHEMA,
    }


def _hostname(reader: Reader) -> str:
    return reader.text("/proc/sys/kernel/hostname")


def _os_release(reader: Reader) -> dict[str, str]:
    """os-release(5): shell assignments, the values perhaps in quotes."""
    lines = reader.lines("/etc/os-release") or reader.lines("/usr/lib/os-release")
    pairs = (line.partition("=") for line in lines)
    return {key.strip(): value.strip().strip("\"'") for key, equals, value in pairs if equals}
