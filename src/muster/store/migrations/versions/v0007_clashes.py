# SPDX-License-Identifier: Apache-2.0
"""Evidence on records, decisions about clashes, numbers of documents that stay."""

import sqlalchemy as sa
from alembic import op

revision = "0007_clashes"
down_revision = "0012_hosts"
branch_labels = None
depends_on = None

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NUMBER = sa.text(
    "UPDATE documents SET version = (SELECT count(*) FROM documents older"
    " WHERE older.machine_id = documents.machine_id AND older.id <= documents.id)"
)


def upgrade() -> None:
    op.create_table(
        "evidence",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=800), nullable=False),
        sa.Column("machine_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
            name=op.f("fk_evidence_machine_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("kind", "value", "machine_id", name=op.f("pk_evidence")),
    )
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.create_index("ix_evidence_machine_id", ["machine_id"], unique=False)
    op.create_table(
        "ignored_evidence",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=800), nullable=False),
        sa.Column("clash_id", _big, nullable=False),
        sa.PrimaryKeyConstraint("kind", "value", name=op.f("pk_ignored_evidence")),
    )
    with op.batch_alter_table("ignored_evidence", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ignored_evidence_clash_id"), ["clash_id"])
    with op.batch_alter_table("clashes", schema=None) as batch_op:
        batch_op.drop_constraint("fk_clashes_boot_id", type_="foreignkey")
        batch_op.alter_column("boot_id", existing_type=sa.String(length=32), nullable=True)
        batch_op.add_column(sa.Column("contested", sa.JSON(), server_default="[]", nullable=False))
        batch_op.add_column(
            sa.Column("decided_by", sa.String(length=64), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("kept", sa.String(length=32), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("journal", sa.JSON(), nullable=True))
        batch_op.create_index(batch_op.f("ix_clashes_decided_at"), ["decided_at"], unique=False)
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="0", nullable=False))
    op.execute(_NUMBER)


def downgrade() -> None:
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.drop_column("version")
    op.execute("DELETE FROM clashes WHERE boot_id IS NULL")
    with op.batch_alter_table("clashes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_clashes_decided_at"))
        for name in ("journal", "kept", "decided_by", "contested"):
            batch_op.drop_column(name)
        batch_op.alter_column("boot_id", existing_type=sa.String(length=32), nullable=False)
        batch_op.create_foreign_key(
            "fk_clashes_boot_id", "boots", ["boot_id"], ["id"], ondelete="CASCADE"
        )
    op.drop_table("ignored_evidence")
    op.drop_table("evidence")
