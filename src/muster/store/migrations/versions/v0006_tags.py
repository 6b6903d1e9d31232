# SPDX-License-Identifier: Apache-2.0
"""Tags with where each comes from, pools, notes."""

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0006_tags"
down_revision = "0004_record"
branch_labels = None
depends_on = None

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("machines", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("pool", sa.String(length=64), server_default="", nullable=False)
        )
        batch_op.create_index(batch_op.f("ix_machines_pool"), ["pool"], unique=False)
    op.create_table(
        "tags",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("looked_to", sa.String(length=32), nullable=True),
        sa.Column("updated_by", sa.String(length=64), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tags")),
    )
    with op.batch_alter_table("tags", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tags_looked_to"), ["looked_to"], unique=False)
    op.create_table(
        "machine_tags",
        sa.Column("machine_id", sa.String(length=32), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("origin", sa.String(length=255), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_machine_tags_machine_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "machine_id", "tag", "source", "origin", name=op.f("pk_machine_tags")
        ),
    )
    with op.batch_alter_table("machine_tags", schema=None) as batch_op:
        batch_op.create_index("ix_machine_tags_tag_machine_id", ["tag", "machine_id"])
    op.create_table(
        "notes",
        sa.Column("id", _big, autoincrement=True, nullable=False),
        sa.Column("machine_id", sa.String(length=32), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_notes_machine_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
    )
    with op.batch_alter_table("notes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_notes_machine_id"), ["machine_id"], unique=False)


def downgrade() -> None:
    op.drop_table("notes")
    op.drop_table("machine_tags")
    op.drop_table("tags")
    with op.batch_alter_table("machines", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_machines_pool"))
        batch_op.drop_column("pool")
