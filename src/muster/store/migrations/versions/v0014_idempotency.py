# SPDX-License-Identifier: Apache-2.0
"""Answers to requests with an Idempotency-Key, kept for a day."""

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0014_idempotency"
down_revision = "0009_profiles"
branch_labels = None
depends_on = None

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "answers",
        sa.Column("user_id", _big, autoincrement=False, nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("claimed_at", Utc(), nullable=False),
        sa.Column("claim", sa.String(32), nullable=False),
        sa.Column("written", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_answers_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "key_hash", name=op.f("pk_answers")),
    )
    op.create_index(op.f("ix_answers_claimed_at"), "answers", ["claimed_at"])


def downgrade() -> None:
    op.drop_table("answers")
