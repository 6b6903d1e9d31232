# SPDX-License-Identifier: Apache-2.0
"""Which image and kernel options a machine, or every machine with a tag, is started with."""

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0021_choices"
down_revision = "0016_manifest"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "machine_choices",
        sa.Column("machine_id", sa.String(32), nullable=False),
        *_chosen(),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_machine_choices_machine_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("machine_id", name=op.f("pk_machine_choices")),
    )
    op.create_table(
        "tag_choices",
        sa.Column("tag", sa.String(64), nullable=False),
        *_chosen(),
        sa.PrimaryKeyConstraint("tag", name=op.f("pk_tag_choices")),
    )


def _chosen() -> list[sa.Column[object]]:
    return [
        sa.Column("image", sa.String(200), nullable=False),
        sa.Column("kernel_options", sa.Text(), nullable=False),
        sa.Column("datasource", sa.String(16), nullable=False),
        sa.Column("set_by", sa.String(64), nullable=False),
        sa.Column("set_at", Utc(), nullable=False),
    ]


def downgrade() -> None:
    op.drop_table("tag_choices")
    op.drop_table("machine_choices")
