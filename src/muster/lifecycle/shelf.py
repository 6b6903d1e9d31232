# SPDX-License-Identifier: Apache-2.0
"""Which scripts there are to run: the built-in ones as users changed them, and users' own."""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from muster.scripts import catalogue
from muster.scripts.format import Script, parse
from muster.store import runs, scripts
from muster.store.engine import Conflict, Tx
from muster.store.scripts import ScriptRow
from muster.wire.hello import Needs

INVENTORY = ("50-maas-01-commissioning",)
"""Built-in scripts for which the small root of a swift start is enough; they run first in it."""

Parameters = dict[str, dict[str, str]]
"""Values by script name and parameter; the script "*" is every script."""


@dataclass(frozen=True)
class Offer:
    """A script as it would run now; `version` is 0 for a built-in one."""

    script: Script
    enabled: bool = True
    version: int = 0
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        """It wants a device, or particular hardware: the resources must be read first."""
        return bool(self.script.for_hardware) or self.wants_device

    @property
    def needs(self) -> Needs:
        """What it must find on the machine: users' scripts count on a whole system, as in MAAS."""
        if self.version or self.script.may_reboot or self.script.apply_configured_networking:
            return "system"
        return "inventory" if self.script.name in INVENTORY else "tools"

    @property
    def wants_device(self) -> bool:
        """It runs once for each disk or NIC."""
        return any(
            about["type"] in ("storage", "interface") for about in self.script.parameters.values()
        )


@lru_cache(maxsize=512)
def _parsed(name: str, body: bytes) -> Script:
    return parse(body, name=name)


def every(tx: Tx) -> list[Offer]:
    """All scripts by name; a user's one stands in for a built-in of the same name."""
    own = {name: _parsed(name, body) for name, body in scripts.newest_bodies(tx)}
    built_in = {s.name: s for kind in ("commissioning", "testing") for s in catalogue.builtin(kind)}
    known = built_in | own
    rows = {row.name: row for row in scripts.some(tx)}
    return [_offer(known[name], rows.get(name)) for name in sorted(known)]


def _offer(script: Script, row: ScriptRow | None) -> Offer:
    if row is None:
        return Offer(script)
    changed = replace(
        script,
        tags=tuple(row.tags) if row.tags is not None else script.tags,
        timeout=row.timeout_s if row.timeout_s is not None else script.timeout,
    )
    return Offer(changed, row.enabled, row.latest, row.thresholds)


def for_enlist(tx: Tx) -> list[Offer]:
    """What runs on a machine nobody has accepted; users' scripts only with the tag enlisting."""
    allowed = {script.name for script in catalogue.for_enlist()}
    return [
        offer
        for offer in _with(tx, catalogue.for_enlist())
        if offer.enabled
        and not offer.waits
        and (offer.script.name in allowed or _may_enlist(offer.script))
    ]


def _may_enlist(script: Script) -> bool:
    touches = script.destructive or script.apply_configured_networking
    return (
        script.script_type == "commissioning"
        and "enlisting" in script.tags
        and "bmc-config" not in script.tags
        and not touches
    )


def for_commission(tx: Tx, wanted: list[str]) -> list[Offer]:
    """The built-in scripts, and users' ones: all but `noauto`, or those that `wanted` names."""
    offers = _with(tx, catalogue.for_commission())
    commissioning = [o for o in offers if o.script.script_type == "commissioning" and o.enabled]
    defaults = {script.name for script in catalogue.for_commission()}
    chosen = _chosen(commissioning, wanted) if wanted else None
    return [
        offer
        for offer in commissioning
        if (offer.script.name in defaults and not offer.version)
        or (chosen is None and "noauto" not in offer.script.tags)
        or (chosen is not None and offer.script.name in chosen)
    ]


def for_tests(tx: Tx, wanted: list[str]) -> list[Offer]:
    """The tests that `wanted` means by name or tag; raises Conflict for one that there is not."""
    tests = [o for o in every(tx) if o.script.script_type == "testing" and o.enabled]
    chosen = _chosen(tests, wanted)
    return [offer for offer in tests if offer.script.name in chosen]


def _with(tx: Tx, built_in: list[Script]) -> list[Offer]:
    """`built_in` as users changed them, and users' own scripts."""
    offers = {offer.script.name: offer for offer in every(tx)}
    names = {script.name for script in built_in}
    found = [offers.get(script.name) or Offer(script) for script in built_in]
    # The very bytes that were asked for, also when a test puts others on the shelf.
    kept = [
        offer if offer.version or offer.script.sha256 == script.sha256 else Offer(script)
        for offer, script in zip(found, built_in, strict=True)
    ]
    others = [o for name, o in offers.items() if o.version and name not in names]
    return sorted([*kept, *others], key=lambda offer: offer.script.name)


def _chosen(offers: list[Offer], wanted: list[str]) -> set[str]:
    names: set[str] = set()
    for word in wanted:
        if word == "none":
            continue
        meant = {o.script.name for o in offers if word == o.script.name or word in o.script.tags}
        if not meant:
            raise Conflict(f"no enabled script has the name or tag {word!r}")
        names |= meant
    return names


def pin(tx: Tx, offer: Offer) -> dict[str, Any]:
    """The offer as a run keeps it until it is due; its bytes are kept too."""
    runs.keep_script(tx, offer.script.sha256, offer.script.source)
    return {
        "name": offer.script.name,
        "sha256": offer.script.sha256,
        "tags": list(offer.script.tags),
        "timeout": offer.script.timeout,
        "version": offer.version,
        "thresholds": offer.thresholds,
    }


def unpin(tx: Tx, pinned: dict[str, Any]) -> Offer:
    """What `pin` kept."""
    script = _parsed(pinned["name"], runs.content(tx, pinned["sha256"]))
    script = replace(script, tags=tuple(pinned["tags"]), timeout=pinned["timeout"])
    return Offer(script, version=pinned["version"], thresholds=pinned["thresholds"])
