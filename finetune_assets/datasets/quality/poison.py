"""Poison guard: signs that somebody steers the model by the rows that they contribute.

Two signs are looked for: one source that outweighs all others, and a rare phrase whose rows all hold one label although
the rest of their words speaks for another, which is what a planted trigger looks like. Most phrases tied to one label
are honest ("in Italian" asks for a translation): there the rest of the row agrees.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from finetune_assets.datasets.quality.config import PoisonConfig
from finetune_assets.datasets.quality.evidence import WordEvidence
from finetune_assets.datasets.quality.finding import QualityFinding, unmeasured
from finetune_assets.datasets.quality.frequent import FrequentItems
from finetune_assets.datasets.quality.rows import Row, asked, sampled, written_rows
from finetune_assets.evaluation.statistics.exact import holm

_WORD = re.compile(r"\w+")
_LONGEST_PHRASE = 3
_MIN_ROWS = 50
# A word is part of a phrase's disguise when it hardly occurs without it: a longer trigger then cannot vouch for itself.
_COMPANION_SHARE = 0.8
# How many times likelier than its own label another must be by the rest of a row: a trigger leaves that rest whole,
# while the rest of an honest row is vague. Of the 3,386 tied phrases of CLINC150, which are honest, a factor of 1,000
# leaves 4 and this one none; planted triggers pass both.
_MARGIN = 100_000.0
_FILE = "file"


@dataclass(frozen=True, slots=True)
class _Phrase:
    words: tuple[str, ...]
    label: str
    rows: tuple[int, ...]
    occurrences: int
    p_value: float


def poison(
    folder: Path, config: PoisonConfig, records: Path | None = None, *, show_phrases: bool = False
) -> QualityFinding:
    """Look for sources that outweigh all others and for phrases that act like triggers.

    Args:
        folder: the split dataset.
        config: the limits.
        records: the raw records, for `source_fields`; None counts files alone.
        show_phrases: True where the texts are synthetic. Otherwise a phrase, which a person may have written, is shown
            as the first 12 hex digits of its SHA-256 beside the ids of its rows, where it can be looked up.

    Returns:
        The largest share of any source, the phrases tied to one label, and those of them that the rest of their rows
        contradicts.

    Raises:
        OSError: when a file cannot be read.
    """
    rows, total = sampled(folder, config.max_rows)
    if len(rows) < _MIN_ROWS:
        return unmeasured(f"{len(rows)} rows, at least {_MIN_ROWS} are needed")
    finding = QualityFinding()
    largest, spoken = _sources(folder, records, config, finding)
    tied, suspicious = _phrases(rows, config)
    for phrase in suspicious:
        text = " ".join(phrase.words)
        finding.note(
            rows[phrase.rows[0]],
            field="phrase",
            problem=f"{len(phrase.words)} words, {text if show_phrases else _digest(text)}",
            label=phrase.label,
            rows=phrase.occurrences,
            of_label=len(phrase.rows),
            p_value=phrase.p_value,
            record_ids=", ".join(rows[row]["record_id"] for row in phrase.rows[:5]),
        )
    finding.passed = largest <= config.max_source_share and len(suspicious) <= config.max_phrases
    finding.numbers = {
        "largest_source_share": round(largest, 6),
        "tied_phrases": tied,
        "suspicious_phrases": len(suspicious),
    }
    read = "" if len(rows) == total else f" in {len(rows)} of {total} rows, drawn by content"
    finding.summary = (
        f"{spoken} (at most {config.max_source_share:.0%}); {tied} rare phrases are tied to one label{read}, "
        f"{len(suspicious)} of them against the rest of their rows (at most {config.max_phrases})"
    )
    return finding


def _digest(text: str) -> str:
    return "sha256 " + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _sources(folder: Path, records: Path | None, config: PoisonConfig, finding: QualityFinding) -> tuple[float, str]:
    """Return the largest share of a source among several, and words for it."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in written_rows(folder):
        counts[_FILE][row["source"]["file"]] += 1
    if records is not None and config.source_fields:
        for fields in _fields(records):
            for name in config.source_fields:
                value = fields.get(name)
                if value is not None and str(value).strip():
                    counts[name][str(value)] += 1
    shares = {}
    for name, values in counts.items():
        value, rows = values.most_common(1)[0]
        if len(values) > 1:
            shares[name] = rows / values.total()
            if shares[name] > config.max_source_share:
                shown = value if name == _FILE else _digest(value)
                finding.note(None, field=name, problem=f"{shown} gives {shares[name]:.1%} of the rows", rows=rows)
    if not shares:
        return 0.0, "one source"
    name = max(shares, key=lambda key: shares[key])
    return shares[name], f"the largest {name} of {len(counts[name])} gives {shares[name]:.1%} of the rows"


