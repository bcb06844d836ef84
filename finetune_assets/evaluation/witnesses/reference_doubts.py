"""Doubtful references of free text: rows where contenders agree with each other and differ from the reference.

The counterpart of the label court for answers that are no labels. Contenders of one base model share its faults, so
that agreement is a reason to look, not a proof. Record ids and figures alone; no text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from finetune_assets.evaluation.markdown_table import cell, table
from finetune_assets.evaluation.wording import percent
from finetune_assets.records.example import Example

AGREE_FROM = 0.9
DIFFER_BELOW = 0.6
_SHOWN = 50
# Texts beyond this are compared by their beginnings: the comparison takes time by the product of the lengths.
_MOST_CHARACTERS = 20_000


def reference_section(examples: Sequence[Example], answers: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return the section of the report.

    Likeness is that of `rapidfuzz.fuzz.ratio` over the texts in lower case with single spaces: twice the characters of
    the longest common subsequence over all characters.

    Args:
        examples: the test set.
        answers: texts by example id, by name of the contender; one that is absent or blank is no answer.

    Returns:
        JSON: how many rows at least two contenders answered, and the rows where all that answered are alike (0.9 or
        more, each two of them) and none is like the reference (below 0.6), the most alike first.
    """
    from rapidfuzz.fuzz import ratio

    heard, found = 0, []
    for example in examples:
        key = example.example_id
        given = [plain for texts in answers.values() if (plain := _plain(texts.get(key, "")))]
        if len(given) < 2:
            continue
        heard += 1
        reference = _plain(example.target)
        to_reference = max(ratio(text, reference) for text in given) / 100
        if to_reference >= DIFFER_BELOW:
            continue
        agreement = min(ratio(one, other) for one, other in combinations(given, 2)) / 100
        if agreement >= AGREE_FROM:
            found.append((-len(given), -agreement, to_reference, example.record_id))
    rows = [
        {"record_id": record, "contenders": -count, "agreement": -agreement, "likeness_to_reference": likeness}
        for count, agreement, likeness, record in sorted(found)
    ]
    return {
        "rows": len(examples),
        "heard": heard,
        "contenders": list(answers),
        "agree_from": AGREE_FROM,
        "differ_below": DIFFER_BELOW,
        "doubted": len(rows),
        "suspects": rows[:_SHOWN],
    }


def _plain(text: str) -> str:
    return " ".join(text[:_MOST_CHARACTERS].lower().split())


def reference_markdown(section: Mapping[str, Any]) -> str:
    """Return the section as Markdown, without a line end at its end; "" where no reference is doubted."""
    if not section["doubted"]:
        return ""
    rows = [
        (
            cell(item["record_id"]),
            str(item["contenders"]),
            percent(item["agreement"]),
            percent(item["likeness_to_reference"]),
        )
        for item in section["suspects"]
    ]
    told = (
        f"In {section['doubted']} of {section['heard']} rows the contenders agree with each other and not with the "
        "reference. Models of one base share faults: look at these references, nothing is proven."
    )
    header = ("record", "contenders", "alike", "like the reference")
    return "\n\n".join(["### Doubtful references", told, table(header, rows)])
