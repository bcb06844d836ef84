"""Verdicts of people that a judging model is held against, read from a file of their own.

A verdict speaks of texts, so each row brings the question and the answers it was given on: the same file measures every
judge, whatever the candidate of the day answers. Bad rows become findings; none stops the reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune_assets.evaluation.witnesses.llm_judge.prompt import HIGHEST, LOWEST, TIE, Question
from finetune_assets.evaluation.witnesses.rating_files import RatingFinding, read_rows
from finetune_assets.records.digests import digest_of

_WINNERS = {"first": 0, "second": 1, TIE: None}


@dataclass(frozen=True, slots=True)
class HumanPair:
    """What people said of two answers: the place of the better one, or None for a tie."""

    question: Question
    first: str
    second: str
    winner: int | None


@dataclass(frozen=True, slots=True)
class HumanRating:
    """What people said of one answer: scores by criterion."""

    question: Question
    answer: str
    scores: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class HumanVerdicts:
    """A file of human verdicts, read for one mode.

    Attributes:
        pairs: verdicts on pairs, one for each pair of answers.
        ratings: verdicts on single answers, one for each answer.
        findings: rows that were left out, and why.
        given: verdicts in the file that were taken, before those of several people on one thing were joined.
    """

    pairs: tuple[HumanPair, ...] = ()
    ratings: tuple[HumanRating, ...] = ()
    findings: tuple[RatingFinding, ...] = field(default=())
    given: int = 0

    def __len__(self) -> int:
        return len(self.pairs) + len(self.ratings)


def read_human_verdicts(path: Path, mode: str, criteria: Sequence[str]) -> HumanVerdicts:
    """Read human verdicts from a CSV or JSONL file.

    Columns for `pairwise`: question, first, second, winner (first, second or tie); for `rubric`: question, answer, and
    one column for each criterion (1 to 5). Optional for both: reference, rater, comment. Several people on one thing
    are joined: the verdict of more than half, else a tie; for scores the middle one, rounded down.

    Args:
        path: the file.
        mode: `pairwise` or `rubric`.
        criteria: names of the criteria of a rubric.

    Returns:
        The verdicts and what was wrong with the rows left out.

    Raises:
        FinetuneError: when the file is missing or is no file of rows at all.
    """
    needed = ("question", "first", "second", "winner") if mode == "pairwise" else ("question", "answer", *criteria)
    rows, findings = read_rows(path, {*needed, "reference", "rater", "comment"}, needed)
    given = 0
    seen: set[tuple[str, str]] = set()
    pairs: dict[str, list[HumanPair]] = {}
    ratings: dict[str, list[HumanRating]] = {}
    for number, row in rows:
        item = _pair(number, row) if mode == "pairwise" else _rating(number, row, criteria)
        key = digest_of([str(row.get(name, "")) for name in ("question", "reference", "first", "second", "answer")])
        rater = str(row.get("rater", "")).strip()
        if rater and (key, rater) in seen:
            item = RatingFinding(number, "duplicate", "rater", "keep one verdict of each rater on each row")
        if isinstance(item, RatingFinding):
            findings.append(item)
            continue
        seen.add((key, rater))
        given += 1
        if isinstance(item, HumanPair):
            pairs.setdefault(key, []).append(item)
        else:
            ratings.setdefault(key, []).append(item)
    return HumanVerdicts(
        tuple(_joined_pair(group) for group in pairs.values()),
        tuple(_joined_rating(group) for group in ratings.values()),
        tuple(sorted(findings, key=lambda finding: finding.row)),
        given,
    )


def _question(number: int, row: Mapping[str, Any]) -> Question | RatingFinding:
    text = str(row.get("question", ""))
    if not text.strip():
        return RatingFinding(number, "missing", "question", "give the question that the verdict was made on")
    reference = str(row.get("reference", ""))
    return Question(digest_of(["human", text, reference]), text, reference)


def _pair(number: int, row: Mapping[str, Any]) -> HumanPair | RatingFinding:
    question = _question(number, row)
    if isinstance(question, RatingFinding):
        return question
    first, second = str(row.get("first", "")), str(row.get("second", ""))
    for name, text in (("first", first), ("second", second)):
        if not text.strip():
            return RatingFinding(number, "missing", name, "give the text of the answer")
    winner = str(row.get("winner", "")).strip().lower()
    if winner not in _WINNERS:
        return RatingFinding(number, "bad_value", "winner", "write first, second or tie")
    return HumanPair(question, first, second, _WINNERS[winner])


def _rating(number: int, row: Mapping[str, Any], criteria: Sequence[str]) -> HumanRating | RatingFinding:
    question = _question(number, row)
    if isinstance(question, RatingFinding):
        return question
    answer = str(row.get("answer", ""))
    if not answer.strip():
        return RatingFinding(number, "missing", "answer", "give the text of the answer")
    scores: dict[str, int] = {}
    for name in criteria:
        value = str(row.get(name, "")).strip()
        if len(value) != 1 or value not in "12345":
            return RatingFinding(number, "bad_value", name, f"write a whole number from {LOWEST} to {HIGHEST}")
        scores[name] = int(value)
    return HumanRating(question, answer, scores)


def _joined_pair(group: Sequence[HumanPair]) -> HumanPair:
    counts = Counter(pair.winner for pair in group)
    winner = next((place for place, count in counts.items() if 2 * count > len(group)), None)
    return HumanPair(group[0].question, group[0].first, group[0].second, winner)


def _joined_rating(group: Sequence[HumanRating]) -> HumanRating:
    scores = {name: sorted(rating.scores[name] for rating in group)[(len(group) - 1) // 2] for name in group[0].scores}
    return HumanRating(group[0].question, group[0].answer, scores)