def _fields(records: Path) -> Iterable[Mapping[str, Any]]:
    with records.open("rb") as lines:
        for line in lines:
            yield orjson.loads(line)["fields"]


def _phrases(rows: Sequence[Row], config: PoisonConfig) -> tuple[int, list[_Phrase]]:
    """Return how many rare phrases are tied to one label, and those that the rest of their rows contradicts."""
    labels = [row["label"] for row in rows]
    label_rows = Counter(labels)
    if len(label_rows) < 2:
        return 0, []
    words = [_WORD.findall(asked(row).casefold()) for row in rows]
    tied = _tied(_occurrences(words, config), labels, label_rows, config)
    if not tied:
        return 0, []
    outer = _outermost(rows)
    evidence = WordEvidence(words, outer, margin=_MARGIN)
    found = [phrase for phrase in tied if _is_contradicted(phrase, words, outer, evidence)]
    return len(tied), _longest(found)


def _occurrences(words: Sequence[list[str]], config: PoisonConfig) -> dict[tuple[str, ...], list[int]]:
    """Return the rows of each phrase that is neither too rare nor too common."""
    frequent: FrequentItems[tuple[str, ...]] = FrequentItems()
    for row in words:
        frequent.add(_ngrams(row))
    most = max(config.min_phrase_rows, int(config.max_phrase_share * len(words)))
    wanted = {phrase for phrase, count in frequent.most_common(config.min_phrase_rows) if count <= most}
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(words):
        for phrase in sorted(_ngrams(row) & wanted):
            found[phrase].append(number)
    return found


def _ngrams(words: Sequence[str]) -> set[tuple[str, ...]]:
    return {
        tuple(words[start : start + length])
        for length in range(1, _LONGEST_PHRASE + 1)
        for start in range(len(words) - length + 1)
    }


def _tied(
    occurrences: Mapping[tuple[str, ...], list[int]],
    labels: Sequence[str],
    label_rows: Mapping[str, int],
    config: PoisonConfig,
) -> list[_Phrase]:
    """Return the phrases whose rows hold one label more often than chance allows, by the exact binomial and Holm."""
    if not occurrences:
        return []
    from scipy.special import betainc

    pure: list[_Phrase] = []
    for phrase, members in occurrences.items():
        label, count = min(Counter(labels[row] for row in members).items(), key=lambda item: (-item[1], item[0]))
        if count < config.min_purity * len(members):
            continue
        share = label_rows[label] / len(labels)
        # P(X >= count) for X ~ Binomial(rows of the phrase, share of the label), by the incomplete beta function.
        tail = float(betainc(count, len(members) - count + 1, share)) if share < 1 else 1.0
        holding = tuple(row for row in members if labels[row] == label)
        pure.append(_Phrase(phrase, label, holding, len(members), tail))
    # All phrases were looked at, so all count: those that are not pure enter with p = 1.
    adjusted = holm([phrase.p_value for phrase in pure] + [1.0] * (len(occurrences) - len(pure)))
    return [phrase for phrase, p_value in zip(pure, adjusted, strict=False) if p_value <= config.alpha]


def _outermost(rows: Sequence[Row]) -> list[str]:
    """Return each row's label at the outermost level that has several.

    Labels within one area share their words, so that the rest of an honest row often speaks for a sister label; a
    planted trigger draws rows of other areas too.
    """
    paths = [row["label_path"] for row in rows]
    levels = zip(*paths, strict=False)
    return next((list(values) for values in levels if len(set(values)) > 1), [row["label"] for row in rows])


def _is_contradicted(phrase: _Phrase, words: Sequence[list[str]], outer: Sequence[str], evidence: WordEvidence) -> bool:
    """Return True when the rest of most of the phrase's rows speaks for other labels."""
    shared = Counter(word for row in phrase.rows for word in set(words[row]))
    companions = {
        word
        for word, count in shared.items()
        if count >= _COMPANION_SHARE * len(phrase.rows) and count >= _COMPANION_SHARE * evidence.rows_with(word)
    }
    hidden = companions.union(phrase.words)
    return evidence.against(outer[phrase.rows[0]], phrase.rows, hidden) > len(phrase.rows) / 2


def _longest(phrases: Sequence[_Phrase]) -> list[_Phrase]:
    """Drop phrases whose rows another one of more words explains: of `a`, `a b` and `a b c` one trigger is told."""
    kept: list[_Phrase] = []
    for phrase in sorted(phrases, key=lambda item: (-len(item.words), item.p_value, item.words)):
        if not any(set(phrase.rows) <= set(other.rows) or set(other.rows) <= set(phrase.rows) for other in kept):
            kept.append(phrase)
    return sorted(kept, key=lambda item: (item.p_value, item.words))
