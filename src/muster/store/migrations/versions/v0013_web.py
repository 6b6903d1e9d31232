# SPDX-License-Identifier: Apache-2.0
"""Sessions that end, accounts that lock after wrong passwords, and saved views of lists."""

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0013_web"
down_revision = "0011_bmc"
branch_labels = None
depends_on = None

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("users") as batch:
        batch.add_column(sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("locked_until", Utc(), nullable=True))
    with op.batch_alter_table("api_keys") as batch:
        batch.add_column(sa.Column("expires_at", Utc(), nullable=True))
    op.create_table(
        "views",
        sa.Column("id", _big, autoincrement=True, nullable=False),
        sa.Column("user_id", _big, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_views_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_views")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_views_user_id_name")),
    )


def downgrade() -> None:
    op.drop_table("views")
    with op.batch_alter_table("api_keys") as batch:
        batch.drop_column("expires_at")
    with op.batch_alter_table("users") as batch:
        batch.drop_column("locked_until")
        batch.drop_column("failures")
