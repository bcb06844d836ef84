"""Hard negatives: the held-out rows that a model finds hardest, as a regression suite for the next one.

A suite must be new to every model that it judges. Rows that share a leak group with training or test rows are refused,
and so are those that are near-duplicates of them or that nobody observed. How difficulty is made up is a plain sum,
stated beside each row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from finetune_assets.evaluation.leaks import NO_WORDING, nearest_rows, refuse_leaks
from finetune_assets.evaluation.statistics.sampling import place_of, shares_of
from finetune_assets.records.example import Example
from finetune_assets.records.json_lines import encode_line
from finetune_assets.records.similarity import FixedWording

SUITE_VERSION = "hard_negatives/1"
# A row is hard when the model is wrong, or nearly so, or when a training row much like it has another label.
HARD_MARGIN = 0.5
HARD_DECOY = 0.5


class Answered(Protocol):
    """What is asked of an answer; `evaluation.answers.ScoredAnswer` has it."""

    @property
    def example_id(self) -> str:
        """The example's content hash."""

    @property
    def predicted(self) -> tuple[str, ...]:
        """The label path answered, () for free text or no valid answer."""

    @property
    def correct(self) -> bool:
        """The answer as a whole counts as right."""

    @property
    def text(self) -> str:
        """What the model wrote."""


@dataclass(frozen=True, slots=True)
class MinedRow:
    """One row of a suite, and why it is there.

    Attributes:
        example: the row.
        difficulty: 2 · wrong + agreement + (1 - margin) + decoy, from 0 to 5.
        wrong: the model whose weakness is sought answers wrongly, or not at all.
        agreement: where it is wrong, share of all models that give the same wrong answer; 0 where nothing is answered.
        margin: probability of its answer less that of the next one, 0 to 1; None where not known.
        decoy: likeness (TF-IDF cosine, 0 to 1) to the most similar training row with another answer.
        decoy_record: record id of that training row, "" where there is none.
        model: name of the model whose weakness was sought.
    """

    example: Example
    difficulty: float
    wrong: bool
    agreement: float
    margin: float | None
    decoy: float
    decoy_record: str
    model: str

    def to_json(self) -> dict[str, Any]:
        """Return the row of the suite file: the example and its `provenance`, which `Example.from_json` passes over."""
        provenance = {
            "made_by": SUITE_VERSION,
            "model": self.model,
            "difficulty": round(self.difficulty, 6),
            "wrong": self.wrong,
            "agreement": round(self.agreement, 6),
            "margin": None if self.margin is None else round(self.margin, 6),
            "decoy": round(self.decoy, 6),
            "decoy_record": self.decoy_record,
        }
        return {**self.example.to_json(), "provenance": provenance}


def mine(
    pool: Sequence[Example],
    answers: Mapping[str, Sequence[Answered]],
    train: Sequence[Example],
    n: int,
    seed: int,
    *,
    test: Sequence[Example],
    margins: Mapping[str, float] | None = None,
    leak_groups: Mapping[str, str] | None = None,
    wording: FixedWording = NO_WORDING,
) -> list[MinedRow]:
    """Return the hardest rows of a held-out pool, each label in proportion to its hard rows.

    Args:
        pool: rows that no model was trained on and no report judged.
        answers: answers to the pool by name of the model; the first is the one whose weakness is sought, live or
            candidate. A row without an answer counts as wrong.
        train: the training rows, for the proof and for decoys.
        n: rows wanted, 0 or more; there are fewer where fewer are hard.
        seed: decides among equally hard rows.
        test: all rows that models are judged on (test and validation), for the proof.
        margins: margin of the first model's answer by example id, 0 to 1, where its engine tells it.
        leak_groups: leak group by content key, as the split knows them; they hold what near-duplicate detection and
            declared groups tied together. Content keys and declared groups are compared in any case.
        wording: what the user template puts around the rows' own words, which must not make them alike.

    Returns:
        At most `n` rows, one of each leak group, the hardest first.

    Raises:
        FinetuneError: when a row of the pool leaks, or no model's answers are given.
    """
    if not answers:
        raise ValueError("answers of at least one model are needed")
    refuse_leaks(pool, train, test, leak_groups or {}, wording)
    if not pool or n <= 0:
        return []
    name = next(iter(answers))
    said = {model: {answer.example_id: answer for answer in rows} for model, rows in answers.items()}
    decoys = _decoys(pool, train, wording)
    rows = []
    for example, (decoy, decoy_record) in zip(pool, decoys, strict=True):
        key = example.example_id
        given = [said[model].get(key) for model in answers]
        margin = (margins or {}).get(key)
        row = _row(example, given, margin, decoy, decoy_record, name)
        if row.wrong or row.decoy >= HARD_DECOY or (margin is not None and margin < HARD_MARGIN):
            rows.append(row)
    rows.sort(key=lambda row: (-row.difficulty, place_of(seed, row.example.example_id)))
    return _spread(_one_of_each_group(rows, leak_groups or {}), n)


def suite_lines(rows: Iterable[MinedRow]) -> bytes:
    """Return the suite as JSON Lines, one row a line, in the order given."""
    return b"".join(encode_line(row.to_json()) + b"\n" for row in rows)


def _row(
    example: Example, given: Sequence[Answered | None], margin: float | None, decoy: float, record: str, model: str
) -> MinedRow:
    first = given[0]
    wrong = first is None or not first.correct
    same = 0.0
    if first is not None and wrong and (words := _said(first)):
        same = sum(answer is not None and not answer.correct and _said(answer) == words for answer in given) / len(
            given
        )
    doubt = 0.0 if margin is None else 1.0 - min(max(margin, 0.0), 1.0)
    return MinedRow(example, 2 * wrong + same + doubt + decoy, wrong, same, margin, decoy, record, model)


def _said(answer: Answered) -> tuple[str, ...]:
    return answer.predicted or tuple(answer.text.lower().split())


def _decoys(pool: Sequence[Example], train: Sequence[Example], wording: FixedWording) -> list[tuple[float, str]]:
    """Return, for each row of the pool, the likeness and record id of the most similar training row that it is not."""
    found: list[tuple[float, str]] = []
    for example, near in zip(pool, nearest_rows(pool, train, wording), strict=True):
        others = [(likeness, train[place].record_id) for place, likeness in near if _differs(example, train[place])]
        found.append(max(others, key=lambda pair: (pair[0], pair[1]), default=(0.0, "")))
    return found


def _differs(one: Example, other: Example) -> bool:
    if one.label_path and other.label_path:
        return one.label_path != other.label_path
    return one.target != other.target


def _one_of_each_group(rows: Sequence[MinedRow], leak_groups: Mapping[str, str]) -> list[MinedRow]:
    """Keep the hardest row of each leak group: copies of one weakness are one weakness."""
    taken: set[str] = set()
    kept = []
    for row in rows:
        key = row.example.content_key
        names = {key, *row.example.groups, leak_groups.get(key, key)}
        if not names & taken:
            kept.append(row)
        taken |= names
    return kept


def _spread(rows: Sequence[MinedRow], n: int) -> list[MinedRow]:
    left = shares_of(Counter(row.example.label for row in rows), n)
    kept = []
    for row in rows:
        if left[row.example.label]:
            left[row.example.label] -= 1
            kept.append(row)
    return kept
