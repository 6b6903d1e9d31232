"""Single changes of a resources document, as hands and time make them, with the sentence each has.

`every_change` yields (name, what was, what is, what the one sentence says); it is made from the
document itself, so that any recorded machine can be asked.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Plain = dict[str, Any]
Case = tuple[str, Plain, Plain, str]
"""The last is a pattern that the whole sentence must match."""

FREE = "0000:f7:00"
"""A PCI slot that no recorded machine has."""


def every_change(whole: Plain) -> Iterator[Case]:
    """Each DIMM, disk, NIC, GPU, processor, firmware and link of it, in turn."""
    for make in (_dimms, _disks, _nics, _gpus, _processors, _supplies, _firmware, _links, _usb):
        yield from make(whole)


def _changed(whole: Plain, change: Callable[[Plain], object]) -> Plain:
    new = copy.deepcopy(whole)
    change(new)
    return new


def _both(
    name: str, whole: Plain, without: Plain, what: str, *, last: bool = False
) -> Iterator[Case]:
    """Gone, and the other way round new. The `last` of a kind: it is not told where none is."""
    if last:
        return
    yield f"{name} gone", whole, without, f"{what} is gone.*"
    yield f"{name} new", without, whole, f"{what} is new.*"


def _slots(whole: Plain) -> list[Plain]:
    found: list[Plain] = (whole.get("extra") or {}).get("dimms", {}).get("slots", [])
    return found


def _dimms(whole: Plain) -> Iterator[Case]:
    full = [n for n, slot in enumerate(_slots(whole)) if slot.get("size") != 0]
    empty = [n for n, slot in enumerate(_slots(whole)) if slot.get("size") == 0]
    for n in full:
        slot = _slots(whole)[n]
        where = f"DIMM in slot {re.escape(slot['slot'])}"

        def pulled(new: Plain, n: int = n) -> None:
            gone = _slots(new)[n]
            memory = new["resources"]["memory"]
            memory["total"] = max(1, memory["total"] - (gone.get("size") or 0))
            _slots(new)[n] = {"slot": gone["slot"], "size": 0}

        yield from _both(where, whole, _changed(whole, pulled), where)

        def put(name: str, value: Any, n: int = n) -> Plain:
            return _changed(whole, lambda new: _slots(new)[n].update({name: value}))

        if slot.get("serial"):
            yield f"{where} replaced", whole, put("serial", "NEW1"), f"{where} was replaced: .*NEW1"
        for field, told in (("configured_speed", "configured speed"), ("part", "part number"),
                            ("manufacturer", "manufacturer")):  # fmt: skip
            if slot.get(field):
                value = 1600 if field == "configured_speed" else "other"
                yield f"{where} {field}", whole, put(field, value), f"{where}: {told} .*, now .*"
        if empty and slot.get("serial"):

            def moved(new: Plain, n: int = n) -> None:
                slots = _slots(new)
                slots[n]["slot"], slots[empty[0]]["slot"] = (
                    slots[empty[0]]["slot"],
                    slots[n]["slot"],
                )

            yield (
                f"{where} moved",
                whole,
                _changed(whole, moved),
                "DIMM .* moved from slot .* to .*",
            )


def _disks(whole: Plain) -> Iterator[Case]:
    disks = whole["resources"]["storage"]["disks"]
    for n, disk in enumerate(disks):
        where = "disk .*"

        def without(new: Plain, n: int = n) -> None:
            gone = new["resources"]["storage"]["disks"].pop(n)
            if gone.get("type") == "nvme":
                _pull(new, gone.get("pci_address", ""))
            _forget(new, gone["id"])

        yield from _both(f"disk {disk['id']}", whole, _changed(whole, without), where)

        def put(n: int = n, **values: Any) -> Plain:
            return _changed(
                whole, lambda new: new["resources"]["storage"]["disks"][n].update(values)
            )

        if disk.get("serial"):
            other = put(serial="NEWDISK", wwn="")
            yield f"disk {disk['id']} replaced", whole, other, "disk .* was replaced: .*NEWDISK"
            if disk.get("device_path"):
                moved = put(device_path="pci-0000:f7:00.0-ata-9")
                yield (
                    f"disk {disk['id']} moved",
                    whole,
                    moved,
                    "disk .* moved from .* to pci-0000:f7.*",
                )
        if disk.get("firmware_version"):
            newer = put(firmware_version="NEWFW")
            yield f"disk {disk['id']} firmware", whole, newer, "disk .*: firmware .*, now NEWFW"


def _pull(new: Plain, address: str) -> None:
    """A card, or what is on PCI like one: all functions, links and modules of it."""
    slot = address.rpartition(".")[0]
    if not slot:
        return
    found, extra = new["resources"], new.get("extra") or {}
    devices = found.get("pci", {}).get("devices", [])
    devices[:] = [d for d in devices if d["pci_address"].rpartition(".")[0] != slot]
    functions = extra.get("pcie", {}).get("functions", [])
    functions[:] = [f for f in functions if f["pci_address"].rpartition(".")[0] != slot]


def _move(whole: Plain, slot: str) -> Plain:
    """What sits in one PCI slot into a free one: every section tells of it."""
    text = json.dumps(whole)
    new: Plain = json.loads(text.replace(f"{slot}.", f"{FREE}."))
    return new


def _forget(new: Plain, disk: str) -> None:
    extra = new.get("extra") or {}
    health = extra.get("disk_health", {}).get("disks", [])
    health[:] = [one for one in health if one["disk"] != disk]
    extra.get("disk_writes", {}).pop(disk, None)


def _cards(whole: Plain) -> dict[str, list[int]]:
    """NICs by the slot that they sit in."""
    found: dict[str, list[int]] = {}
    for n, card in enumerate(whole["resources"]["network"]["cards"]):
        key = card.get("pci_address", "").rpartition(".")[0] or f"usb{n}"
        if card.get("ports"):
            found.setdefault(key, []).append(n)
    return found


def _nics(whole: Plain) -> Iterator[Case]:
    for slot, numbers in _cards(whole).items():
        names = [p["id"] for n in numbers
                 for p in whole["resources"]["network"]["cards"][n]["ports"]]  # fmt: skip

        def without(
            new: Plain, slot: str = slot, numbers: list[int] = numbers, names: list[str] = names
        ) -> None:
            cards = new["resources"]["network"]["cards"]
            cards[:] = [card for n, card in enumerate(cards) if n not in numbers]
            _pull(new, f"{slot}.0")
            interfaces = (new.get("extra") or {}).get("nics", {}).get("interfaces", [])
            interfaces[:] = [one for one in interfaces if one["interface"] not in names]

        yield from _both(f"NIC {slot}", whole, _changed(whole, without), "NIC .*")

        def newer(new: Plain, numbers: list[int] = numbers) -> None:
            for n in numbers:
                new["resources"]["network"]["cards"][n]["firmware_version"] = "99.99"

        if whole["resources"]["network"]["cards"][numbers[0]].get("firmware_version"):
            yield (
                f"NIC {slot} firmware",
                whole,
                _changed(whole, newer),
                "NIC .*: firmware .*, now 99.99",
            )
        if not slot.startswith("usb"):
            yield (
                f"NIC {slot} moved",
                whole,
                _move(whole, slot),
                f"NIC .* moved from {slot}.* to .*",
            )
        yield from _ports(whole, slot, numbers)


def _ports(whole: Plain, slot: str, numbers: list[int]) -> Iterator[Case]:
    def other(new: Plain) -> None:
        for n in numbers:
            for at, port in enumerate(new["resources"]["network"]["cards"][n]["ports"]):
                port["address"] = f"02:00:00:00:{n:02x}:{at:02x}"

    addresses = [p.get("address") for n in numbers
                 for p in whole["resources"]["network"]["cards"][n]["ports"]]  # fmt: skip
    if all(addresses) and not slot.startswith("usb"):
        yield f"NIC {slot} replaced", whole, _changed(whole, other), "NIC .* was replaced: .*"
    for n in numbers:
        for at, port in enumerate(whole["resources"]["network"]["cards"][n]["ports"]):

            def unplugged(new: Plain, n: int = n, at: int = at) -> None:
                new["resources"]["network"]["cards"][n]["ports"][at]["link_detected"] = False

            def slower(new: Plain, n: int = n, at: int = at) -> None:
                new["resources"]["network"]["cards"][n]["ports"][at]["link_speed"] = 10

            if port.get("link_detected"):
                name = f"NIC {port['id']}"
                yield (
                    f"{name} unplugged",
                    whole,
                    _changed(whole, unplugged),
                    "NIC .*: link .*, now none",
                )
                yield (
                    f"{name} slower",
                    whole,
                    _changed(whole, slower),
                    "NIC .*: link .*, now 10 Mbit/s",
                )


def _gpus(whole: Plain) -> Iterator[Case]:
    cards = whole["resources"].get("gpu", {}).get("cards", [])
    for n, card in enumerate(cards):
        where = f"GPU {card.get('pci_address')}"

        def without(new: Plain, n: int = n) -> None:
            gone = new["resources"]["gpu"]["cards"].pop(n)
            _pull(new, gone.get("pci_address", ""))

        yield from _both(where, whole, _changed(whole, without), "GPU .*")
        slot = card.get("pci_address", "").rpartition(".")[0]
        if slot and (card.get("nvidia") or len(cards) == 1):
            yield f"{where} moved", whole, _move(whole, slot), f"GPU .* moved from {slot}.* to .*"
        if card.get("nvidia"):

            def replaced(new: Plain, n: int = n) -> None:
                new["resources"]["gpu"]["cards"][n]["nvidia"]["uuid"] = "GPU-new"

            def flashed(new: Plain, n: int = n) -> None:
                new["resources"]["gpu"]["cards"][n]["nvidia"]["vbios_version"] = "99"

            yield (
                f"{where} replaced",
                whole,
                _changed(whole, replaced),
                "GPU .* replaced: .*GPU-new",
            )
            yield (
                f"{where} firmware",
                whole,
                _changed(whole, flashed),
                "GPU .*: firmware .*, now 99",
            )


def _processors(whole: Plain) -> Iterator[Case]:
    sockets = whole["resources"]["cpu"].get("sockets") or []
    for n, socket in enumerate(sockets):
        where = f"processor in socket {socket.get('socket', 0)}"

        def without(new: Plain, n: int = n) -> None:
            new["resources"]["cpu"]["sockets"].pop(n)

        yield from _both(where, whole, _changed(whole, without), where)

        def other(new: Plain, n: int = n) -> None:
            new["resources"]["cpu"]["sockets"][n]["name"] = "Another CPU"

        def fewer(new: Plain, n: int = n) -> None:
            core = new["resources"]["cpu"]["sockets"][n]["cores"][0]
            core["threads"] = core["threads"][:1]

        if socket.get("name"):
            yield (
                f"{where} other",
                whole,
                _changed(whole, other),
                f"{where}: model .*, now Another CPU",
            )
        if socket.get("cores") and len(socket["cores"][0].get("threads") or ()) > 1:
            yield f"{where} threads", whole, _changed(whole, fewer), f"{where}: threads .*, now .*"
    packages = (whole.get("extra") or {}).get("processors", {}).get("packages", [])
    if packages and all(one.get("microcode") for one in packages):

        def patched(new: Plain) -> None:
            for one in new["extra"]["processors"]["packages"]:
                one["microcode"] = "0xffff"

        yield "microcode", whole, _changed(whole, patched), "processor .*: microcode .*, now 0xffff"


def _supplies(whole: Plain) -> Iterator[Case]:
    supplies = (whole.get("extra") or {}).get("power_supplies", {}).get("supplies", [])
    for n, supply in enumerate(supplies):
        if not supply.get("present"):
            continue

        def pulled(new: Plain, n: int = n) -> None:
            new["extra"]["power_supplies"]["supplies"][n]["present"] = False

        yield from _both(f"PSU {n}", whole, _changed(whole, pulled), "power supply in slot .*")


FIRMWARE = {
    "resources.system.firmware.version": "BIOS: version .*, now .*",
    "extra.bmc.firmware_version": "BMC: firmware .*, now NEW",
    "extra.tpm.firmware_version": "TPM: firmware .*, now NEW",
    "resources.system.serial": "system: serial number .*, now NEW",
    "resources.system.product": "system: product .*, now NEW",
    "resources.system.motherboard.serial": "system: board serial number .*, now NEW",
}


def _firmware(whole: Plain) -> Iterator[Case]:
    for path, told in FIRMWARE.items():
        *steps, name = path.split(".")
        at: Any = whole
        for step in steps:
            at = (at or {}).get(step)
        if not at or not at.get(name):
            continue

        def newer(new: Plain, steps: list[str] = steps, name: str = name) -> None:
            here: Any = new
            for step in steps:
                here = here[step]
            here[name] = "NEW"

        yield path, whole, _changed(whole, newer), told


def _links(whole: Plain) -> Iterator[Case]:
    functions = (whole.get("extra") or {}).get("pcie", {}).get("functions", [])
    for n, function in enumerate(functions):
        if not (function.get("link") or {}).get("width"):
            continue

        def narrower(new: Plain, n: int = n) -> None:
            new["extra"]["pcie"]["functions"][n]["link"]["width"] = 77

        where = f"PCIe link at {re.escape(function['pci_address'])}.*"
        yield where, whole, _changed(whole, narrower), f"{where}: width x.*, now x77"


def _usb(whole: Plain) -> Iterator[Case]:
    found = whole["resources"]
    told = {one.get("usb_address") for one in found["network"]["cards"] + found["storage"]["disks"]}
    for n, device in enumerate(found.get("usb", {}).get("devices", [])):
        if f"{device.get('bus_address')}:{device.get('device_address')}" in told:
            continue

        def pulled(new: Plain, n: int = n) -> None:
            new["resources"]["usb"]["devices"].pop(n)

        yield from _both(f"USB {n}", whole, _changed(whole, pulled), "USB device .*")
