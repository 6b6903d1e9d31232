# SPDX-License-Identifier: Apache-2.0
"""Users' scripts and their versions, how each result is run, findings."""

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0003_scripts"
down_revision = "0002_power"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("results", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("spec", sa.JSON(), nullable=False, server_default=sa.text("'{}'"))
        )
        batch_op.add_column(
            sa.Column("device", sa.String(length=128), nullable=False, server_default="")
        )
        batch_op.add_column(sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(
            sa.Column("values", sa.JSON(), nullable=False, server_default=sa.text("'{}'"))
        )
        batch_op.add_column(sa.Column("suppressed", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "scripts",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=True),
        sa.Column("timeout_s", sa.Integer(), nullable=True),
        sa.Column("thresholds", sa.JSON(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scripts")),
        sa.UniqueConstraint("name", name=op.f("uq_scripts_name")),
    )
    op.create_table(
        "script_versions",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("script_id", _BIG, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["script_id"],
            ["scripts.id"],
            name=op.f("fk_script_versions_script_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_script_versions")),
        sa.UniqueConstraint(
            "script_id", "number", name=op.f("uq_script_versions_script_id_number")
        ),
    )
    op.create_table(
        "findings",
        sa.Column("machine_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("result_id", _BIG, nullable=False),
        sa.Column("taken_at", Utc(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machines.id"], name=op.f("fk_findings_machine_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("machine_id", "name", name=op.f("pk_findings")),
    )


def downgrade() -> None:
    for table in ("findings", "script_versions", "scripts"):
        op.drop_table(table)
    with op.batch_alter_table("results", schema=None) as batch_op:
        for column in ("suppressed", "values", "attempts", "device", "spec"):
            batch_op.drop_column(column)
