# SPDX-License-Identifier: Apache-2.0
"""The tables of what people and rules say about machines; migrations/env.py reads them too."""

import sqlalchemy as sa

from muster.store.schema import Utc, metadata

_id = sa.String(32)
_big = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _machine(*, primary_key: bool = False, index: bool = False) -> sa.Column[str]:
    return sa.Column(
        "machine_id",
        _id,
        sa.ForeignKey("machines.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
        index=index or None,
    )


# Only tags of which there is something to say; any machine may have others.
tags = sa.Table(
    "tags",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("comment", sa.Text, nullable=False, default=""),
    # "" for a tag by hand, else a key of lifecycle.definitions.KINDS.
    sa.Column("kind", sa.String(16), nullable=False, default=""),
    sa.Column("definition", sa.Text, nullable=False, default=""),
    # Machines up to this id were looked at since the definition changed; null: all of them.
    sa.Column("looked_to", _id, nullable=True, index=True),
    sa.Column("updated_by", sa.String(64), nullable=False, default=""),
    sa.Column("updated_at", Utc, nullable=False),
)

machine_tags = sa.Table(
    "machine_tags",
    metadata,
    _machine(primary_key=True),
    sa.Column("tag", sa.String(64), primary_key=True),
    # hand, script, definition, automatic or rule; `origin` is the script's or rule's name.
    sa.Column("source", sa.String(16), primary_key=True),
    sa.Column("origin", sa.String(255), primary_key=True),
    sa.Column("because", sa.Text, nullable=False, default=""),
    sa.Column("at", Utc, nullable=False),
    sa.Index("ix_machine_tags_tag_machine_id", "tag", "machine_id"),
)

notes = sa.Table(
    "notes",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    _machine(index=True),
    sa.Column("at", Utc, nullable=False),
    sa.Column("author", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)

# What identifies a machine beside its MACs, which have a table with one owner each.
evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("value", sa.String(800), primary_key=True),
    _machine(primary_key=True),
    sa.Index("ix_evidence_machine_id", "machine_id"),
)

# A person said that several machines have it.
ignored_evidence = sa.Table(
    "ignored_evidence",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("value", sa.String(800), primary_key=True),
    sa.Column("clash_id", _big, nullable=False, index=True),
)

# No foreign keys: what was decided stays told.
clashes = sa.Table(
    "clashes",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    sa.Column("boot_id", _id, nullable=True),
    sa.Column("at", Utc, nullable=False),
    # Ids of the records, names in `because`.
    sa.Column("machines", sa.JSON, nullable=False),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    # [kind, value] pairs that are claimed twice.
    sa.Column("contested", sa.JSON, nullable=False, default=list, server_default="[]"),
    sa.Column("decided_at", Utc, nullable=True, index=True),
    sa.Column("decision", sa.String(32), nullable=False, default=""),
    sa.Column("decided_by", sa.String(64), nullable=False, default="", server_default=""),
    sa.Column("kept", _id, nullable=False, default="", server_default=""),
    # What undoing it needs; lifecycle.clashes knows its shape.
    sa.Column("journal", sa.JSON(none_as_null=True), nullable=True),
)

rules = sa.Table(
    "rules",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("condition", sa.Text, nullable=False),
    sa.Column("actions", sa.JSON, nullable=False),
    sa.Column("comment", sa.Text, nullable=False, default=""),
    sa.Column("enabled", sa.Boolean, nullable=False, default=False),
    # Of condition and actions: what was tried is what is enabled.
    sa.Column("tried", sa.String(64), nullable=False, default=""),
    # The machine up to which it was tried; null: none or all.
    sa.Column("tried_to", _id, nullable=True),
    sa.Column("tried_at", Utc, nullable=True),
    sa.Column("updated_by", sa.String(64), nullable=False, default=""),
    sa.Column("updated_at", Utc, nullable=False),
)

# For which machines an enabled rule holds, and why.
rule_matches = sa.Table(
    "rule_matches",
    metadata,
    _machine(primary_key=True),
    sa.Column("rule", sa.String(64), primary_key=True),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Index("ix_rule_matches_rule", "rule"),
)

# One row while enabled rules are tried on stored machines: how far that is.
rule_passes = sa.Table(
    "rule_passes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("looked_to", _id, nullable=False),
)

profiles = sa.Table(
    "profiles",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    # For which machines; "" for all.
    sa.Column("condition", sa.Text, nullable=False, default=""),
    sa.Column("expected", sa.JSON, nullable=False),
    sa.Column("comment", sa.Text, nullable=False, default=""),
    sa.Column("updated_by", sa.String(64), nullable=False, default=""),
    sa.Column("updated_at", Utc, nullable=False),
)

# The manifest: machines that should come.
expected_machines = sa.Table(
    "expected_machines",
    metadata,
    sa.Column("key", sa.String(256), primary_key=True),
    # As machine.manifest.Row.plain() has it.
    sa.Column("row", sa.JSON, nullable=False),
    sa.Column("rack", sa.String(256), nullable=False, default="", index=True),
    # The record that was given what the row says; its history tells when.
    sa.Column(
        "machine_id",
        _id,
        sa.ForeignKey("machines.id", ondelete="SET NULL"),
        nullable=True,
        index=True,
    ),
    sa.Column("updated_by", sa.String(64), nullable=False, default=""),
    sa.Column("updated_at", Utc, nullable=False),
)

expected_evidence = sa.Table(
    "expected_evidence",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("value", sa.String(256), primary_key=True),
    sa.Column(
        "key",
        sa.String(256),
        sa.ForeignKey("expected_machines.key", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
)
