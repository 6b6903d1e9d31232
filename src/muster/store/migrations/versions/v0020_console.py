# SPDX-License-Identifier: Apache-2.0
"""What lists of machines are sorted by, and saved views that others see."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

from muster.store.schema import Utc

revision = "0020_console"
down_revision = "0014_idempotency"
branch_labels = None
depends_on = None

_SORTED = ("seen_at", "product", "serial", "pool", "cores", "memory")


def upgrade() -> None:
    seen: sa.Column[datetime] = sa.Column(
        "seen_at", Utc(), nullable=False, server_default="1970-01-01 00:00:00.000000"
    )
    # Not a batch: copying the table would take what hangs on it along.
    op.add_column("machines", seen)
    op.add_column("machines", sa.Column("cores", sa.Integer(), nullable=False, server_default="0"))
    op.add_column(
        "machines", sa.Column("memory", sa.BigInteger(), nullable=False, server_default="0")
    )
    _fill()
    op.drop_index("ix_machines_serial", table_name="machines")
    op.drop_index("ix_machines_pool", table_name="machines")
    for column in _SORTED:
        op.create_index(f"ix_machines_{column}_name", "machines", [column, "name"])
    op.add_column(
        "views", sa.Column("shared", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def _fill() -> None:
    machines = sa.table(
        "machines", sa.column("seen_at", Utc), sa.column("surveyed_at", Utc),
        sa.column("created_at", Utc), sa.column("summary", sa.JSON), sa.column("cores", sa.Integer),
        sa.column("memory", sa.BigInteger),
    )  # fmt: skip
    summary = machines.c.summary
    op.execute(
        machines.update().values(
            seen_at=sa.func.coalesce(machines.c.surveyed_at, machines.c.created_at),
            cores=sa.func.coalesce(summary["cores"].as_integer(), 0),
            memory=sa.func.coalesce(sa.cast(summary["memory_bytes"].as_string(), sa.BigInteger), 0),
        )
    )


def downgrade() -> None:
    op.drop_column("views", "shared")
    for column in _SORTED:
        op.drop_index(f"ix_machines_{column}_name", table_name="machines")
    op.create_index("ix_machines_serial", "machines", ["serial"])
    op.create_index("ix_machines_pool", "machines", ["pool"])
    for column in ("memory", "cores", "seen_at"):
        op.drop_column("machines", column)
