# SPDX-License-Identifier: Apache-2.0
"""Hosts of virtual machines: how they are reached, and what they said of themselves last."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import zstandard

from muster.store.engine import Conflict, Missing, Tx
from muster.store.rows import all_to, columns, to
from muster.store.schema_hosts import hosts


@dataclass(frozen=True)
class Host:
    """`summary`: server, version, pools, networks, resources; `error`: why it cannot be read now.

    `machine_id` is the machine that the host runs on, when its record is known.
    """

    id: str
    name: str
    driver: str
    parameters: dict[str, Any]
    secret: str
    summary: dict[str, Any]
    error: str
    seen_at: datetime | None
    machine_id: str | None
    created_at: datetime
    updated_at: datetime


def add(tx: Tx, host: Host) -> None:
    """A new record; raises Conflict when the name is taken."""
    if tx.execute(sa.select(hosts.c.id).where(hosts.c.name == host.name)).first():
        raise Conflict(f"the name {host.name!r} is taken by another host")
    values = {c.name: getattr(host, c.name) for c in columns(Host, hosts)}
    tx.execute(hosts.insert().values(values))


def find(tx: Tx, reference: str) -> Host:
    """By id, else by name; raises Missing."""
    where = sa.or_(hosts.c.id == reference, hosts.c.name == reference)
    found = to(Host, tx.execute(sa.select(*columns(Host, hosts)).where(where)).first())
    if found is None:
        raise Missing(f"no host has the id or name {reference!r}")
    return found


def every(tx: Tx) -> list[Host]:
    """All of them by name."""
    query = sa.select(*columns(Host, hosts)).order_by(hosts.c.name)
    return all_to(Host, tx.execute(query))


def update(tx: Tx, host: str, **values: Any) -> bool:
    """Change columns; False when it is gone."""
    return tx.execute(hosts.update().where(hosts.c.id == host).values(values)).rowcount == 1


def keep_document(tx: Tx, host: str, body: bytes) -> None:
    """The host's own resources document, the newest; compressed here."""
    update(tx, host, document=zstandard.ZstdCompressor(level=3).compress(body))


def document(tx: Tx, host: str) -> bytes:
    """As the host sent it; raises Missing when it was never read."""
    body = tx.execute(sa.select(hosts.c.document).where(hosts.c.id == host)).scalar_one_or_none()
    if body is None:
        raise Missing("the host's resources were never read; refresh it")
    return zstandard.ZstdDecompressor().decompress(body)


def sealed(tx: Tx) -> dict[str, str]:
    """The sealed secrets of hosts by id."""
    query = sa.select(hosts.c.id, hosts.c.secret).where(hosts.c.secret != "")
    return {row.id: row.secret for row in tx.execute(query)}


def delete(tx: Tx, host: str) -> None:
    """Remove the record; machines stay."""
    tx.execute(hosts.delete().where(hosts.c.id == host))
