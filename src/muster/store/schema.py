# SPDX-License-Identifier: Apache-2.0
"""The tables. Alembic's migrations are checked against this file on both engines by a test."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Utc(sa.types.TypeDecorator[datetime]):
    """A point in time, always aware and in UTC; SQLite would give it back naive."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Store in UTC."""
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Give back aware."""
        if value is None:
            return None
        aware: datetime = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC)


metadata = sa.MetaData(naming_convention=NAMING)
_big = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_id = sa.String(32)


def _machine_key(*, nullable: bool = False, index: bool = True) -> sa.Column[str]:
    return sa.Column(
        "machine_id",
        _id,
        sa.ForeignKey("machines.id", ondelete="CASCADE"),
        nullable=nullable,
        index=index,
    )


machines = sa.Table(
    "machines",
    metadata,
    sa.Column("id", _id, primary_key=True),
    sa.Column("name", sa.String(63), nullable=False, unique=True),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("state_reason", sa.Text, nullable=False, default=""),
    sa.Column("uuid", sa.String(36), nullable=False, default="", index=True),
    sa.Column("serial", sa.String(256), nullable=False, default=""),
    sa.Column("vendor", sa.String(256), nullable=False, default=""),
    sa.Column("product", sa.String(256), nullable=False, default=""),
    sa.Column("architecture", sa.String(32), nullable=False, default=""),
    sa.Column("firmware", sa.String(16), nullable=False, default=""),
    sa.Column("pool", sa.String(64), nullable=False, default="", server_default=""),
    # Where it stands by the manifest (store/racks.py); `rack_unit` is the lowest.
    sa.Column("rack", sa.String(256), nullable=False, default="", server_default=""),
    sa.Column("rack_unit", sa.Integer, nullable=True),
    # Accepted to send its data: by the policy or by a person.
    sa.Column("permitted", sa.Boolean, nullable=False, default=False),
    sa.Column("denied_reason", sa.Text, nullable=False, default=""),
    sa.Column("surveyed_at", Utc, nullable=True),
    # When it last booted, said hello or ended a run.
    sa.Column("seen_at", Utc, nullable=False, server_default="1970-01-01 00:00:00.000000"),
    sa.Column("summary", sa.JSON, nullable=False, default=dict),
    # Out of the summary, so that lists are sorted by them.
    sa.Column("cores", sa.Integer, nullable=False, default=0, server_default="0"),
    sa.Column("memory", sa.BigInteger, nullable=False, default=0, server_default="0"),
    sa.Column("power_driver", sa.String(32), nullable=False, default="manual"),
    # Never a secret: those are in power_secret, sealed by lifecycle.keyring.
    sa.Column("power_parameters", sa.JSON, nullable=False, default=dict),
    sa.Column("power_secret", sa.Text, nullable=False, default="", server_default=""),
    # What is switched through one BMC shares this; "" when nothing is shared.
    sa.Column("bmc", sa.String(255), nullable=False, default="", server_default="", index=True),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
    # Which version of machine/traits.py its traits were made by; 0: none were.
    sa.Column("traits_version", sa.Integer, nullable=False, default=0, server_default="0"),
    sa.Index("ix_machines_state_name", "state", "name"),
    sa.Index("ix_machines_created_at_name", "created_at", "name"),
    sa.Index("ix_machines_updated_at_name", "updated_at", "name"),
    sa.Index("ix_machines_seen_at_name", "seen_at", "name"),
    sa.Index("ix_machines_product_name", "product", "name"),
    sa.Index("ix_machines_serial_name", "serial", "name"),
    sa.Index("ix_machines_pool_name", "pool", "name"),
    sa.Index("ix_machines_rack_name", "rack", "name"),
    sa.Index("ix_machines_cores_name", "cores", "name"),
    sa.Index("ix_machines_memory_name", "memory", "name"),
    sa.Index("ix_machines_traits_version", "traits_version"),
)

macs = sa.Table(
    "macs",
    metadata,
    sa.Column("mac", sa.String(17), primary_key=True),
    _machine_key(),
    sa.Column("name", sa.String(64), nullable=False, default=""),
)

boots = sa.Table(
    "boots",
    metadata,
    sa.Column("id", _id, primary_key=True),
    _machine_key(nullable=True),
    sa.Column("mac", sa.String(17), nullable=False, default="", index=True),
    sa.Column("uuid", sa.String(64), nullable=False, default=""),
    sa.Column("serial", sa.String(256), nullable=False, default=""),
    sa.Column("architecture", sa.String(32), nullable=False, default=""),
    sa.Column("firmware", sa.String(16), nullable=False, default=""),
    sa.Column("client_ip", sa.String(45), nullable=False, default=""),
    sa.Column("purpose", sa.String(16), nullable=False, default=""),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("phase_at", Utc, nullable=False),
    sa.Column("deadline_at", Utc, nullable=True, index=True),
    sa.Column("started_at", Utc, nullable=False, index=True),
    sa.Column("ended_at", Utc, nullable=True),
    sa.Column("failure", sa.Text, nullable=False, default=""),
    sa.Column("nonce_hash", sa.String(64), nullable=True, unique=True),
    sa.Column("nonce_expires_at", Utc, nullable=True),
    # The secret that consumed the nonce; the same secret may ask again, no other one.
    sa.Column("key_hash", sa.String(64), nullable=True),
    sa.Column("token_hash", sa.String(64), nullable=True, unique=True),
    sa.Column("acked_seq", _big, nullable=False, default=0),
    sa.Column("last_heard_at", Utc, nullable=True),
    sa.Column("run_id", _big, nullable=True, index=True),
    sa.Column("evidence", sa.JSON, nullable=True),
)

marks = sa.Table(
    "marks",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    sa.Column(
        "boot_id", _id, sa.ForeignKey("boots.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("at", Utc, nullable=False),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False, default=""),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    _machine_key(),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("options", sa.JSON, nullable=False, default=dict),
    sa.Column("requested_by", sa.String(64), nullable=False, default=""),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("started_at", Utc, nullable=True),
    sa.Column("ended_at", Utc, nullable=True),
    sa.Column("deadline_at", Utc, nullable=True, index=True),
)

results = sa.Table(
    "results",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    sa.Column(
        "run_id", _big, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("script_type", sa.String(16), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("timeout_s", sa.Float, nullable=False, default=0.0),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("exit_status", sa.Integer, nullable=True),
    sa.Column("runtime_s", sa.Float, nullable=True),
    sa.Column("started_at", Utc, nullable=True),
    sa.Column("ended_at", Utc, nullable=True),
    sa.Column("output_bytes", _big, nullable=False, default=0),
    # How it is run: wire.hello.ScriptItem's parallel, arguments, holds, packages, and what decides.
    sa.Column("spec", sa.JSON, nullable=False, default=dict),
    sa.Column("device", sa.String(128), nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    # What the script wrote to $RESULT_PATH, by name.
    sa.Column("values", sa.JSON, nullable=False, default=dict),
    # Why a person does not count it; empty when it counts.
    sa.Column("suppressed", sa.Text, nullable=False, default=""),
)

chunks = sa.Table(
    "chunks",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    sa.Column("result_id", _big, sa.ForeignKey("results.id", ondelete="CASCADE"), nullable=False),
    sa.Column("stream", sa.String(16), nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Index("ix_chunks_result_id_stream", "result_id", "stream", "id"),
)

script_contents = sa.Table(
    "script_contents",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

# A user's script, or (latest 0) what a user changed about a built-in one.
scripts = sa.Table(
    "scripts",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("latest", sa.Integer, nullable=False, default=0),
    sa.Column("enabled", sa.Boolean, nullable=False, default=True),
    # Null: as the metadata says.
    sa.Column("tags", sa.JSON, nullable=True),
    sa.Column("timeout_s", sa.Integer, nullable=True),
    sa.Column("thresholds", sa.JSON, nullable=False, default=dict),
    sa.Column("updated_at", Utc, nullable=False),
)

script_versions = sa.Table(
    "script_versions",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    sa.Column(
        "script_id",
        _big,
        sa.ForeignKey("scripts.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("comment", sa.Text, nullable=False, default=""),
    sa.Column("created_by", sa.String(64), nullable=False, default=""),
    sa.Column("created_at", Utc, nullable=False),
    sa.UniqueConstraint("script_id", "number"),
)

# What scripts found about a machine beside its document: lldp, virtuality, modaliases ...
findings = sa.Table(
    "findings",
    metadata,
    sa.Column(
        "machine_id", _id, sa.ForeignKey("machines.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("result_id", _big, nullable=False),
    sa.Column("taken_at", Utc, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
)

# Passwords that a machine's BMC was offered and that nobody has tried from outside yet.
bmc_offers = sa.Table(
    "bmc_offers",
    metadata,
    sa.Column(
        "machine_id", _id, sa.ForeignKey("machines.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("run_id", _big, nullable=False),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("claim", sa.JSON, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("detail", sa.Text, nullable=False, default=""),
    sa.Column("due_at", Utc),
    sa.Column("updated_at", Utc, nullable=False),
)

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    _machine_key(),
    # Counts a machine's documents and stays, whatever comes or goes beside it.
    sa.Column("version", sa.Integer, nullable=False, default=0, server_default="0"),
    sa.Column("result_id", _big, nullable=False),
    sa.Column("taken_at", Utc, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

# Beside machines and not in it: a list of machines does not read it.
hardware = sa.Table(
    "hardware",
    metadata,
    sa.Column(
        "machine_id", _id, sa.ForeignKey("machines.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("facts", sa.JSON, nullable=False),
)

stays = sa.Table(
    "stays",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("serial", sa.String(256), nullable=False, index=True),
    # No foreign key: where a disk has been stays told when a machine's record is deleted.
    sa.Column("machine_id", _id, nullable=False, index=True),
    sa.Column("machine_name", sa.String(63), nullable=False),
    sa.Column("place", sa.String(256), nullable=False),
    sa.Column("model", sa.String(256), nullable=False),
    sa.Column("first_at", Utc, nullable=False),
    sa.Column("last_at", Utc, nullable=False),
    sa.Column("gone_at", Utc, nullable=True),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", _big, primary_key=True, autoincrement=True),
    sa.Column("at", Utc, nullable=False),
    sa.Column("kind", sa.String(48), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("actor", sa.String(64), nullable=False, default=""),
    # No foreign key: what happened stays told when a machine's record is deleted.
    sa.Column("machine_id", _id, nullable=True, index=True),
    sa.Column("boot_id", _id, nullable=True),
)

power_goals = sa.Table(
    "power_goals",
    metadata,
    sa.Column(
        "machine_id", _id, sa.ForeignKey("machines.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("goal", sa.String(8), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False, default=0),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("detail", sa.Text, nullable=False, default=""),
    sa.Column("boot_device", sa.String(8), nullable=False, default="", server_default=""),
    # When the command was last sent, and how often: accepted is not done.
    sa.Column("sent_at", Utc, nullable=True),
    sa.Column("sends", sa.Integer, nullable=False, default=0, server_default="0"),
    sa.Column("due_at", Utc, nullable=True, index=True),
    sa.Column("deadline_at", Utc, nullable=True),
    sa.Column("updated_at", Utc, nullable=False),
)

# One operation a BMC at a time, whichever process does it.
bmc_leases = sa.Table(
    "bmc_leases",
    metadata,
    sa.Column("bmc", sa.String(255), primary_key=True),
    sa.Column("subnet", sa.String(64), nullable=False, index=True),
    sa.Column("holder", sa.String(32), nullable=False),
    sa.Column("until", Utc, nullable=False),
)

# What polling saw last; the goal's row says what is wanted.
power_states = sa.Table(
    "power_states",
    metadata,
    sa.Column(
        "machine_id", _id, sa.ForeignKey("machines.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("health", sa.String(16), nullable=False, default=""),
    sa.Column("seen_at", Utc, nullable=True),
    sa.Column("changed_at", Utc, nullable=True),
    sa.Column("failures", sa.Integer, nullable=False, default=0),
    sa.Column("error", sa.Text, nullable=False, default=""),
    sa.Column("due_at", Utc, nullable=True, index=True),
)
