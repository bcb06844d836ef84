"""How answers about code are marked: explanations, reviews, code and templates.

`correct` is an answer that can be read (code must parse in its own language) and covers at least half of the
identifiers of the right one; where the right one names none, half of its words. An invalid answer counts as an empty
text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from finetune_assets.evaluation.metrics import code as metrics
from finetune_assets.evaluation.metrics.references import reference_note
from finetune_assets.records.example import Example
from finetune_assets.records.measure import Marks, Measure, Stats, mean, share
from finetune_assets.records.task_type import ParsedAnswer

MEASURES = (
    Measure("identifiers", "identifiers covered", "mean"),
    Measure("similarity", "words in common (Jaccard)", "mean"),
    Measure("edit_similarity", "similarity by edits", "mean"),
    Measure("parses", "code parses", "share"),
)

ENOUGH = 0.5
"""The share of identifiers that an answer must cover to count as correct."""


def strategy_of(example: Example) -> str:
    """Return what an example asks for: explanation, generation, review or template."""
    return example.label_path[0] if example.label_path else ""


def mark_code(examples: Sequence[Example], answers: Sequence[ParsedAnswer], targets: Sequence[str]) -> list[Marks]:
    """Mark answers about code, all rows in one alignment.

    `identifiers` is there only where the right answer names any, `parses` only where it is code.

    Args:
        examples: the questions.
        answers: one for each.
        targets: their right answers as a parsed answer holds them: code without its fence.
    """
    given = [answer_text(answer) for answer in answers]
    edits = metrics.edit_similarities(targets, given)
    rows = zip(examples, targets, given, edits, strict=True)
    return [_marks(*row) for row in rows]


def answer_text(answer: ParsedAnswer) -> str:
    """Return what an answer says, "" for one that cannot be read; a template as compact JSON."""
    if not answer.valid:
        return ""
    value = answer.value
    if isinstance(value.get("template"), dict):
        return json.dumps(value["template"], ensure_ascii=False, separators=(",", ":"))
    text = value.get("code", value.get("answer"))
    return text if isinstance(text, str) else ""


def _marks(example: Example, target: str, text: str, edit_similarity: float) -> Marks:
    strategy = strategy_of(example)
    wanted = identifiers_of(strategy, target)
    found, similarity = metrics.covered(wanted, text), metrics.word_similarity(target, text)
    stats: dict[str, Stats] = {"similarity": mean(similarity), "edit_similarity": mean(edit_similarity)}
    notes: dict[str, Any] = {"strategy": strategy}
    if found is not None:
        stats["identifiers"] = mean(found)
        notes["identifiers_missing"] = round(len(wanted) * (1 - found))
    if strategy == "generation":
        # An answer whose code does not parse is invalid, and its text is empty here.
        stats["parses"] = share(bool(text))
    correct = bool(text) and (similarity if found is None else found) >= ENOUGH
    references = reference_note(target, identifiers=sorted(wanted), parses=None)
    return Marks(correct, stats, notes | references)


def identifiers_of(strategy: str, text: str) -> frozenset[str]:
    """Return the identifiers of a right answer, read as its kind is written."""
    if strategy == "generation":
        return metrics.identifiers_in_code(text)
    if strategy == "template":
        return metrics.identifiers_in_code("\n".join(_texts(json.loads(text))))
    return metrics.identifiers_in_prose(text)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a JSON value; its keys are every template's."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
