# SPDX-License-Identifier: Apache-2.0
"""Answers to requests that may be sent again."""

import sqlalchemy as sa

from muster.store.schema import Utc, metadata

answers = sa.Table(
    "answers",
    metadata,
    sa.Column(
        "user_id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.ForeignKey("users.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    # SHA-256 of the Idempotency-Key; the key itself is the secret of the fingerprint.
    sa.Column("key_hash", sa.String(64), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("claimed_at", Utc, nullable=False, index=True),
    sa.Column("claim", sa.String(32), nullable=False),
    # True once a transaction of the request was committed.
    sa.Column("written", sa.Boolean, nullable=False),
    # Null while it is worked on.
    sa.Column("status", sa.Integer, nullable=True),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
