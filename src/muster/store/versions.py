# SPDX-License-Identifier: Apache-2.0
"""The versions of a machine's inventory document: the first is 1."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import zstandard

from muster.store.engine import Missing, Tx
from muster.store.rows import all_to, to
from muster.store.schema import documents


@dataclass(frozen=True)
class Version:
    """`version` counts a machine's documents; `sha256` is of the bytes that it sent."""

    version: int
    id: int
    result_id: int
    taken_at: datetime
    sha256: str


def _numbered(machine: str) -> sa.Subquery:
    number = sa.func.row_number().over(order_by=documents.c.id).label("version")
    kept = (documents.c.id, documents.c.result_id, documents.c.taken_at, documents.c.sha256)
    return sa.select(number, *kept).where(documents.c.machine_id == machine).subquery()


def some(tx: Tx, machine: str, *, limit: int) -> list[Version]:
    """Newest first."""
    found = _numbered(machine)
    query = sa.select(found).order_by(found.c.id.desc()).limit(limit)
    return all_to(Version, tx.execute(query))


def find(tx: Tx, machine: str, version: int) -> Version:
    """By its number; raises Missing."""
    found = _numbered(machine)
    row = to(Version, tx.execute(sa.select(found).where(found.c.version == version)).first())
    if row is None:
        raise Missing(f"the machine has no version {version} of its resources document")
    return row


def body(tx: Tx, version: Version) -> bytes:
    """The document, byte for byte as the machine sent it."""
    query = sa.select(documents.c.body).where(documents.c.id == version.id)
    return zstandard.ZstdDecompressor().decompress(tx.execute(query).scalar_one())
