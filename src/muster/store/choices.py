# SPDX-License-Identifier: Apache-2.0
"""What people chose for the boots of one machine, or of every machine with a tag."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.store.engine import Tx
from muster.store.schema_choices import machine_choices, tag_choices


@dataclass(frozen=True)
class Choice:
    """`image`: an id, product or release; `datasource`: nocloud or maas. "" decides nothing."""

    image: str
    kernel_options: str
    datasource: str
    set_by: str
    set_at: datetime


def of_machine(tx: Tx, machine: str) -> Choice | None:
    """The machine's own."""
    query = sa.select(machine_choices).where(machine_choices.c.machine_id == machine)
    row = tx.execute(query).mappings().first()
    return _choice(row) if row else None


def of_tags(tx: Tx, tags: Sequence[str] | None = None) -> dict[str, Choice]:
    """Those of these tags, or of all, by name."""
    query = sa.select(tag_choices).order_by(tag_choices.c.tag)
    if tags is not None:
        query = query.where(tag_choices.c.tag.in_(list(tags)))
    return {row["tag"]: _choice(row) for row in tx.execute(query).mappings()}


def put_machine(tx: Tx, machine: str, choice: Choice | None) -> None:
    """Put another in its place, or none; the caller has locked the machine."""
    tx.execute(machine_choices.delete().where(machine_choices.c.machine_id == machine))
    if choice is not None:
        tx.execute(machine_choices.insert().values(machine_id=machine, **asdict(choice)))


def put_tag(tx: Tx, tag: str, choice: Choice | None) -> None:
    """Put another in its place, or none."""
    tx.execute(tag_choices.delete().where(tag_choices.c.tag == tag))
    if choice is not None:
        tx.execute(tag_choices.insert().values(tag=tag, **asdict(choice)))


def _choice(row: Any) -> Choice:
    return Choice(**{name: row[name] for name in Choice.__dataclass_fields__})
