# SPDX-License-Identifier: Apache-2.0
"""What machines are found by; the server fills it for machines that are there already."""

import sqlalchemy as sa
from alembic import op

revision = "0005_search"
down_revision = "0008_rules"
branch_labels = None
depends_on = None

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "trait_words",
        sa.Column(
            "word",
            sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("trait_id", _big, nullable=False),
        sa.PrimaryKeyConstraint("word", "trait_id", name=op.f("pk_trait_words")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "traits",
        sa.Column("id", _big, autoincrement=False, nullable=False),
        sa.Column("column", sa.String(length=32), nullable=False),
        sa.Column("text", sa.String(length=160), nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_traits")),
    )
    op.create_index("ix_traits_column_number", "traits", ["column", "number"])
    op.create_index("ix_traits_column_text", "traits", ["column", "text"])
    op.create_table(
        "machine_traits",
        sa.Column("machine_id", sa.String(length=32), nullable=False),
        sa.Column("column", sa.String(length=32), nullable=False),
        sa.Column("trait_id", _big, nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_machine_traits_machine_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("machine_id", "column", "trait_id", name=op.f("pk_machine_traits")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_machine_traits_trait_id_machine_id", "machine_traits", ["trait_id", "machine_id"]
    )
    version = sa.Column("traits_version", sa.Integer(), server_default="0", nullable=False)
    # Not a batch: copying the table would take what hangs on it along.
    op.add_column("machines", version)
    op.drop_index("ix_machines_state", table_name="machines")
    op.create_index("ix_machines_state_name", "machines", ["state", "name"])
    op.create_index("ix_machines_created_at_name", "machines", ["created_at", "name"])
    op.create_index("ix_machines_updated_at_name", "machines", ["updated_at", "name"])
    op.create_index("ix_machines_traits_version", "machines", ["traits_version"])


def downgrade() -> None:
    op.drop_index("ix_machines_traits_version", table_name="machines")
    op.drop_index("ix_machines_updated_at_name", table_name="machines")
    op.drop_index("ix_machines_created_at_name", table_name="machines")
    op.drop_index("ix_machines_state_name", table_name="machines")
    op.create_index("ix_machines_state", "machines", ["state"])
    op.drop_column("machines", "traits_version")
    op.drop_table("machine_traits")
    op.drop_table("traits")
    op.drop_table("trait_words")
