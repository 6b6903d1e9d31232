# SPDX-License-Identifier: Apache-2.0
"""What lists show: machines by state, kept by triggers (store/counts.py), and racks (store/racks.py)."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0023_expected"
branch_labels = None
depends_on = None

_ADD = (
    "INSERT INTO machine_counts (state, machines) SELECT NEW.state, 0 WHERE NOT EXISTS"
    " (SELECT 1 FROM machine_counts WHERE state = NEW.state);"
    " UPDATE machine_counts SET machines = machines + 1 WHERE state = NEW.state;"
)
_TAKE = "UPDATE machine_counts SET machines = machines - 1 WHERE state = OLD.state;"
_SQLITE = {
    "came": f"AFTER INSERT ON machines BEGIN {_ADD} END",
    "left": f"AFTER DELETE ON machines BEGIN {_TAKE} END",
    "moved": f"AFTER UPDATE OF state ON machines WHEN OLD.state <> NEW.state"
    f" BEGIN {_TAKE} {_ADD} END",
}

# An UPDATE takes two ids; one of 64k and 64k + 1 is then the last.
_FUNCTION = """
CREATE FUNCTION count_machines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE last bigint;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO machine_counts (state, machines) VALUES (OLD.state, -1) RETURNING id INTO last;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO machine_counts (state, machines) VALUES (NEW.state, 1) RETURNING id INTO last;
  END IF;
  IF last % 64 < 2 THEN
    WITH held AS (SELECT id FROM machine_counts FOR UPDATE SKIP LOCKED),
      taken AS (DELETE FROM machine_counts WHERE id IN (SELECT id FROM held)
        RETURNING state, machines)
    INSERT INTO machine_counts (state, machines)
      SELECT state, SUM(machines) FROM taken GROUP BY state HAVING SUM(machines) <> 0;
  END IF;
  RETURN NULL;
END $$
"""
_POSTGRESQL = {
    "came": "AFTER INSERT ON machines FOR EACH ROW EXECUTE FUNCTION count_machines()",
    "left": "AFTER DELETE ON machines FOR EACH ROW EXECUTE FUNCTION count_machines()",
    "moved": "AFTER UPDATE OF state ON machines FOR EACH ROW WHEN (OLD.state <> NEW.state)"
    " EXECUTE FUNCTION count_machines()",
}


def upgrade() -> None:
    _count()
    # Not a batch: copying the table would take what hangs on it along, and its triggers.
    rack: sa.Column[str] = sa.Column("rack", sa.String(256), nullable=False, server_default="")
    op.add_column("machines", rack)
    op.add_column("machines", sa.Column("rack_unit", sa.Integer(), nullable=True))
    op.create_index("ix_machines_rack_name", "machines", ["rack", "name"])
    # The server's start makes their traits anew, and then looks where they stand.
    op.execute(
        "UPDATE machines SET traits_version = 0"
        " WHERE EXISTS (SELECT 1 FROM expected_machines WHERE rack <> '')"
    )


def _count() -> None:
    op.create_table(
        "machine_counts",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            autoincrement=True,
        ),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("machines", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine_counts")),
    )
    triggers = _POSTGRESQL if _on_postgresql() else _SQLITE
    if _on_postgresql():
        op.execute(_FUNCTION)
    # First the triggers: on PostgreSQL they wait for whoever writes, and keep others from it.
    for name, does in triggers.items():
        op.execute(f"CREATE TRIGGER machine_counts_{name} {does}")
    op.execute(
        "INSERT INTO machine_counts (state, machines)"
        " SELECT state, COUNT(*) FROM machines GROUP BY state"
    )


def downgrade() -> None:
    op.drop_index("ix_machines_rack_name", table_name="machines")
    op.drop_column("machines", "rack_unit")
    op.drop_column("machines", "rack")
    for name in _SQLITE:
        on = " ON machines" if _on_postgresql() else ""
        op.execute(f"DROP TRIGGER machine_counts_{name}{on}")
    if _on_postgresql():
        op.execute("DROP FUNCTION count_machines()")
    op.drop_table("machine_counts")


def _on_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
