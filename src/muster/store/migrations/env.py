# SPDX-License-Identifier: Apache-2.0
"""Alembic's environment: the caller brings the connection."""

from alembic import context

from muster.store import schema_hosts, schema_people, schema_record, schema_search
from muster.store.schema import Utc, metadata

# Importing them declares their tables.
declared = (schema_hosts.hosts, schema_people.users, schema_record.tags, schema_search.traits)
assert all(table.metadata is metadata for table in declared)
connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    render_item=lambda kind, item, _context: (
        "Utc()" if kind == "type" and isinstance(item, Utc) else False
    ),
)
with context.begin_transaction():
    context.run_migrations()
