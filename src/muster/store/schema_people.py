# SPDX-License-Identifier: Apache-2.0
"""People, what they keep, and the answers to requests that may be sent again."""

import sqlalchemy as sa

from muster.store.schema import Utc, metadata

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", _number, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    # Wrong passwords since the last right one.
    sa.Column("failures", sa.Integer, nullable=False, default=0, server_default="0"),
    sa.Column("locked_until", Utc, nullable=True),
)

# A list of machines as somebody wants to see it again: the query of its address.
views = sa.Table(
    "views",
    metadata,
    sa.Column("id", _number, primary_key=True, autoincrement=True),
    sa.Column("user_id", _number, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("query", sa.Text, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.UniqueConstraint("user_id", "name"),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", _number, primary_key=True, autoincrement=True),
    sa.Column(
        "user_id",
        _number,
        sa.ForeignKey("users.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("revoked_at", Utc, nullable=True),
    # Null: never.
    sa.Column("expires_at", Utc, nullable=True),
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column(
        "user_id",
        _number,
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
