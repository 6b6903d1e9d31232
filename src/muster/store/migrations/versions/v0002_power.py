# SPDX-License-Identifier: Apache-2.0
"""Sealed BMC secrets, BMC leases, boot devices, and what polling saw."""

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0002_power"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("machines") as batch:
        batch.add_column(sa.Column("power_secret", sa.Text(), nullable=False, server_default=""))
        batch.add_column(sa.Column("bmc", sa.String(255), nullable=False, server_default=""))
        batch.create_index(batch.f("ix_machines_bmc"), ["bmc"], unique=False)
    with op.batch_alter_table("power_goals") as batch:
        batch.add_column(sa.Column("boot_device", sa.String(8), nullable=False, server_default=""))
        batch.add_column(sa.Column("sent_at", Utc(), nullable=True))
        batch.add_column(sa.Column("sends", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "bmc_leases",
        sa.Column("bmc", sa.String(255), nullable=False),
        sa.Column("subnet", sa.String(64), nullable=False),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("until", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("bmc", name=op.f("pk_bmc_leases")),
    )
    with op.batch_alter_table("bmc_leases") as batch:
        batch.create_index(batch.f("ix_bmc_leases_subnet"), ["subnet"], unique=False)
    op.create_table(
        "power_states",
        sa.Column("machine_id", sa.String(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("health", sa.String(16), nullable=False),
        sa.Column("seen_at", Utc(), nullable=True),
        sa.Column("changed_at", Utc(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("due_at", Utc(), nullable=True),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_power_states_machine_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("machine_id", name=op.f("pk_power_states")),
    )
    with op.batch_alter_table("power_states") as batch:
        batch.create_index(batch.f("ix_power_states_due_at"), ["due_at"], unique=False)


def downgrade() -> None:
    op.drop_table("power_states")
    op.drop_table("bmc_leases")
    with op.batch_alter_table("power_goals") as batch:
        batch.drop_column("sends")
        batch.drop_column("sent_at")
        batch.drop_column("boot_device")
    with op.batch_alter_table("machines") as batch:
        batch.drop_index(batch.f("ix_machines_bmc"))
        batch.drop_column("bmc")
        batch.drop_column("power_secret")
