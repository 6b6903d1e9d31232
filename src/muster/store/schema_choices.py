# SPDX-License-Identifier: Apache-2.0
"""Tables of what people chose for the boots of machines and of tags, beside `schema`."""

import sqlalchemy as sa

from muster.store.schema import Utc, metadata


def _chosen() -> tuple[sa.Column[object], ...]:
    return (
        # An image's id, product or release; "" leaves it to what counts less.
        sa.Column("image", sa.String(200), nullable=False, default=""),
        sa.Column("kernel_options", sa.Text, nullable=False, default=""),
        sa.Column("datasource", sa.String(16), nullable=False, default=""),
        sa.Column("set_by", sa.String(64), nullable=False, default=""),
        sa.Column("set_at", Utc, nullable=False),
    )


machine_choices = sa.Table(
    "machine_choices",
    metadata,
    sa.Column(
        "machine_id",
        sa.String(32),
        sa.ForeignKey("machines.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    *_chosen(),
)

# A tag needs no row of its own: scripts and hardware give tags of which nothing is said.
tag_choices = sa.Table(
    "tag_choices",
    metadata,
    sa.Column("tag", sa.String(64), primary_key=True),
    *_chosen(),
)
