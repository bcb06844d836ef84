"""Corrections that can teach nothing are noted, so that they ask for no run.

Revision: 0007. Of cases of before none is noted; the next run of a task notes them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, append-only."""
    op.create_table(
        "case_asides",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("correction_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["error_cases.id"], name=op.f("fk_case_asides_case_id_error_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_asides")),
        sa.UniqueConstraint("case_id", "correction_id", name=op.f("uq_case_asides_case_id_correction_id")),
    )
    for statement in _guards():
        op.execute(statement)


def downgrade() -> None:
    """Remove it again; its triggers go with it."""
    op.drop_table("case_asides")


def _guards() -> list[str]:
    """Return the statements that make the table append-only; 0001 made PostgreSQL's function for it."""
    if op.get_bind().dialect.name == "postgresql":
        return [
            "CREATE TRIGGER case_asides_append_only BEFORE UPDATE OR DELETE ON case_asides "
            "FOR EACH ROW EXECUTE FUNCTION finetune_append_only()"
        ]
    return [
        f"CREATE TRIGGER case_asides_no_{verb.lower()} BEFORE {verb} ON case_asides "
        "BEGIN SELECT RAISE(ABORT, 'case_asides is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ]
