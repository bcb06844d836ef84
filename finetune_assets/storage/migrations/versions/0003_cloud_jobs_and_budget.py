"""What a paid job needs: its run key, phases, cost and settings; its events; and the budget's ledger.

Revision: 0003. Events and ledger entries are evidence and get triggers that refuse to change or delete a row.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_APPEND_ONLY = ("tuning_events", "budget_ledger")
_TEXTS = ("namespace", "variant", "phase", "provider_state", "cancel_requested_by", "currency", "prices_as_of")
_TIMES = ("phase_since", "submitted_at")
_AMOUNTS = ("estimate_low", "estimate_mid", "estimate_high", "billable_tokens", "actual_cost")
_UNIQUE = "uq_tuning_intents_run_key"


def upgrade() -> None:
    """Widen the intents, make the tables and the triggers."""
    with _intents() as table:
        table.add_column(sa.Column("run_key", sa.Text(), nullable=True))
        for name in _TEXTS:
            # Rows that are there already need a value; the default is taken away again below.
            table.add_column(sa.Column(name, sa.Text(), nullable=False, server_default=""))
        for name in _TIMES:
            table.add_column(sa.Column(name, sa.DateTime(timezone=True), nullable=True))
        for name in _AMOUNTS:
            table.add_column(sa.Column(name, sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("request", sa.JSON(), nullable=False, server_default="{}"))
    with _intents() as table:
        for name in _TEXTS:
            table.alter_column(name, existing_type=sa.Text(), existing_nullable=False, server_default=None)
        table.alter_column("request", existing_type=sa.JSON(), existing_nullable=False, server_default=None)
        table.create_unique_constraint(op.f(_UNIQUE), ["run_key"])
    _make_events()
    _make_ledger()
    for name in _APPEND_ONLY:
        for statement in _guards(name):
            op.execute(statement)


def downgrade() -> None:
    """Remove them again; triggers go with their tables."""
    op.drop_table("budget_ledger")
    op.drop_table("budget_months")
    op.drop_table("tuning_events")
    with _intents() as table:
        table.drop_constraint(op.f(_UNIQUE), type_="unique")
        for name in ("run_key", *_TEXTS, *_TIMES, *_AMOUNTS, "request"):
            table.drop_column(name)


def _intents() -> Any:
    # SQLite cannot change a column; there the table is made anew and its rows are copied.
    recreate: Any = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    return op.batch_alter_table("tuning_intents", recreate=recreate)


def _make_events() -> None:
    op.create_table(
        "tuning_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("run_key", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=False),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("provider_state", sa.Text(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tuning_events")),
        sa.ForeignKeyConstraint(
            ["request_key"], ["tuning_intents.request_key"], name=op.f("fk_tuning_events_request_key_tuning_intents")
        ),
    )
    op.create_index(op.f("ix_tuning_events_request_key"), "tuning_events", ["request_key"], unique=False)


def _make_ledger() -> None:
    op.create_table(
        "budget_months",
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("task", "month", name=op.f("pk_budget_months")),
    )
    op.create_table(
        "budget_ledger",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("run_key", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget_ledger")),
        sa.UniqueConstraint("run_key", "seq", name=op.f("uq_budget_ledger_run_key_seq")),
    )
    op.create_index(op.f("ix_budget_ledger_task_month"), "budget_ledger", ["task", "month"], unique=False)


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
