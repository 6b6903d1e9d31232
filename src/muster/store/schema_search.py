# SPDX-License-Identifier: Apache-2.0
"""The tables by which machines are found and counted; migrations/env.py reads them too."""

import sqlalchemy as sa

from muster.store.schema import metadata

_id = sa.String(32)
_big = sa.BigInteger().with_variant(sa.Integer, "sqlite")

# The values by which machines are found (machine/traits.py), each once for the whole fleet. One
# that no machine has any more stays: it costs 100 bytes, and to take it away would race with
# whoever just found it. `id` is a hash of column and text: no value is looked up to be linked.
traits = sa.Table(
    "traits",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=False),
    sa.Column("column", sa.String(32), nullable=False),
    sa.Column("text", sa.String(160), nullable=False),
    sa.Column("number", sa.Double, nullable=True),
    sa.Index("ix_traits_column_text", "column", "text"),
    sa.Index("ix_traits_column_number", "column", "number"),
)

trait_words = sa.Table(
    "trait_words",
    metadata,
    # A range of words is asked for, in the order of code points whatever the database's language.
    sa.Column("word", sa.String(64).with_variant(sa.String(64, "C"), "postgresql"),
              primary_key=True),
    sa.Column("trait_id", _big, primary_key=True),
    sqlite_with_rowid=False,
)  # fmt: skip

machine_traits = sa.Table(
    "machine_traits",
    metadata,
    sa.Column(
        "machine_id", _id, sa.ForeignKey("machines.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("column", sa.String(32), primary_key=True),
    sa.Column("trait_id", _big, primary_key=True),
    sa.Index("ix_machine_traits_trait_id_machine_id", "trait_id", "machine_id"),
    sqlite_with_rowid=False,
)

# Written by triggers alone (store/counts.py): the sums are how many machines are in each state.
machine_counts = sa.Table(
    "machine_counts",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("machines", sa.Integer, nullable=False),
)
