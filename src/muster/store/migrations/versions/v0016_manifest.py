# SPDX-License-Identifier: Apache-2.0
"""The manifest of expected machines."""

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0016_manifest"
down_revision = "0020_console"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "expected_machines",
        sa.Column("key", sa.String(256), nullable=False),
        sa.Column("row", sa.JSON(), nullable=False),
        sa.Column("rack", sa.String(256), nullable=False),
        sa.Column("machine_id", sa.String(32), nullable=True),
        sa.Column("updated_by", sa.String(64), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_expected_machines_machine_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_expected_machines")),
    )
    for column in ("machine_id", "rack"):
        op.create_index(op.f(f"ix_expected_machines_{column}"), "expected_machines", [column])
    op.create_table(
        "expected_evidence",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("value", sa.String(256), nullable=False),
        sa.Column("key", sa.String(256), nullable=False),
        sa.ForeignKeyConstraint(
            ["key"],
            ["expected_machines.key"],
            name=op.f("fk_expected_evidence_key"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("kind", "value", name=op.f("pk_expected_evidence")),
    )
    op.create_index(op.f("ix_expected_evidence_key"), "expected_evidence", ["key"])


def downgrade() -> None:
    op.drop_table("expected_evidence")
    op.drop_table("expected_machines")
