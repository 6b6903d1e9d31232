# SPDX-License-Identifier: Apache-2.0
"""Users' scripts, their versions, and what users changed about the built-in ones."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.store.engine import Conflict, Missing, Tx
from muster.store.rows import all_to, to
from muster.store.schema import script_contents, script_versions, scripts


@dataclass(frozen=True)
class ScriptRow:
    """`latest` is the newest version's number, 0 for a built-in; null tags: as the metadata."""

    id: int
    name: str
    latest: int
    enabled: bool
    tags: list[str] | None
    timeout_s: int | None
    thresholds: dict[str, dict[str, float]]
    updated_at: datetime


@dataclass(frozen=True)
class Version:
    """One version of a user's script; its bytes are kept by hash."""

    number: int
    sha256: str
    comment: str
    created_by: str
    created_at: datetime


def some(tx: Tx) -> list[ScriptRow]:
    """All rows by name."""
    return all_to(ScriptRow, tx.execute(sa.select(scripts).order_by(scripts.c.name)))


def find(tx: Tx, name: str) -> ScriptRow | None:
    """By name, locked until the transaction ends."""
    query = sa.select(scripts).where(scripts.c.name == name).with_for_update()
    return to(ScriptRow, tx.execute(query).first())


def add(tx: Tx, name: str, *, now: datetime, latest: int) -> ScriptRow:
    """A new row; raises Conflict when another request was quicker."""
    values = {"latest": latest, "enabled": True, "thresholds": {}, "updated_at": now}
    try:
        with tx.begin_nested():
            tx.execute(scripts.insert().values(name=name, tags=None, timeout_s=None, **values))
    except sa.exc.IntegrityError as error:
        raise Conflict(f"script {name} is being added by somebody else") from error
    found = find(tx, name)
    assert found is not None
    return found


def update(tx: Tx, script: int, **values: Any) -> None:
    """Change columns of one row; tags None means: as the metadata."""
    if "tags" in values and values["tags"] is None:
        values["tags"] = sa.null()
    tx.execute(scripts.update().where(scripts.c.id == script).values(values))


def delete(tx: Tx, script: int) -> None:
    """The row with its versions; bytes that runs point to stay."""
    tx.execute(scripts.delete().where(scripts.c.id == script))


def add_version(tx: Tx, script: int, **values: Any) -> None:
    """A version; its bytes are kept by `runs.keep_script`."""
    tx.execute(script_versions.insert().values(script_id=script, **values))


def versions(tx: Tx, script: int) -> list[Version]:
    """The versions, oldest first."""
    query = sa.select(script_versions).where(script_versions.c.script_id == script)
    return all_to(Version, tx.execute(query.order_by(script_versions.c.number)))


def body(tx: Tx, script: int, number: int) -> bytes:
    """The bytes of one version; raises Missing."""
    query = (
        sa.select(script_contents.c.body)
        .join(script_versions, script_versions.c.sha256 == script_contents.c.sha256)
        .where(script_versions.c.script_id == script, script_versions.c.number == number)
    )
    found: bytes | None = tx.execute(query).scalar_one_or_none()
    if found is None:
        raise Missing(f"this script has no version {number}")
    return found


def newest_bodies(tx: Tx) -> list[tuple[str, bytes]]:
    """Name and bytes of every user's script."""
    query = (
        sa.select(scripts.c.name, script_contents.c.body)
        .join(script_versions, script_versions.c.script_id == scripts.c.id)
        .join(script_contents, script_contents.c.sha256 == script_versions.c.sha256)
        .where(script_versions.c.number == scripts.c.latest)
        .order_by(scripts.c.name)
    )
    return [(str(name), bytes(found)) for name, found in tx.execute(query)]
