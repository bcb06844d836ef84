"""Language: rows in another language than the task's, or than the row itself states."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from finetune_assets.datasets.languages import rate_language
from finetune_assets.datasets.quality.config import LanguageConfig
from finetune_assets.datasets.quality.finding import QualityFinding, not_applicable
from finetune_assets.datasets.quality.rows import Row, asked, leaves, written_rows

# BCP 47: the language comes first; regions and scripts say nothing about its words.
_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_][\w-]*)?\Z")

STATED = "stated_language"
"""The fact of an example that names its language."""


def other_languages(folder: Path, config: LanguageConfig, languages: list[str], *, free_text: bool) -> QualityFinding:
    """Find rows in another language.

    A row that states its language (the fact `stated_language`) is held against it, any other against `languages`.
    Input and free-text target are judged each by itself; targets of JSON by their texts joined.

    Args:
        folder: the split dataset.
        config: how sure the detector must be, and the limit.
        languages: the task's languages.
        free_text: False where targets are labels.

    Returns:
        The share of rows in another language among those that could be judged.

    Raises:
        OSError: when the file cannot be read.
    """
    finding = QualityFinding()
    found: Counter[str] = Counter()
    judged = 0
    for row in written_rows(folder):
        stated = _code(row["facts"].get(STATED))
        expected = [stated] if stated else languages
        texts = [text for text in _texts(row, free_text=free_text) if len(text[1]) >= config.min_length]
        if not expected or not texts:
            continue
        judged += 1
        others = {}
        for name, text in texts:
            language, confidence = rate_language(text)
            found[language] += 1
            if language not in expected and confidence >= config.min_confidence:
                others[name] = language
        if others:
            problem = f"reads as {', '.join(sorted(set(others.values())))}, expected {', '.join(expected)}"
            finding.note(row, field=", ".join(others), problem=problem)
    if not judged:
        return not_applicable("no row states its language and `quality.languages` is empty, or all texts are too short")
    share = finding.flagged / judged
    finding.passed = share <= config.max_other_share
    finding.numbers = {
        "judged": judged,
        "other_language_rows": finding.flagged,
        "other_language_share": round(share, 6),
    }
    spoken = ", ".join(f"{name} {count}" for name, count in found.most_common(5))
    finding.summary = (
        f"{finding.flagged} of {judged} judged rows are in another language ({share:.1%}; "
        f"at most {config.max_other_share:.0%}); texts by language: {spoken}"
    )
    return finding


def _code(stated: object) -> str:
    """Return the language of a tag such as `en-GB` or `EN`; "" where there is none, or a name that is no tag."""
    tag = _TAG.match(stated.strip()) if isinstance(stated, str) else None
    return tag[1].lower() if tag else ""


def _texts(row: Row, *, free_text: bool) -> list[tuple[str, str]]:
    texts = [("input", asked(row))]
    if free_text:
        texts.append(("target", " ".join(leaves(row["target"]))))
    return texts
