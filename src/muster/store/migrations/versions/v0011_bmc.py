# SPDX-License-Identifier: Apache-2.0
"""Passwords offered to a machine's BMC, until they were tried from outside."""

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0011_bmc"
down_revision = "0007_clashes"
branch_labels = None
depends_on = None

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "bmc_offers",
        sa.Column("machine_id", sa.String(length=32), nullable=False),
        sa.Column("run_id", _big, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("claim", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("due_at", Utc(), nullable=True),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_bmc_offers_machine_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("machine_id", name=op.f("pk_bmc_offers")),
    )


def downgrade() -> None:
    op.drop_table("bmc_offers")
