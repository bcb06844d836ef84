"""Which dataset versions are older ones made head again; and dataset versions become evidence.

Revision: 0002. The new table and `dataset_versions` get triggers that refuse to change or delete a row.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_APPEND_ONLY = ("dataset_versions", "dataset_restores")


def upgrade() -> None:
    """Make the table and the triggers."""
    op.create_table(
        "dataset_restores",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("restored_from", sa.Integer(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_restores")),
        sa.UniqueConstraint("version_id", name=op.f("uq_dataset_restores_version_id")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["dataset_versions.id"], name=op.f("fk_dataset_restores_version_id_dataset_versions")
        ),
    )
    for table in _APPEND_ONLY:
        for statement in _guards(table):
            op.execute(statement)


def downgrade() -> None:
    """Remove them again."""
    op.drop_table("dataset_restores")  # its triggers go with it
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER dataset_versions_append_only ON dataset_versions")
    else:
        for verb in ("update", "delete"):
            op.execute(f"DROP TRIGGER dataset_versions_no_{verb}")


def _guards(table: str) -> list[str]:
    """Return the statements that make a table append-only; 0001 made PostgreSQL's function for it."""
    if op.get_bind().dialect.name == "postgresql":
        return [
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION finetune_append_only()"
        ]
    return [
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ]
