"""Feedback: error cases with their events and corrections, what people said, and trigger decisions.

Revision: 0004. What is evidence gets triggers that refuse to change or delete a row; texts of people stand in
`feedback_texts`, which has none, so that they can be deleted.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_APPEND_ONLY = ("case_events", "case_corrections", "case_sides", "feedback", "forget_log", "trigger_events")


def upgrade() -> None:
    """Make the tables and the triggers."""
    _make_clusters()
    _make_cases()
    _make_evidence()
    _make_sides()
    _make_feedback()
    _make_triggers()
    for name in _APPEND_ONLY:
        for statement in _guards(name):
            op.execute(statement)


def downgrade() -> None:
    """Remove them again; triggers and indexes go with their tables."""
    for name in (
        "trigger_events",
        "forget_log",
        "feedback_texts",
        "feedback",
        "consumptions",
        "case_sides",
        "case_corrections",
        "case_events",
        "error_cases",
        "cluster_bands",
        "error_clusters",
    ):
        op.drop_table(name)


def _make_clusters() -> None:
    op.create_table(
        "error_clusters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("cluster_key", sa.Text(), nullable=False),
        sa.Column("sketch", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_error_clusters")),
        sa.UniqueConstraint("task", "cluster_key", name=op.f("uq_error_clusters_task_cluster_key")),
    )
    op.create_table(
        "cluster_bands",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"], ["error_clusters.id"], name=op.f("fk_cluster_bands_cluster_id_error_clusters")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cluster_bands")),
    )
    op.create_index(op.f("ix_cluster_bands_task_band"), "cluster_bands", ["task", "band"], unique=False)


def _make_cases() -> None:
    op.create_table(
        "error_cases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("case_key", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("prediction_id", sa.Text(), nullable=False),
        sa.Column("predicted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("input_digest", sa.Text(), nullable=False),
        sa.Column("answer_digest", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("signals", sa.JSON(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("correction_id", sa.Integer(), nullable=True),
        sa.Column("dataset_version", sa.Text(), nullable=False),
        sa.Column("dismissed_for", sa.Text(), nullable=False),
        sa.Column("follows_id", sa.Integer(), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'consumed') = (dataset_version <> '')", name=op.f("ck_error_cases_consumed_names_its_version")
        ),
        sa.CheckConstraint(
            "(state = 'dismissed') = (dismissed_for <> '')", name=op.f("ck_error_cases_dismissed_names_its_reason")
        ),
        sa.CheckConstraint(
            "(state = 'new') = (correction_id IS NULL) OR state = 'dismissed'",
            name=op.f("ck_error_cases_corrected_has_one"),
        ),
        sa.CheckConstraint(
            "state IN ('new', 'corrected', 'consumed', 'dismissed')", name=op.f("ck_error_cases_state_is_known")
        ),
        sa.ForeignKeyConstraint(
            ["cluster_id"], ["error_clusters.id"], name=op.f("fk_error_cases_cluster_id_error_clusters")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_error_cases")),
        sa.UniqueConstraint("task", "case_key", name=op.f("uq_error_cases_task_case_key")),
    )
    op.create_index(op.f("ix_error_cases_cluster_id_state"), "error_cases", ["cluster_id", "state"], unique=False)
    op.create_index(op.f("ix_error_cases_task_predicted_at"), "error_cases", ["task", "predicted_at"], unique=False)
    op.create_index(op.f("ix_error_cases_task_prediction_id"), "error_cases", ["task", "prediction_id"], unique=False)
    op.create_index(op.f("ix_error_cases_task_state"), "error_cases", ["task", "state"], unique=False)


def _make_evidence() -> None:
    op.create_table(
        "case_corrections",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("content_digest", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("rater", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "method IN ('manual', 'auto', 'feedback')", name=op.f("ck_case_corrections_method_is_known")
        ),
        sa.ForeignKeyConstraint(["case_id"], ["error_cases.id"], name=op.f("fk_case_corrections_case_id_error_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_corrections")),
    )
    op.create_index(op.f("ix_case_corrections_case_id"), "case_corrections", ["case_id"], unique=False)
    op.create_table(
        "case_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=False),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "from_state || '>' || to_state IN ('>new', '>corrected', 'new>corrected', 'new>dismissed', "
            "'corrected>consumed', 'corrected>dismissed', 'new>new', 'corrected>corrected', 'consumed>consumed', "
            "'dismissed>dismissed')",
            name=op.f("ck_case_events_move_is_legal"),
        ),
        sa.ForeignKeyConstraint(["case_id"], ["error_cases.id"], name=op.f("fk_case_events_case_id_error_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_events")),
    )
    op.create_index(op.f("ix_case_events_case_id"), "case_events", ["case_id"], unique=False)


def _make_sides() -> None:
    op.create_table(
        "case_sides",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("side IN ('train', 'regression')", name=op.f("ck_case_sides_side_is_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_sides")),
        sa.UniqueConstraint("task", "group_key", name=op.f("uq_case_sides_task_group_key")),
    )
    op.create_table(
        "consumptions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("dataset_version", sa.Text(), nullable=False),
        sa.Column("cases_digest", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("newest_case_id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consumptions")),
        sa.UniqueConstraint("task", "dataset_version", name=op.f("uq_consumptions_task_dataset_version")),
    )


def _make_feedback() -> None:
    op.create_table(
        "forget_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forget_log")),
    )
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("content_digest", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("rater", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("verdict IN ('right', 'wrong', 'demonstration')", name=op.f("ck_feedback_verdict_is_known")),
        sa.ForeignKeyConstraint(["case_id"], ["error_cases.id"], name=op.f("fk_feedback_case_id_error_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
        sa.UniqueConstraint("task", "content_digest", name=op.f("uq_feedback_task_content_digest")),
    )
    op.create_index(op.f("ix_feedback_task_request_id"), "feedback", ["task", "request_id"], unique=False)
    op.create_table(
        "feedback_texts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=True),
        sa.Column("correction_id", sa.Integer(), nullable=True),
        sa.Column("feedback_id", sa.Integer(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('input', 'answer', 'correction', 'comment', 'rater')",
            name=op.f("ck_feedback_texts_kind_is_known"),
        ),
        sa.ForeignKeyConstraint(["case_id"], ["error_cases.id"], name=op.f("fk_feedback_texts_case_id_error_cases")),
        sa.ForeignKeyConstraint(
            ["correction_id"], ["case_corrections.id"], name=op.f("fk_feedback_texts_correction_id_case_corrections")
        ),
        sa.ForeignKeyConstraint(["feedback_id"], ["feedback.id"], name=op.f("fk_feedback_texts_feedback_id_feedback")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback_texts")),
    )
    op.create_index(op.f("ix_feedback_texts_author"), "feedback_texts", ["author"], unique=False)
    op.create_index(op.f("ix_feedback_texts_case_id"), "feedback_texts", ["case_id"], unique=False)
    op.create_index(op.f("ix_feedback_texts_subject"), "feedback_texts", ["subject"], unique=False)


def _make_triggers() -> None:
    op.create_table(
        "trigger_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("run_key", sa.Text(), nullable=True),
        sa.Column("window_digest", sa.Text(), nullable=False),
        sa.Column("policy_digest", sa.Text(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(kind = 'wait') = (run_key IS NULL)", name=op.f("ck_trigger_events_run_has_a_key")),
        sa.CheckConstraint("kind IN ('fire', 'wait', 'end')", name=op.f("ck_trigger_events_kind_is_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trigger_events")),
        sa.UniqueConstraint("run_key", "kind", name=op.f("uq_trigger_events_run_key_kind")),
    )
    op.create_index(op.f("ix_trigger_events_task_kind_id"), "trigger_events", ["task", "kind", "id"], unique=False)


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
