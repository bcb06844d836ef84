"""The label court: where the test set's own label is the likelier fault than the model that contradicts it.

The rule is plain and learns nothing. Witnesses are the contenders, a TF-IDF model of the training rows, and what the
quality checks measured: the share of similar rows with the same label, and how much a model of all other rows believes
it. They are heard on rows that the candidate has wrong, and on rows that it alone has right. Witnesses that learnt from
the same faulty labels repeat them: what the court finds is for people to look at, and it changes no score by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finetune_assets.evaluation.markdown_table import cell, table
from finetune_assets.evaluation.wording import percent
from finetune_assets.records.example import Example

LabelPath = tuple[str, ...]
Finding = Literal["label_wrong_likely", "model_wrong", "disputed", "right_by_doubtful_label"]

CANDIDATE = "candidate"
FEWEST_WITNESSES = 3
_BELIEVED = 0.5
_SHOWN = 50
RULE = (
    "A row that the candidate has wrong is 'label wrong likely' when at least three witnesses answer, all answer the "
    "same other label, and neither the similar rows nor a model of the other rows supports the recorded one. It is "
    "'model wrong' when no other witness answers as the candidate does, or more support the recorded label than do. "
    "Otherwise it is disputed. A row that the candidate alone has right, against at least two others who all answer "
    "the same other label, is 'right by a doubtful label' when nothing else supports the recorded one."
)


@dataclass(frozen=True, slots=True)
class LabelEvidence:
    """What the quality checks measured of one row's label.

    Attributes:
        confidence: what a model of the other rows gives the recorded label, 0 to 1; None where not measured.
        neighbours: share of the most similar rows that hold the recorded label, 0 to 1; None where not measured.
    """

    confidence: float | None = None
    neighbours: float | None = None

    @property
    def supporting(self) -> int:
        """How many of the two speak for the recorded label: at least half of the rows, or of the probability."""
        return sum(value is not None and value >= _BELIEVED for value in (self.confidence, self.neighbours))


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the court found on one row.

    Attributes:
        record_id: what a person knows the row by.
        finding: the ruling.
        recorded: the label that the test set holds.
        other: the label that witnesses hold against it, () where they do not agree on one.
        supporting: witnesses for the recorded label, besides the candidate.
        opposing: witnesses for the other label, the candidate among them where it says so.
        evidence: what the quality checks measured.
        answers: what each witness answered, () for no valid answer.
    """

    record_id: str
    finding: Finding
    recorded: LabelPath
    other: LabelPath
    supporting: int
    opposing: int
    evidence: LabelEvidence
    answers: Mapping[str, LabelPath]

    @property
    def possible(self) -> frozenset[LabelPath]:
        """Labels that the row may have, if the court is followed wherever it doubts."""
        if self.finding == "model_wrong":
            return frozenset({self.recorded})
        if self.finding == "disputed":
            return frozenset({self.recorded, *(path for path in self.answers.values() if path)})
        return frozenset({self.recorded, self.other})


def hold_court(
    examples: Sequence[Example],
    witnesses: Mapping[str, Mapping[str, LabelPath]],
    evidence: Mapping[str, LabelEvidence] | None = None,
) -> list[Ruling]:
    """Rule on every row that the candidate has wrong, and on those that it alone has right.

    Args:
        examples: the test set.
        witnesses: label paths by example id, by name of the witness; `candidate` must be among them. A row that is
            absent or () is no valid answer. Witnesses must be independent of the row's own label: contenders and a
            model of the training rows are, the majority class says the same of every row and is none.
        evidence: what the quality checks measured, by example id; None or absent rows count for neither side.

    Returns:
        Rulings, the likeliest wrong labels first: by number of opposing witnesses, then by little belief in the label.
    """
    rulings = []
    for example in examples:
        key = example.example_id
        answers = {name: given.get(key, ()) for name, given in witnesses.items()}
        ruling = _rule(example, answers, (evidence or {}).get(key, LabelEvidence()))
        if ruling is not None:
            rulings.append(ruling)
    return sorted(rulings, key=_rank)


def _rule(example: Example, answers: Mapping[str, LabelPath], evidence: LabelEvidence) -> Ruling | None:
    recorded = example.label_path
    ours = answers[CANDIDATE]
    others = [path for name, path in answers.items() if name != CANDIDATE and path]
    supporting = others.count(recorded) + evidence.supporting
    finding: Finding
    if ours == recorded:
        agreed = others[0] if len(set(others)) == 1 and len(others) + 1 >= FEWEST_WITNESSES else recorded
        if agreed == recorded or supporting:
            return None
        finding, other, opposing = "right_by_doubtful_label", agreed, len(others)
    else:
        opposing = 1 + others.count(ours) if ours else 0
        finding, other = _finding(ours, others, supporting, opposing)
    return Ruling(example.record_id, finding, recorded, other, supporting, opposing, evidence, dict(answers))


