# SPDX-License-Identifier: Apache-2.0
"""What a run owes: results for scripts, one for each device, and what is added on the way.

A run begins with the scripts that need to know nothing. When they have ended it grows: scripts
for the hardware that was found, built-in ones again after a script with `recommission`, and the
tests, once for each disk or NIC of this very boot (a disk may have another name than last time).
"""

import base64
from fnmatch import fnmatchcase
from typing import Any

from muster.lifecycle.shelf import Offer, Parameters, pin, unpin
from muster.lifecycle.survey import RESOURCES
from muster.scripts import devices
from muster.scripts import parameters as kinds
from muster.scripts.devices import Device
from muster.scripts.format import Script
from muster.store import findings, runs
from muster.store.engine import Conflict, Tx
from muster.store.runs import Result, Run
from muster.wire.codec import convert
from muster.wire.hello import Packages, ScriptItem
from muster.wire.resources import BadDocument, Document, read_sections

GOOD = ("passed", "degraded", "skipped")
BODY_MOST = 16 * 1024
"""Bytes of a script that is sent with the plan; larger ones the agent fetches."""
_RUNTIME_GRACE_S = 60
"""Seconds that a script may take beyond the runtime it was given."""


def check_parameters(offers: list[Offer], given: Parameters) -> None:
    """Raise Conflict for a value that does not fit, one that is missing, or a strange name."""
    known = {offer.script.name: offer.script.parameters for offer in offers}
    for script, values in given.items():
        for name, value in values.items():
            takers = [about for s, abouts in known.items() if script in ("*", s)
                      and (about := abouts.get(name))]  # fmt: skip
            if not takers:
                raise Conflict(f"no chosen script takes the parameter {script}.{name}")
            for about in takers:
                if why := kinds.wrong(about, value):
                    raise Conflict(f"parameter {script}.{name}: {why}")
    for offer in offers:
        for name, about in offer.script.parameters.items():
            if about.get("required", True) and _value(offer.script, name, about, given) == "":
                raise Conflict(f"{offer.script.name} needs a value for its parameter {name}")


def _value(script: Script, name: str, about: dict[str, object], given: Parameters) -> str:
    for values in (given.get(script.name, {}), given.get("*", {})):
        if name in values:
            return values[name]
    default = about.get("default")
    if default is None and about["type"] in ("storage", "interface"):
        return "all"
    return kinds.text(default) if default is not None else ""


def begin(tx: Tx, run: int, offers: list[Offer], given: Parameters) -> dict[str, Any]:
    """Owe what needs to know nothing; returns the options that keep the rest for later."""
    now = [offer for offer in offers if not offer.waits and offer.script.script_type != "testing"]
    _owe(tx, run, [_owed(offer, given, []) for offer in now])
    runs.keep_scripts(tx, {offer.script.sha256: offer.script.source for offer in now})
    later = [pin(tx, offer) for offer in offers if offer not in now]
    return {"later": later, "parameters": given}


def _owe(tx: Tx, run: int, owed: list[dict[str, Any]]) -> None:
    """Behind what it owes already."""
    first = runs.count_results(tx, run)
    runs.add_results(tx, run, [row | {"position": first + n} for n, row in enumerate(owed)])


def _owe_one(tx: Tx, run: int, offer: Offer, given: Parameters, chosen: list[Device]) -> int:
    """Returns the result's id."""
    runs.keep_script(tx, offer.script.sha256, offer.script.source)
    owed = _owed(offer, given, chosen)
    return runs.add_result(tx, run_id=run, position=runs.count_results(tx, run), **owed)


