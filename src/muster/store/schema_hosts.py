# SPDX-License-Identifier: Apache-2.0
"""The table of hosts, beside `schema`, which is full."""

import sqlalchemy as sa

from muster.store.schema import Utc, metadata

_id = sa.String(32)

# A host of virtual machines (LXD, Incus); its instances are machines of their own.
hosts = sa.Table(
    "hosts",
    metadata,
    sa.Column("id", _id, primary_key=True),
    sa.Column("name", sa.String(63), nullable=False, unique=True),
    sa.Column("driver", sa.String(32), nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False, default=dict),
    # Sealed by lifecycle.keyring, as machines.power_secret is.
    sa.Column("secret", sa.Text, nullable=False, default=""),
    sa.Column("summary", sa.JSON, nullable=False, default=dict),
    sa.Column("document", sa.LargeBinary, nullable=True),
    sa.Column("error", sa.Text, nullable=False, default=""),
    sa.Column("seen_at", Utc, nullable=True),
    # The machine that the host runs on, when it is one of ours.
    sa.Column("machine_id", _id, sa.ForeignKey("machines.id", ondelete="SET NULL"), nullable=True),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
)