def _finding(ours: LabelPath, others: Sequence[LabelPath], supporting: int, opposing: int) -> tuple[Finding, LabelPath]:
    # An answer that could not be read is the model's fault, whatever the label.
    if opposing <= 1 or supporting > opposing - 1:
        return "model_wrong", ()
    if not supporting and opposing == len(others) + 1 >= FEWEST_WITNESSES:
        return "label_wrong_likely", ours
    return "disputed", ours


_ORDER: tuple[Finding, ...] = ("label_wrong_likely", "right_by_doubtful_label", "disputed", "model_wrong")


def _rank(ruling: Ruling) -> tuple[int, int, float, str]:
    believed = [value for value in (ruling.evidence.confidence, ruling.evidence.neighbours) if value is not None]
    belief = sum(believed) / len(believed) if believed else _BELIEVED
    return (_ORDER.index(ruling.finding), -ruling.opposing, belief, ruling.record_id)


def court_section(
    examples: Sequence[Example],
    witnesses: Mapping[str, Mapping[str, LabelPath]],
    evidence: Mapping[str, LabelEvidence] | None = None,
) -> dict[str, Any]:
    """Return the section of the report; arguments as for `hold_court`.

    Returns:
        JSON: counts by ruling, what each witness would score if the doubted labels were others, and the first rows.
        `lowest` and `highest` of a score bound what it could be, were the court right on any of the rows it doubts.
    """
    rulings = hold_court(examples, witnesses, evidence)
    counts = Counter(ruling.finding for ruling in rulings)
    doubted = [ruling for ruling in rulings if ruling.finding != "model_wrong"]
    return {
        "rule": RULE,
        "rows": len(examples),
        "witnesses": list(witnesses),
        "evidence_rows": sum(example.example_id in (evidence or {}) for example in examples),
        "wrong_rows": len(rulings) - counts["right_by_doubtful_label"],
        "counts": {finding: counts[finding] for finding in _ORDER},
        "scores": {name: _bounds(name, given, examples, doubted) for name, given in witnesses.items()},
        "suspects": [_shown(ruling) for ruling in doubted[:_SHOWN]],
    }


def _bounds(
    name: str, given: Mapping[str, LabelPath], examples: Sequence[Example], doubted: Sequence[Ruling]
) -> dict[str, float] | None:
    if not examples:
        return None
    right = sum(given.get(example.example_id, ()) == example.label_path for example in examples)
    likely = lowest = highest = right
    for ruling in doubted:
        said = ruling.answers[name]
        now = said == ruling.recorded
        if ruling.finding == "label_wrong_likely":
            likely += (said == ruling.other) - now
        lowest -= now
        highest += said in ruling.possible and not now
    rows = len(examples)
    return {
        "now": right / rows,
        "if_likely_wrong_labels_are": likely / rows,
        "lowest": lowest / rows,
        "highest": highest / rows,
    }


def _shown(ruling: Ruling) -> dict[str, Any]:
    return {
        "record_id": ruling.record_id,
        "finding": ruling.finding,
        "recorded": " / ".join(ruling.recorded),
        "other": " / ".join(ruling.other),
        "supporting": ruling.supporting,
        "opposing": ruling.opposing,
        "confidence": ruling.evidence.confidence,
        "neighbours": ruling.evidence.neighbours,
    }


def court_markdown(section: Mapping[str, Any]) -> str:
    """Return the section as Markdown, without a line end at its end; "" where there is nothing to rule on.

    Args:
        section: what `court_section` returned, or the same read back from JSON.
    """
    counts = section["counts"]
    if not section["wrong_rows"] and not counts["right_by_doubtful_label"]:
        return ""
    told = (
        f"Of {section['wrong_rows']} rows that the candidate has wrong, {counts['model_wrong']} are the model's fault, "
        f"in **{counts['label_wrong_likely']} the label is likely wrong**, and {counts['disputed']} are disputed. "
        f"{counts['right_by_doubtful_label']} rows count as right by a doubtful label."
    )
    parts = ["### Is it the model or the label?", told, cell(section["rule"])]
    scores = [
        (
            cell(name),
            percent(score["now"]),
            percent(score["if_likely_wrong_labels_are"]),
            f"{percent(score['lowest'])} to {percent(score['highest'])}",
        )
        for name, score in section["scores"].items()
        if score
    ]
    parts.append(table(("", "as recorded", "if the likely ones are wrong", "bounds over all doubted rows"), scores))
    rows = [
        (
            cell(item["record_id"]),
            cell(item["finding"].replace("_", " ")),
            cell(item["recorded"]),
            cell(item["other"]),
            f"{item['opposing']} : {item['supporting']}",
            _share(item["neighbours"]),
            _share(item["confidence"]),
        )
        for item in section["suspects"]
    ]
    if rows:
        header = ("record", "ruling", "recorded", "witnesses say", "against : for", "similar rows", "believed")
        parts.append(table(header, rows))
    return "\n\n".join(parts)


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)