def _owed(offer: Offer, given: Parameters, chosen: list[Device]) -> dict[str, Any]:
    """One result, but for its place."""
    script = offer.script
    arguments: list[str] = []
    values: dict[str, str] = {}
    runtime = 0
    for name, about in script.parameters.items():
        value = _value(script, name, about, given)
        facts = {"input": value}
        for device in chosen:
            if about["type"] == {"disk": "storage", "nic": "interface"}[device.kind]:
                facts = device.facts
        if value:
            arguments += kinds.argument(name, about, facts)
            values[name] = "*" * 8 if about["type"] == "password" else facts["input"]
        if about["type"] == "runtime" and value:
            runtime = int(value)
    timeout = max(script.timeout, runtime + _RUNTIME_GRACE_S) if runtime else script.timeout
    if runtime and not script.timeout:
        timeout = 0
    return {
        "name": script.name,
        "script_type": script.script_type,
        "sha256": script.sha256,
        "timeout_s": float(timeout),
        "device": ", ".join(device.told for device in chosen)[:128],
        "spec": {
            "title": script.title,
            "parallel": script.parallel,
            "hardware_type": script.hardware_type,
            "arguments": arguments,
            "parameters": values,
            "runtime_s": float(runtime),
            "holds": _holds(script, chosen),
            "packages": script.packages,
            "may_reboot": script.may_reboot,
            "recommission": script.recommission,
            "optional": "optional" in script.tags,
            "built_in": offer.version == 0,
            "secret": offer.version == 0 and "bmc-config" in script.tags,
            "needs": offer.needs,
            "thresholds": offer.thresholds,
            "results": script.results,
        },
    }


def _holds(script: Script, chosen: list[Device]) -> list[str]:
    return devices.holds(script, chosen) if script.script_type == "testing" or chosen else []


def needs_system(tx: Tx, run: Run) -> bool:
    """Whether any script of a run, owed or to come, needs more than the image's tools."""
    owed = (result.spec.get("needs", "system") for result in runs.results_of(tx, run.id))
    later = (unpin(tx, pinned).needs for pinned in run.options.get("later", []))
    return "system" in {*owed, *later}


def items(tx: Tx, run: int) -> list[ScriptItem]:
    """The run as the agent is told of it."""
    return [_item(result) for result in runs.results_of(tx, run)]


def bodies(tx: Tx, run: int) -> dict[str, str]:
    """The small scripts that have not ended, in base64 by their sha256: one answer, not twelve."""
    known = runs.open_bodies(tx, run, most=BODY_MOST)
    return {sha256: base64.b64encode(body).decode() for sha256, body in known.items()}


def _item(result: Result) -> ScriptItem:
    spec = result.spec
    return ScriptItem(
        result=result.id,
        name=result.name,
        sha256=result.sha256,
        script_type=result.script_type,
        timeout_s=result.timeout_s,
        done=result.state not in runs.OPEN,
        parallel=spec.get("parallel", "disabled"),
        arguments=spec.get("arguments", []),
        holds=spec.get("holds", []),
        packages=_packages(spec.get("packages", {})),
        may_reboot=spec.get("may_reboot", False),
        has_started=result.attempts > 0,
        runtime_s=spec.get("runtime_s", 0.0),
        built_in=spec.get("built_in", False),
        secret=spec.get("secret", False),
        needs=spec.get("needs", "system"),
    )


def _packages(given: dict[str, list[Any]]) -> Packages:
    if not given:
        return Packages()
    snaps = [snap if isinstance(snap, dict) else {"name": snap} for snap in given.get("snap", [])]
    found = convert(Packages, {**given, "snap": snaps}, "$.packages")
    assert isinstance(found, Packages)
    return found


def grow(tx: Tx, run: Run) -> bool:
    """Add what is due now that everything owed has ended; True when tests were added."""
    done = runs.results_of(tx, run.id)
    if run.state not in runs.OPEN or any(result.state in runs.OPEN for result in done):
        return False
    if not all(counts_as_good(result) for result in done):
        return False
    if _again(tx, run, done):
        return False
    later = [unpin(tx, pinned) for pinned in run.options.get("later", [])]
    due = [offer for offer in later if offer.script.script_type == "commissioning"] or later
    if not due:
        return False
    document = _document(tx, done)
    for offer in due:
        _owe_devices(tx, run, offer, document)
    left = [pin(tx, offer) for offer in later if offer not in due]
    runs.update(tx, run.id, options=run.options | {"later": left})
    added = runs.results_of(tx, run.id)[len(done) :]
    if not added and left:
        return grow(tx, runs.find(tx, run.id))
    return any(result.script_type == "testing" for result in added)


