# SPDX-License-Identifier: Apache-2.0
"""The versions of a machine's inventory document: the first is 1, and a number stays.

After two records became one, the other's documents have the numbers behind this one's.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import zstandard

from muster.store.engine import Missing, Tx
from muster.store.rows import all_to, to
from muster.store.schema import documents


@dataclass(frozen=True)
class Version:
    """`sha256` is of the bytes that the machine sent."""

    version: int
    id: int
    result_id: int
    taken_at: datetime
    sha256: str


def some(tx: Tx, machine: str, *, limit: int, before: Version | None = None) -> list[Version]:
    """Newest first; older than `before`."""
    query = sa.select(documents).where(documents.c.machine_id == machine)
    order = (documents.c.taken_at.desc(), documents.c.id.desc())
    if before is not None:
        when = sa.tuple_(documents.c.taken_at, documents.c.id)
        query = query.where(when < sa.tuple_(before.taken_at, before.id))
    return all_to(Version, tx.execute(query.order_by(*order).limit(limit)))


def find(tx: Tx, machine: str, version: int) -> Version:
    """By its number; raises Missing."""
    query = sa.select(documents).where(documents.c.machine_id == machine)
    row = to(Version, tx.execute(query.where(documents.c.version == version)).first())
    if row is None:
        raise Missing(f"the machine has no version {version} of its resources document")
    return row


def body(tx: Tx, version: Version) -> bytes:
    """The document, byte for byte as the machine sent it."""
    query = sa.select(documents.c.body).where(documents.c.id == version.id)
    return zstandard.ZstdDecompressor().decompress(tx.execute(query).scalar_one())
