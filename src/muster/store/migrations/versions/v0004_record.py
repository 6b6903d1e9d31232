# SPDX-License-Identifier: Apache-2.0
"""What conditions ask of a machine's hardware, and where each component has been."""

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0004_record"
down_revision = "0003_scripts"
branch_labels = None
depends_on = None

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "hardware",
        sa.Column("machine_id", sa.String(length=32), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_hardware_machine_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("machine_id", name=op.f("pk_hardware")),
    )
    op.create_table(
        "stays",
        sa.Column("id", _big, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("serial", sa.String(length=256), nullable=False),
        sa.Column("machine_id", sa.String(length=32), nullable=False),
        sa.Column("machine_name", sa.String(length=63), nullable=False),
        sa.Column("place", sa.String(length=256), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("first_at", Utc(), nullable=False),
        sa.Column("last_at", Utc(), nullable=False),
        sa.Column("gone_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stays")),
    )
    with op.batch_alter_table("stays", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_stays_machine_id"), ["machine_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_stays_serial"), ["serial"], unique=False)


def downgrade() -> None:
    op.drop_table("stays")
    op.drop_table("hardware")