def counts_as_good(result: Result) -> bool:
    """Whether it keeps its run from failing; a script tagged `optional` always does."""
    return result.state in GOOD or bool(result.spec.get("optional")) or bool(result.suppressed)


def _again(tx: Tx, run: Run, done: list[Result]) -> bool:
    """After a script with `recommission`, the built-in scripts look once more."""
    handled = run.options.get("recommissioned", [])
    cause = [r for r in done if r.spec.get("recommission") and r.state == "passed"]
    if all(result.id in handled for result in cause):
        return False
    names = dict.fromkeys(
        r.name for r in done if r.script_type == "commissioning" and r.spec.get("built_in")
    )
    again = [next(r for r in done if r.name == name) for name in names]
    copied = ("name", "script_type", "sha256", "timeout_s", "spec")
    _owe(tx, run.id, [{name: getattr(result, name) for name in copied} for result in again])
    options = run.options | {"recommissioned": [*handled, *(result.id for result in cause)]}
    runs.update(tx, run.id, options=options)
    return bool(names)


def _document(tx: Tx, done: list[Result]) -> Document | None:
    """What this run itself read of the resources, the newest first."""
    for result in reversed(done):
        if result.name == RESOURCES and result.state in GOOD:
            try:
                return read_sections(runs.output(tx, result.id, stream="stdout"))
            except BadDocument:
                return None
    return None


def _owe_devices(tx: Tx, run: Run, offer: Offer, document: Document | None) -> None:
    script = offer.script
    given: Parameters = run.options.get("parameters", {})
    if script.for_hardware and not fits(tx, run.machine_id, script, document):
        return
    if not offer.wants_device:
        _owe_one(tx, run.id, offer, given, [])
        return
    for name, about in script.parameters.items():
        if about["type"] not in ("storage", "interface"):
            continue
        there = _there(document, str(about["type"]))
        chosen = devices.choose(there, _value(script, name, about, given))
        for device in chosen:
            _owe_one(tx, run.id, offer, given, [device])
        if not chosen:
            result = _owe_one(tx, run.id, offer, given, [])
            reason = f"the machine has no {about['type']} device that {name} could mean"
            runs.update_result(tx, result, state="skipped", reason=reason)
        # MAAS, too, makes instances of one parameter only.
        return


def _there(document: Document | None, kind: str) -> list[Device]:
    if document is None:
        return []
    return devices.storage(document) if kind == "storage" else devices.interfaces(document)


def fits(tx: Tx, machine: str, script: Script, document: Document | None) -> bool:
    """Whether the machine has any of the hardware that the script is for."""
    aliases = findings.body(tx, machine, "modaliases") or []
    return any(_fits(pattern, aliases, document) for pattern in script.for_hardware)


def _fits(pattern: str, aliases: list[str], document: Document | None) -> bool:
    kind, _, wanted = pattern.partition(":")
    if kind == "modalias":
        return any(fnmatchcase(alias, wanted) for alias in aliases)
    if kind in ("pci", "usb"):
        vendor, _, product = wanted.upper().partition(":")
        form = "pci:v0000{}d0000{}*" if kind == "pci" else "usb:v{}p{}*"
        return any(fnmatchcase(alias, form.format(vendor, product)) for alias in aliases)
    if document is None:
        return False
    system = document.resources.system
    owner = system if kind.startswith("system_") else system.motherboard
    fact = str(getattr(owner, kind.partition("_")[2], "") or "")
    return bool(fact) and fact.lower() == wanted.strip().lower()
