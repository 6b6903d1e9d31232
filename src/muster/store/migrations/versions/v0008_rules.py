# SPDX-License-Identifier: Apache-2.0
"""Rules, and for which machines they hold."""

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0008_rules"
down_revision = "0013_web"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rules",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("actions", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("tried", sa.String(length=64), nullable=False),
        sa.Column("tried_to", sa.String(length=32), nullable=True),
        sa.Column("tried_at", Utc(), nullable=True),
        sa.Column("updated_by", sa.String(length=64), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rules")),
    )
    op.create_table(
        "rule_matches",
        sa.Column("machine_id", sa.String(length=32), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_rule_matches_machine_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("machine_id", "rule", name=op.f("pk_rule_matches")),
    )
    with op.batch_alter_table("rule_matches", schema=None) as batch_op:
        batch_op.create_index("ix_rule_matches_rule", ["rule"], unique=False)
    op.create_table(
        "rule_passes",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("looked_to", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_passes")),
    )


def downgrade() -> None:
    op.drop_table("rule_passes")
    op.drop_table("rule_matches")
    op.drop_table("rules")
