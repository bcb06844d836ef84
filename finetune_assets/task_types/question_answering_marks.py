"""How free-text answers to questions are marked.

`correct` is an answer equal to the right one in the form `lower_space/1`, or, where the record names keywords, one that
holds all of them. An invalid answer counts as an empty text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from finetune_assets.evaluation.metrics import texts
from finetune_assets.evaluation.metrics.references import reference_note
from finetune_assets.records.example import Example
from finetune_assets.records.measure import Marks, Measure, Stats, mean, share
from finetune_assets.records.task_type import ParsedAnswer

MEASURES = (
    Measure("token_f1", "token F1", "mean"),
    Measure("exact", "answer equal", "share"),
    Measure("rouge_l", "ROUGE-L", "mean"),
    Measure("bleu", "BLEU (0 to 1)", "corpus", width=texts.BLEU_WIDTH, finish=texts.bleu),
    Measure("chrf", "chrF2 (0 to 1)", "corpus", width=texts.CHRF_WIDTH, finish=texts.chrf),
    Measure("keywords", "expected keywords found", "mean"),
)

_SEPARATOR = re.compile(r"[,;\n]")


def keywords_of(facts: Any) -> list[str]:
    """Return the keywords that a record expects in its answer: a list, or one text with commas or semicolons."""
    found = facts.get("expected_keywords")
    found = _SEPARATOR.split(found) if isinstance(found, str) else found
    items = found if isinstance(found, list) else []
    return [item for item in items if isinstance(item, str) and item.strip()]


def mark_answers(examples: Sequence[Example], answers: Sequence[ParsedAnswer]) -> list[Marks]:
    """Mark the answers to questions, row by row.

    `keywords` is there for rows with expected keywords only, `rouge_l` for rows whose right answer has a Latin letter
    or a digit: ROUGE sees no others.

    Args:
        examples: the questions; `facts.expected_keywords` are words that a good answer holds.
        answers: one for each.
    """
    targets = [example.target for example in examples]
    given = [_text(answer) for answer in answers]
    corpus = zip(texts.bleu_statistics(targets, given), texts.chrf_statistics(targets, given), strict=True)
    rows = zip(examples, given, corpus, strict=True)
    return [_marks(example, text, *statistics) for example, text, statistics in rows]


def _marks(example: Example, text: str, bleu: Stats, chrf: Stats) -> Marks:
    wanted = keywords_of(example.facts)
    rouge, found = texts.rouge_l(example.target, text), texts.keyword_share(wanted, text)
    exact = bool(text) and texts.exact_match(example.target, text)
    stats: dict[str, Stats] = {
        "token_f1": mean(texts.token_f1(example.target, text)),
        "exact": share(exact),
        "bleu": bleu,
        "chrf": chrf,
    }
    if rouge is not None:
        stats["rouge_l"] = mean(rouge)
    notes: dict[str, Any] = {}
    if found is not None:
        stats["keywords"] = mean(found)
        notes["keywords_missing"] = round(len(set(map(texts.normalised, wanted))) * (1 - found)) if found < 1 else 0
    if (ratio := texts.length_ratio(example.target, text)) is not None:
        notes["length_ratio"] = round(ratio, 3)
    references = reference_note(example.target, keywords=sorted(wanted) or None)
    return Marks(exact or found == 1.0, stats, notes | references)


def _text(answer: ParsedAnswer) -> str:
    """Return the answer's text, "" for one that cannot be read."""
    text = answer.value.get("answer") if answer.valid else None
    return text if isinstance(text, str) else ""
