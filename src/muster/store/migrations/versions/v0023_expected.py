# SPDX-License-Identifier: Apache-2.0
"""Rows of the manifest are found by the BMC's address and the name that they state, too."""

import sqlalchemy as sa
from alembic import op

revision = "0023_expected"
down_revision = "0021_choices"
branch_labels = None
depends_on = None

KINDS = {"address": "bmc", "name": "name"}


def upgrade() -> None:
    rows = sa.table("expected_machines", sa.column("key", sa.String), sa.column("row", sa.JSON))
    evidence = sa.table("expected_evidence", *map(sa.column, ("kind", "value", "key")))
    found = op.get_bind().execute(sa.select(rows.c.key, rows.c.row)).all()
    op.bulk_insert(evidence, [
        {"kind": kind, "value": row.row[field], "key": row.key}
        for row in found for kind, field in KINDS.items() if row.row.get(field)
    ])  # fmt: skip


def downgrade() -> None:
    op.execute("DELETE FROM expected_evidence WHERE kind IN ('address', 'name')")
