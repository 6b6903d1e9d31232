# SPDX-License-Identifier: Apache-2.0
"""Hosts of virtual machines; machines are looked for by serial number."""

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0012_hosts"
down_revision = "0006_tags"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hosts",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("driver", sa.String(32), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("seen_at", Utc(), nullable=True),
        sa.Column("machine_id", sa.String(32), nullable=True),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_hosts_machine_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hosts")),
        sa.UniqueConstraint("name", name=op.f("uq_hosts_name")),
    )
    with op.batch_alter_table("machines", schema=None) as batch:
        batch.create_index(batch.f("ix_machines_serial"), ["serial"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("machines", schema=None) as batch:
        batch.drop_index(batch.f("ix_machines_serial"))
    op.drop_table("hosts")
