"""Approvals by several people and over several channels; reports say by which policy they may be decided on.

Revision: 0006. What was decided before has no channel and no number of the live pointer. Reports are evidence now and
get the triggers that refuse to change or delete a row.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and guard the reports."""
    with _changed("approvals") as table:
        table.add_column(sa.Column("channel", sa.Text(), nullable=True))
        table.add_column(sa.Column("pointer_seq", sa.Integer(), nullable=True))
    with _changed("approval_codes") as table:
        table.add_column(sa.Column("channel", sa.Text(), nullable=True))
    with _changed("reports") as table:
        table.add_column(sa.Column("policy", sa.JSON(), nullable=True))
    _guard_again("approvals")
    for statement in _guards("reports"):
        op.execute(statement)


def downgrade() -> None:
    """Remove them again."""
    if not _is_sqlite():
        op.execute("DROP TRIGGER reports_append_only ON reports")
    with _changed("reports") as table:
        table.drop_column("policy")
    with _changed("approval_codes") as table:
        table.drop_column("channel")
    with _changed("approvals") as table:
        table.drop_column("pointer_seq")
        table.drop_column("channel")
    _guard_again("approvals")


def _changed(table: str) -> Any:
    # SQLite appends a column to the text of its table; made anew, it reads as if it had always been so.
    return op.batch_alter_table(table, recreate="always" if _is_sqlite() else "never")


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _guard_again(table: str) -> None:
    """Give a table of evidence its triggers back: SQLite made it anew, and they went with the old one."""
    if _is_sqlite():
        for statement in _guards(table):
            op.execute(statement)


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
