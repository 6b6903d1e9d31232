"""Machines of one model that differ in all that identifies them, and a person who decides."""

import json
from typing import Any

from rack import Rack
from rackserver import rackserver

from muster.lifecycle import clashes as verbs
from muster.store import clashes
from muster.store.clashes import ClashRow
from muster.wire.hello import Welcome

U1, U2, U3 = (f"0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e000{n}" for n in (1, 2, 3))
M1, M2, M3 = (f"52:54:00:12:34:0{n}" for n in (1, 2, 3))


def document(number: int, **bmc: Any) -> dict[str, Any]:
    """Another machine of the model: nothing that identifies is the first one's."""
    plain = rackserver()
    plain["resources"]["system"] |= {"uuid": "", "serial": f"SN{number}"}
    plain["resources"]["system"]["motherboard"]["serial"] = f"BOARD{number}"
    for card in plain["resources"]["network"]["cards"]:
        for port in card["ports"]:
            port["address"] = ""
    plain["extra"]["tpm"]["ek_sha256"] = f"{number:02x}" * 32
    plain["extra"]["bmc"]["lan"] = [{"channel": 1, "mac": f"b0:7b:25:00:00:{number:02x}"} | bmc]
    for disk in plain["resources"]["storage"]["disks"]:
        disk["serial"] += str(number)
    for dimm in plain["extra"]["dimms"]["slots"]:
        if dimm.get("serial"):
            dimm["serial"] += str(number)
    return plain


def survey(rack: Rack, welcome: Welcome, plain: dict[str, Any]) -> str:
    rack.document = json.dumps(plain).encode()
    rack.finish(welcome)
    return welcome.machine


def machine(rack: Rack, number: int, **words: Any) -> str:
    """A surveyed machine with UUID, MAC and serial number of this number; returns its name."""
    plain = words.pop("plain", None) or document(number)
    words = {"uuid": (U1, U2, U3)[number - 1], "macs": [(M1, M2, M3)[number - 1]],
             "serial": f"SN{number}", "key": f"k{number}"} | words  # fmt: skip
    return survey(rack, rack.arrive(**words)[1], plain)


def claims(rack: Rack, nonce: str = "", **words: Any) -> Welcome:
    """A hello behind a loader that says nothing."""
    plan = rack.boot(uuid="", mac="52:54:00:99:99:99")
    return rack.say_hello(plan.nonce, **({"serial": "SNX", "key": "kx"} | words))


def waiting(rack: Rack) -> list[ClashRow]:
    with rack.store.read() as tx:
        return clashes.some(tx)


def decide(rack: Rack, clash: ClashRow, decision: Any, keep: str = "") -> ClashRow:
    return verbs.decide(rack.store, clash.id, decision, keep=keep, actor="ann", now=rack.now())


def undo(rack: Rack, clash: ClashRow) -> ClashRow:
    return verbs.undo(rack.store, clash.id, actor="ann", now=rack.now())
