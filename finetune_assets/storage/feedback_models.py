"""The tables of feedback: error cases, what people said, and trigger decisions.

Texts of people stand in `feedback_texts` alone, so that they can be deleted while the evidence, which holds counts,
digests and pseudonyms, stays as it was. Every change here needs a migration.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from finetune_assets.storage.model_base import Base

CASE_STATES = ("new", "corrected", "consumed", "dismissed")
CASE_MOVES = (
    ("", "new"),
    ("", "corrected"),
    ("new", "corrected"),
    ("new", "dismissed"),
    ("corrected", "consumed"),
    ("corrected", "dismissed"),
    # Reported or corrected once more, which does not change where a case stands.
    ("new", "new"),
    ("corrected", "corrected"),
    ("consumed", "consumed"),
    ("dismissed", "dismissed"),
)
"""Every change of state that a case may make, as (from, to); "" is where it begins."""


def _one_of(column: str, names: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(name) for name in names)})"


class ErrorClusterRow(Base):
    """Equal and near-equal errors: they count once. `sketch` is a keyed MinHash of the first one's input."""

    __tablename__ = "error_clusters"
    __table_args__ = (UniqueConstraint("task", "cluster_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    cluster_key: Mapped[str]
    sketch: Mapped[str]
    created_at: Mapped[datetime]


class ClusterBandRow(Base):
    """One band of a cluster's sketch; near-equal inputs share at least one, so that few clusters are looked at."""

    __tablename__ = "cluster_bands"
    __table_args__ = (Index(None, "task", "band"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    band: Mapped[str]
    cluster_id: Mapped[int] = mapped_column(ForeignKey("error_clusters.id"))


class ErrorCaseRow(Base):
    """An answer that a person, a rule or a check said is wrong, and where it stands."""

    __tablename__ = "error_cases"
    __table_args__ = (
        UniqueConstraint("task", "case_key"),
        Index(None, "task", "state"),
        Index(None, "task", "predicted_at"),
        Index(None, "task", "prediction_id"),
        Index(None, "cluster_id", "state"),
        CheckConstraint(_one_of("state", CASE_STATES), name="state_is_known"),
        CheckConstraint("(state = 'consumed') = (dataset_version <> '')", name="consumed_names_its_version"),
        CheckConstraint("(state = 'dismissed') = (dismissed_for <> '')", name="dismissed_names_its_reason"),
        CheckConstraint("(state = 'new') = (correction_id IS NULL) OR state = 'dismissed'", name="corrected_has_one"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    case_key: Mapped[str]
    cluster_id: Mapped[int] = mapped_column(ForeignKey("error_clusters.id"))
    state: Mapped[str]
    source: Mapped[str]
    prediction_id: Mapped[str]
    predicted_at: Mapped[datetime | None]
    input_digest: Mapped[str]
    answer_digest: Mapped[str]
    label: Mapped[str]
    signals: Mapped[list[Any]] = mapped_column(JSON)
    score: Mapped[float]
    groups: Mapped[list[Any]] = mapped_column(JSON)
    correction_id: Mapped[int | None]
    dataset_version: Mapped[str]
    dismissed_for: Mapped[str]
    follows_id: Mapped[int | None]
    reported_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CaseEventRow(Base):
    """One thing that happened to a case; append-only."""

    __tablename__ = "case_events"
    __table_args__ = (
        Index(None, "case_id"),
        CheckConstraint(
            "from_state || '>' || to_state IN (" + ", ".join(f"'{one}>{other}'" for one, other in CASE_MOVES) + ")",
            name="move_is_legal",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("error_cases.id"))
    from_state: Mapped[str]
    to_state: Mapped[str]
    source: Mapped[str]
    detail: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]


class CaseCorrectionRow(Base):
    """One correction that a case was given; append-only, its text stands in `feedback_texts`."""

    __tablename__ = "case_corrections"
    __table_args__ = (
        Index(None, "case_id"),
        CheckConstraint(_one_of("method", ("manual", "auto", "feedback")), name="method_is_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("error_cases.id"))
    content_digest: Mapped[str]
    method: Mapped[str]
    rater: Mapped[str]
    at: Mapped[datetime]


class CaseAsideRow(Base):
    """A correction that no dataset version can take, and why; append-only. Another correction counts anew."""

    __tablename__ = "case_asides"
    __table_args__ = (UniqueConstraint("case_id", "correction_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("error_cases.id"))
    correction_id: Mapped[int]
    reason: Mapped[str]
    at: Mapped[datetime]


class CaseSideRow(Base):
    """To which side a leak group of corrected cases belongs for ever: training rows or regression samples."""

    __tablename__ = "case_sides"
    __table_args__ = (
        UniqueConstraint("task", "group_key"),
        CheckConstraint(_one_of("side", ("train", "regression")), name="side_is_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    group_key: Mapped[str]
    side: Mapped[str]
    at: Mapped[datetime]


class ConsumptionRow(Base):
    """A dataset version's taking of corrected cases; `finished_at` is empty while steps are left."""

    __tablename__ = "consumptions"
    __table_args__ = (UniqueConstraint("task", "dataset_version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    dataset_version: Mapped[str]
    cases_digest: Mapped[str]
    wanted: Mapped[int]
    newest_case_id: Mapped[int]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class FeedbackRow(Base):
    """What a person said about an answer, once for each content; append-only, its texts stand in `feedback_texts`."""

    __tablename__ = "feedback"
    __table_args__ = (
        UniqueConstraint("task", "content_digest"),
        Index(None, "task", "request_id"),
        CheckConstraint(_one_of("verdict", ("right", "wrong", "demonstration")), name="verdict_is_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    content_digest: Mapped[str]
    request_id: Mapped[str]
    verdict: Mapped[str]
    rater: Mapped[str]
    origin: Mapped[str]
    case_id: Mapped[int | None] = mapped_column(ForeignKey("error_cases.id"))
    at: Mapped[datetime]


class FeedbackTextRow(Base):
    """A text of a case, a correction or a piece of feedback; the only table of feedback whose rows may be deleted.

    `subject` is the pseudonym of the person whom the input is about, `author` that of the person who wrote the text.
    """

    __tablename__ = "feedback_texts"
    __table_args__ = (
        Index(None, "case_id"),
        Index(None, "subject"),
        Index(None, "author"),
        CheckConstraint(_one_of("kind", ("input", "answer", "correction", "comment", "rater")), name="kind_is_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    case_id: Mapped[int | None] = mapped_column(ForeignKey("error_cases.id"))
    correction_id: Mapped[int | None] = mapped_column(ForeignKey("case_corrections.id"))
    feedback_id: Mapped[int | None] = mapped_column(ForeignKey("feedback.id"))
    subject: Mapped[str]
    author: Mapped[str]
    body: Mapped[str]


class ForgetRow(Base):
    """That somebody's texts were deleted, when, by whom and how many; append-only."""

    __tablename__ = "forget_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str]
    counts: Mapped[dict[str, Any]]
    by: Mapped[str]
    at: Mapped[datetime]


class TriggerEventRow(Base):
    """One decision of a trigger (fire or wait), or the end of a run that it asked for; append-only.

    `run_key` is empty for a decision to wait.
    """

    __tablename__ = "trigger_events"
    __table_args__ = (
        UniqueConstraint("run_key", "kind"),
        Index(None, "task", "kind", "id"),
        CheckConstraint(_one_of("kind", ("fire", "wait", "end")), name="kind_is_known"),
        CheckConstraint("(kind = 'wait') = (run_key IS NULL)", name="run_has_a_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    kind: Mapped[str]
    run_key: Mapped[str | None]
    window_digest: Mapped[str]
    policy_digest: Mapped[str]
    reasons: Mapped[list[Any]] = mapped_column(JSON)
    evidence: Mapped[dict[str, Any]]
    cost: Mapped[int | None] = mapped_column(BigInteger)
    by: Mapped[str]
    at: Mapped[datetime]
