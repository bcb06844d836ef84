"""Scores that people gave by hand: their file, read and held against the test set strictly.

A row that names an unknown record, rates off the scale or rates twice is left out and told, with its row and the mend.
Figures are made in `manual_report.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finetune_assets.evaluation.witnesses.rating_files import RatingFinding, read_rows

CANDIDATE = "candidate"
_COLUMNS = ("record_id", "example_id", "model", "candidate", "criterion", "rater", "rating", "right", "comment")
_RIGHT = {"true": True, "yes": True, "1": True, "right": True, "false": False, "no": False, "0": False, "wrong": False}


class ManualScoresConfig(BaseModel):
    """Where ratings by people lie, and what they mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(min_length=1, description="CSV or JSONL file of ratings, relative to defs.yaml.")
    lowest: float = Field(default=1.0, allow_inf_nan=False, description="Lowest rating of the scale.")
    highest: float = Field(default=5.0, allow_inf_nan=False, description="Highest rating of the scale.")
    right_from: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Rating from which an answer counts as right; null when ratings say nothing of right and wrong.",
    )

    @model_validator(mode="after")
    def _is_a_scale(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError("lowest must be below highest")
        if self.right_from is not None and not self.lowest <= self.right_from <= self.highest:
            raise ValueError("right_from lies off the scale")
        return self


@dataclass(frozen=True, slots=True)
class ManualScore:
    """One rating that was taken.

    Attributes:
        example_id: the test row.
        model: the contender whose answer was rated, as the report calls it.
        criterion: what was rated, "" for the answer as a whole.
        rater: who rated, "" when not told.
        rating: on the scale, None where only right or wrong was said.
        right: right or wrong, None where only a rating was given and `right_from` is not set.
    """

    example_id: str
    model: str
    criterion: str
    rater: str
    rating: float | None
    right: bool | None


@dataclass(frozen=True, slots=True)
class ManualScores:
    """A file of ratings, read.

    Attributes:
        scores: the ratings that were taken.
        findings: the rows that were left out, and columns that mean nothing.
        rows: rows of the file, good and bad.
        unnamed: ratings that named no model and were taken for the candidate's.
        comments: rows with a comment.
    """

    scores: tuple[ManualScore, ...]
    findings: tuple[RatingFinding, ...]
    rows: int
    unnamed: int
    comments: int


def read_manual_scores(
    path: Path, config: ManualScoresConfig, records: Mapping[str, str], models: Mapping[str, str]
) -> ManualScores:
    """Read ratings and hold them against the test set. A bad row becomes a finding.

    Columns: `record_id` or `example_id`; `rating` or `right` (yes/no, true/false, right/wrong); optional `model` (or
    `candidate`), `criterion`, `rater`, `comment`.

    Args:
        path: a `.csv` file, or JSON Lines.
        config: the scale.
        records: record id by example id of the test set.
        models: what a row may call a contender (name, candidate id) to what the report calls it.

    Returns:
        What was taken and what was not; together every row of the file.

    Raises:
        FinetuneError: when the file cannot be read.
    """
    rows, findings = read_rows(path, _COLUMNS, ())
    left_out = {finding.row for finding in findings if finding.code != "unknown_column"}
    places = _places(records)
    scores: list[ManualScore] = []
    seen: set[tuple[str, str, str, str]] = set()
    unnamed = 0
    for number, row in rows:
        score = _score(number, row, config, records, places, models)
        if isinstance(score, ManualScore):
            key = (score.example_id, score.model, score.criterion, score.rater)
            if key in seen:
                score = RatingFinding(
                    number, "duplicate", "rater", "keep one rating of each rater for each record, model and criterion"
                )
            seen.add(key)
        if isinstance(score, RatingFinding):
            findings.append(score)
            continue
        unnamed += not _model_name(row)
        scores.append(score)
    return ManualScores(
        tuple(scores),
        tuple(sorted(findings, key=lambda finding: (finding.row, finding.code, finding.field))),
        len(rows) + len(left_out),
        unnamed,
        sum(bool(str(row.get("comment", "")).strip()) for _, row in rows),
    )


def _places(records: Mapping[str, str]) -> dict[str, list[str]]:
    """Return example ids by record id: one record may give several examples."""
    places: dict[str, list[str]] = {}
    for example_id, record_id in records.items():
        places.setdefault(record_id, []).append(example_id)
    return places


def _model_name(row: Mapping[str, Any]) -> str:
    return str(row.get("model", row.get("candidate", ""))).strip()


def _score(
    number: int,
    row: Mapping[str, Any],
    config: ManualScoresConfig,
    records: Mapping[str, str],
    places: Mapping[str, Sequence[str]],
    models: Mapping[str, str],
) -> ManualScore | RatingFinding:
    example_id = _example_id(number, row, records, places)
    if isinstance(example_id, RatingFinding):
        return example_id
    name = _model_name(row) or CANDIDATE
    if name not in models:
        return RatingFinding(number, "unknown_model", "model", "name a contender of this report, or its candidate id")
    given = _value(number, row, config)
    if isinstance(given, RatingFinding):
        return given
    rating, right = given
    criterion, rater = (str(row.get(column, "")).strip() for column in ("criterion", "rater"))
    return ManualScore(example_id, models[name], criterion, rater, rating, right)


def _example_id(
    number: int, row: Mapping[str, Any], records: Mapping[str, str], places: Mapping[str, Sequence[str]]
) -> str | RatingFinding:
    example_id, record_id = (str(row.get(column, "")).strip() for column in ("example_id", "record_id"))
    if example_id:
        if example_id not in records:
            return RatingFinding(number, "unknown_id", "example_id", "rate a row of this test set")
        if record_id and records[example_id] != record_id:
            return RatingFinding(number, "ambiguous_id", "record_id", "make the two ids name one row, or give one")
        return example_id
    if not record_id:
        return RatingFinding(number, "missing", "record_id", "name the row by record_id or example_id")
    found = places.get(record_id, ())
    if len(found) > 1:
        return RatingFinding(
            number, "ambiguous_id", "record_id", "give the example_id: the record has several examples"
        )
    return found[0] if found else RatingFinding(number, "unknown_id", "record_id", "rate a row of this test set")


def _value(
    number: int, row: Mapping[str, Any], config: ManualScoresConfig
) -> tuple[float | None, bool | None] | RatingFinding:
    rating: float | None = None
    right: bool | None = None
    if "rating" in row:
        rating = _number(row["rating"])
        if rating is None:
            return RatingFinding(number, "bad_value", "rating", "write a number, with a point for decimals")
        if not config.lowest <= rating <= config.highest:
            scale = f"{config.lowest:g} to {config.highest:g}"
            return RatingFinding(number, "out_of_scale", "rating", f"rate from {scale}, or change the scale in YAML")
        right = None if config.right_from is None else rating >= config.right_from
    if "right" in row:
        said = _RIGHT.get(str(row["right"]).strip().lower())
        if said is None:
            return RatingFinding(number, "bad_value", "right", "write yes or no")
        if right is not None and said != right:
            return RatingFinding(number, "bad_value", "right", "make rating and right say the same, or give one")
        right = said
    if rating is None and right is None:
        return RatingFinding(number, "missing", "rating", "give a rating, or say right or wrong")
    return rating, right


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)[:41]) > 40:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None
