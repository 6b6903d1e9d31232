# SPDX-License-Identifier: Apache-2.0
"""The verbs for scripts: add a version, change how a script is used, remove it."""

from dataclasses import dataclass
from datetime import datetime

from muster.lifecycle import shelf
from muster.scripts import catalogue
from muster.scripts import format as script_format
from muster.scripts.entry import ScriptError
from muster.scripts.fields import TIMEOUT_LIMIT
from muster.scripts.format import Script
from muster.store import events, runs, scripts
from muster.store.engine import Conflict, Missing, Store, Tx
from muster.store.scripts import ScriptRow

Thresholds = dict[str, dict[str, float]]


class BadScript(ValueError):
    """A script that is refused; `problems` is everything that is wrong with it, by line."""

    def __init__(self, problems: list[ScriptError]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Use:
    """What a user may change about any script; None: leave it. Empty tags stay empty."""

    enabled: bool | None = None
    tags: list[str] | None = None
    timeout_s: int | None = None
    thresholds: Thresholds | None = None


def read(source: bytes, name: str = "") -> Script:
    """Parse a script; raises BadScript with every reason."""
    if problems := script_format.problems(source, name=name):
        raise BadScript(problems)
    return script_format.parse(source, name=name)


def add(
    store: Store, source: bytes, *, name: str = "", comment: str = "", actor: str, now: datetime
) -> tuple[Script, int]:
    """Add a script or its next version; the same bytes again change nothing.

    Returns the script and its version's number; raises BadScript, Conflict.
    """
    script = read(source, name)
    if script.name in _built_in():
        raise Conflict(f"{script.name} is built in; give yours another name")
    with store.write() as tx:
        row = scripts.find(tx, script.name) or scripts.add(tx, script.name, now=now, latest=0)
        old = scripts.versions(tx, row.id)
        if old and old[-1].sha256 == script.sha256:
            return script, old[-1].number
        number = row.latest + 1
        runs.keep_script(tx, script.sha256, source)
        scripts.add_version(
            tx,
            row.id,
            number=number,
            sha256=script.sha256,
            comment=comment or script.comment,
            created_by=actor,
            created_at=now,
        )
        scripts.update(tx, row.id, latest=number, updated_at=now)
        told = f"script {script.name} version {number} ({script.sha256[:12]})"
        events.add(tx, now, "script.added", told, actor=actor)
    return script, number


def change(store: Store, name: str, use: Use, *, actor: str, now: datetime) -> None:
    """Change how a script is used from the next run on; raises Missing, Conflict."""
    _check(use)
    with store.write() as tx:
        row = _row(tx, name, now)
        values = {
            key: value
            for key, value in (
                ("enabled", use.enabled),
                ("tags", use.tags),
                ("timeout_s", use.timeout_s),
                ("thresholds", use.thresholds),
            )
            if value is not None
        }
        scripts.update(tx, row.id, updated_at=now, **values)
        told = ", ".join(f"{key} {value}" for key, value in values.items())
        events.add(tx, now, "script.changed", f"script {name}: {told}", actor=actor)


def _check(use: Use) -> None:
    if use.timeout_s is not None and not 0 <= use.timeout_s <= TIMEOUT_LIMIT:
        raise Conflict(f"timeout_s: {use.timeout_s} is not between 0 and {TIMEOUT_LIMIT}")
    for name, limits in (use.thresholds or {}).items():
        if not limits or limits.keys() - {"min", "max"}:
            raise Conflict(f"thresholds.{name}: must have min, max or both")


def _row(tx: Tx, name: str, now: datetime) -> ScriptRow:
    row = scripts.find(tx, name)
    if row is None and name not in _built_in():
        raise Missing(f"no script has the name {name!r}")
    return row or scripts.add(tx, name, now=now, latest=0)


def remove(store: Store, name: str, *, actor: str, now: datetime) -> None:
    """Forget a user's script, or what was changed about a built-in one; past runs keep theirs."""
    with store.write() as tx:
        row = scripts.find(tx, name)
        if row is None:
            raise Missing(f"no script of a user's has the name {name!r}")
        scripts.delete(tx, row.id)
        told = f"script {name} " + ("was removed" if row.latest else "is again as it came")
        events.add(tx, now, "script.removed", told, actor=actor)


def source(store: Store, name: str, version: int = 0) -> bytes:
    """The bytes of a script; version 0 is the newest. Raises Missing."""
    with store.read() as tx:
        for offer in shelf.every(tx):
            if offer.script.name == name and version in (0, offer.version):
                return offer.script.source
        row = next((row for row in scripts.some(tx) if row.name == name), None)
        if row is None:
            raise Missing(f"no script has the name {name!r}")
        return scripts.body(tx, row.id, version)


def _built_in() -> set[str]:
    return {s.name for kind in ("commissioning", "testing") for s in catalogue.builtin(kind)}
