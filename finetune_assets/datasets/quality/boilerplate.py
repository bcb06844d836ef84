"""Boilerplate: free-text targets that say the same whatever was asked, and targets that nobody filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from finetune_assets.datasets.quality.config import BoilerplateConfig
from finetune_assets.datasets.quality.finding import QualityFinding, not_applicable, unmeasured
from finetune_assets.datasets.quality.frequent import FrequentItems
from finetune_assets.datasets.quality.rows import Row, leaves, sentences, short_hash, written_rows

# Marks of a text that was to be written later. TODO and its kin only as the source writes them: in capitals.
_PLACEHOLDERS = re.compile(
    r"(?i:\[\s*(?:placeholder|insert|your|add|fill in)\b[^\]\n]{0,80}\]|<\s*(?:placeholder|insert|your)\b[^>\n]{0,80}>"
    r"|\{\{\s*\w+\s*\}\}|\blorem ipsum\b"
    r"|\bplaceholder (?:text|content|answer)\b|\A\W*to be (?:added|determined|written|completed)\W*\Z)"
    r"|\b(?:TODO|FIXME|TBD|XXX)\b"
)
_MIN_ROWS = 20


@dataclass(slots=True)
class _Counts:
    rows: int
    targets: FrequentItems[bytes]
    sentences: FrequentItems[bytes]


def boilerplate(folder: Path, config: BoilerplateConfig, *, free_text: bool) -> QualityFinding:
    """Find repeated and unfinished targets.

    A target of JSON is read as the texts within it, so that one filler sentence in one of its keys is found. The limits
    on repetition need at least 20 rows; placeholders are looked for in any number.

    Args:
        folder: the split dataset.
        config: the limits.
        free_text: False where targets are labels, which repeat by their nature.

    Returns:
        The shares of the most frequent target, of the most frequent sentence and of rows with a placeholder.

    Raises:
        OSError: when the file cannot be read.
    """
    if not free_text:
        return not_applicable("the targets are labels, which repeat by their nature")
    counts = _count(folder, config)
    if not counts.rows:
        return unmeasured("there are no rows")
    target, target_rows = _most(counts.targets)
    sentence, sentence_rows = _most(counts.sentences)
    judged = counts.rows >= _MIN_ROWS
    same_target = target if judged and target_rows / counts.rows > config.max_target_share else b""
    same_sentence = sentence if judged and sentence_rows / counts.rows > config.max_sentence_share else b""
    finding = QualityFinding()
    unfinished = _note_rows(folder, config, finding, same_target, same_sentence)
    shares = {
        "most_frequent_target_share": target_rows / counts.rows,
        "most_frequent_sentence_share": sentence_rows / counts.rows,
        "placeholder_share": unfinished / counts.rows,
    }
    finding.numbers = {name: round(share, 6) for name, share in shares.items()}
    finding.passed = not (same_target or same_sentence) and shares["placeholder_share"] <= config.max_placeholder_share
    finding.summary = (
        f"of {counts.rows} targets the most frequent stands in {shares['most_frequent_target_share']:.1%} of the rows "
        f"(at most {config.max_target_share:.0%}), the most frequent sentence in "
        f"{shares['most_frequent_sentence_share']:.1%} (at most {config.max_sentence_share:.0%}); "
        f"{unfinished} rows hold a placeholder"
    )
    return finding


def _count(folder: Path, config: BoilerplateConfig) -> _Counts:
    counts = _Counts(0, FrequentItems(), FrequentItems())
    for row in written_rows(folder):
        counts.rows += 1
        counts.targets.add([short_hash(row["target"])])
        counts.sentences.add(_sentence_hashes(row, config))
    return counts


def _sentence_hashes(row: Row, config: BoilerplateConfig) -> set[bytes]:
    return {
        short_hash(sentence.casefold())
        for text in leaves(row["target"])
        for sentence in sentences(text)
        if len(sentence) >= config.min_sentence_length
    }


def _most(items: FrequentItems[bytes]) -> tuple[bytes, int]:
    found = items.most_common()
    return found[0] if found else (b"", 0)


def _note_rows(
    folder: Path, config: BoilerplateConfig, finding: QualityFinding, same_target: bytes, same_sentence: bytes
) -> int:
    """Note the rows behind the findings; return how many hold a placeholder."""
    unfinished = 0
    for row in written_rows(folder):
        problems = []
        if same_target and short_hash(row["target"]) == same_target:
            problems.append("the most frequent target")
        if same_sentence and same_sentence in _sentence_hashes(row, config):
            problems.append("the most frequent sentence")
        if any(_is_unfinished(text, config) for text in leaves(row["target"])):
            unfinished += 1
            problems.append("a placeholder")
        if problems:
            finding.note(row, field="target", problem="holds " + ", ".join(problems))
    return unfinished


def _is_unfinished(text: str, config: BoilerplateConfig) -> bool:
    lower = text.casefold()
    return bool(_PLACEHOLDERS.search(text)) or any(word.casefold() in lower for word in config.placeholders)
