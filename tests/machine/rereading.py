"""A resources document as the same machine would send it after another boot."""

import copy
import random
import re
from typing import Any

Plain = dict[str, Any]


def reread(whole: Plain, rng: random.Random) -> Plain:
    """The same machine after another boot: what a person would not call a change is another."""
    new = copy.deepcopy(whole)
    found, extra = new["resources"], new.get("extra") or {}
    _rename(new, rng)
    _renumber(found, rng)
    for several in (
        found["storage"]["disks"], found["network"]["cards"], found.get("gpu", {}).get("cards", []),
        found.get("usb", {}).get("devices", []), found.get("pci", {}).get("devices", []),
        found["cpu"].get("sockets") or [], extra.get("dimms", {}).get("slots", []),
        extra.get("pcie", {}).get("functions", []), extra.get("nics", {}).get("interfaces", []),
        extra.get("disk_health", {}).get("disks", []), extra.get("raid", {}).get("controllers", []),
        extra.get("processors", {}).get("packages", []),
        extra.get("power_supplies", {}).get("supplies", []),
    ):  # fmt: skip
        rng.shuffle(several)
    _drift(new, rng)
    return new


def _rename(new: Plain, rng: random.Random) -> None:
    """sda is sdb now, eth0 eth1; a name that udev made of the place stays."""
    found, extra = new["resources"], new.get("extra") or {}
    for pattern in (r"sd[a-z]+", r"nvme\d+n\d+", r"vd[a-z]+"):
        disks = [d for d in found["storage"]["disks"] if re.fullmatch(pattern, d["id"])]
        names = [d["id"] for d in disks]
        others = dict(zip(names, rng.sample(names, len(names)), strict=True))
        for disk in disks:
            disk["id"] = others[disk["id"]]
            disk["device"] = f"{rng.randrange(8, 260)}:{rng.randrange(256)}"
        for health in extra.get("disk_health", {}).get("disks", []):
            health["disk"] = others.get(health["disk"], health["disk"])
    ports = [p for c in found["network"]["cards"] for p in c.get("ports") or []]
    names = [p["id"] for p in ports]
    fresh = dict(zip(names, rng.sample(names, len(names)), strict=True))
    for port in ports:
        port["id"] = fresh[port["id"]]
    for driver in extra.get("nics", {}).get("interfaces", []):
        driver["interface"] = fresh.get(driver["interface"], driver["interface"])


def _renumber(found: Plain, rng: random.Random) -> None:
    """USB devices get their addresses anew, whoever asks first."""
    owners = found["network"]["cards"] + found["storage"]["disks"]
    taken = set()
    for device in found.get("usb", {}).get("devices", []):
        old = f"{device.get('bus_address')}:{device.get('device_address')}"
        number = rng.choice([n for n in range(1, 127) if n not in taken])
        taken.add(number)
        device["bus_address"], device["device_address"] = 1, number
        for owner in owners:
            if owner.get("usb_address") == old:
                owner["usb_address"] = f"new 1:{number}"
    for owner in owners:
        if owner.get("usb_address", "").startswith("new "):
            owner["usb_address"] = owner["usb_address"].removeprefix("new ")


def _drift(new: Plain, rng: random.Random) -> None:
    """Load, counters, temperatures, memory in use, clocks, links that save power."""
    found, extra = new["resources"], new.get("extra") or {}
    found["load"] = {"Average1Min": rng.random() * 64, "Processes": rng.randrange(5000)}
    memory = found["memory"]
    memory["used"] = rng.randrange(1 << 34)
    memory["total"] -= rng.randrange(memory["total"] // 200 + 1)
    for node in memory.get("nodes") or []:
        node["used"] = rng.randrange(1 << 34)
    for socket in found["cpu"].get("sockets") or []:
        socket["frequency"] = rng.randrange(800, 4000)
    for state in new.get("networks", {}).values():
        state["counters"] = {"bytes_received": rng.randrange(1 << 40)}
    for probe in extra.get("probes", {}).values():
        probe["ms"] = rng.random() * 100
    _wear(extra, rng)
    for function in extra.get("pcie", {}).get("functions", []):
        function["errors_correctable"] = rng.randrange(9)
        saves = function.get("class_id", "").removeprefix("0x").startswith(("03", "12"))
        if saves and function.get("link"):
            function["link"]["speed"] = rng.choice([2.5, 5.0, 16.0])


def _wear(extra: Plain, rng: random.Random) -> None:
    for disk in extra.get("disk_writes", {}):
        extra["disk_writes"][disk] = rng.randrange(1 << 40)
    for health in extra.get("disk_health", {}).get("disks", []):
        health |= {"temperature": rng.random() * 60, "power_on_hours": rng.randrange(90_000),
                   "bytes_written": rng.randrange(1 << 50)}  # fmt: skip
    for driver in extra.get("nics", {}).get("interfaces", []):
        if driver.get("optics"):
            driver["optics"]["temperature"] = rng.random() * 70
