"""The synthetic childcare observations: the shipped sample and unlabelled texts for pre-training.

Here belongs which observations the sample holds: how many of each label, the noisy, unseen and critical ones, and whose
they are. How a row is spelled belongs to `raw_rows.py`, what is broken on purpose to `dirt.py`, words to the phrase
bank. Everything is a pure function of the seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from itertools import count as numbers_from

from finetune_assets.datasets.synthetic.dirt import (
    ABSENT_LEVEL,
    CONFLICTING_COPIES,
    CONFLICTS,
    FLAWS,
    conflicting_copies,
    duplicate_lines,
    flawed_line,
    mislabelled,
)
from finetune_assets.datasets.synthetic.early_years import ABSENT_PAIRS, ATTRIBUTES, LEGAL_PAIRS, taxonomy
from finetune_assets.datasets.synthetic.raw_rows import Child, Row, children, line_of, new_fields
from finetune_assets.datasets.synthetic.texts import Draw, PhrasingSet, compose

SAMPLE_SEED = 2024
"""The seed of the sample that ships with the project."""

ROWS_PER_PAIR = 14
"""Clean rows in common phrasings for each (attribute, level) of the framework."""

NOISY_ROWS = 52
"""Rows with a wrong but legal label; 3 % of the rows in common phrasings."""

UNSEEN_ROWS = 120
"""Rows whose action and manner both occur in no other row."""

CRITICAL_ROWS = 40
"""Plain rows that a model must get right; part of the clean rows."""

_SAFE_CHOICES = 5

Pair = tuple[int, str]


def sample_lines(seed: int = SAMPLE_SEED) -> list[str]:
    """Return the lines of a sample, raw and dirty, in a random order, without line ends."""
    draw = Draw(f"sample:{seed}")
    rows = _plan(draw)
    for number, row in enumerate(draw.shuffled(rows), start=1):
        row.fields["observation_id"] = f"obs-{number:05d}"
    fresh = (f"obs-{number:05d}" for number in numbers_from(len(rows) + 1))
    clean = [row for row in rows if row.kind == "clean"]
    lines = [flawed_line(draw, row) if row.kind in FLAWS else line_of(row) for row in rows]
    lines += duplicate_lines(draw, clean, fresh)
    lines += conflicting_copies(draw, [row for row in rows if row.kind == CONFLICTS], fresh)
    return draw.shuffled(lines)


def sample_bytes(seed: int = SAMPLE_SEED) -> bytes:
    """Return the sample as a JSON Lines file (UTF-8)."""
    return "".join(f"{line}\n" for line in sample_lines(seed)).encode()


def noisy_record_ids(seed: int = SAMPLE_SEED) -> frozenset[str]:
    """Return the ids of the rows whose label is wrong on purpose: what a search for label errors must find."""
    draw = Draw(f"sample:{seed}")
    rows = draw.shuffled(_plan(draw))
    return frozenset(f"obs-{number:05d}" for number, row in enumerate(rows, start=1) if row.kind == "noisy")


def taxonomy_bytes() -> bytes:
    """Return the framework as an indented JSON file (UTF-8)."""
    return (json.dumps(taxonomy(), indent=2, ensure_ascii=False) + "\n").encode()


def unlabelled_texts(seed: int, count: int) -> Iterator[str]:
    """Yield observation texts in common phrasings, for pre-training; no label comes with them.

    Attributes and levels are drawn evenly. No text of the shipped sample occurs among them, so that a held-out row is
    never read in pre-training.

    Args:
        seed: names the stream; equal seeds give equal texts.
        count: how many texts, 0 or more.

    Yields:
        One text of one to three sentences.
    """
    taken = _sample_texts()
    draw = Draw(f"unlabelled:{seed}")
    while count > 0:
        text = compose(draw, *draw.one(LEGAL_PAIRS))
        if text not in taken:
            count -= 1
            yield text


@cache
def _sample_texts() -> frozenset[str]:
    return frozenset(str(row.fields["notes"]) for row in _plan(Draw(f"sample:{SAMPLE_SEED}")))


def _plan(draw: Draw) -> list[Row]:
    """Return every row before its id, its spelling and its dirt."""
    critical_pairs, ordinary_pairs = _critical_split(draw)
    noisy_pairs = _evenly(draw, LEGAL_PAIRS, NOISY_ROWS)
    unseen_pairs = _evenly(draw, LEGAL_PAIRS, UNSEEN_ROWS)
    extra = [(kind, pair) for kind, pairs in _extra_pairs(draw) for pair in pairs]
    common = [("clean", pair) for pair in ordinary_pairs] + [("noisy", pair) for pair in noisy_pairs] + extra
    # Critical and unseen rows have children of their own: a leak group then never draws an ordinary row into a slice.
    numbers = numbers_from(1)
    texts: set[str] = set()
    return [
        *_rows(draw, common, numbers, texts),
        *_rows(draw, [("critical", pair) for pair in critical_pairs], numbers, texts),
        *_rows(draw, [("unseen", pair) for pair in unseen_pairs], numbers, texts),
    ]


def _critical_split(draw: Draw) -> tuple[list[Pair], list[Pair]]:
    """Divide the clean rows: two critical rows for each level of safety, the others over all strands and levels."""
    safety = [(_SAFE_CHOICES, level) for level in ATTRIBUTES[_SAFE_CHOICES].levels]
    others = draw.shuffled([attribute for attribute in ATTRIBUTES.values() if attribute.id != _SAFE_CHOICES])
    turns = [(turn, others[turn % len(others)]) for turn in range(CRITICAL_ROWS - 2 * len(safety))]
    critical = safety * 2 + [(other.id, other.levels[turn % len(other.levels)]) for turn, other in turns]
    ordinary = [pair for pair in LEGAL_PAIRS for _ in range(ROWS_PER_PAIR - critical.count(pair))]
    return critical, ordinary


def _extra_pairs(draw: Draw) -> list[tuple[str, list[Pair]]]:
    """Return the labels of the rows that will be broken or contradicted, by kind."""
    conflicts = [(CONFLICTS, _evenly(draw, LEGAL_PAIRS, CONFLICTING_COPIES))]
    return conflicts + [
        (kind, _evenly(draw, ABSENT_PAIRS if kind == ABSENT_LEVEL else LEGAL_PAIRS, flaw.rows))
        for kind, flaw in FLAWS.items()
    ]


def _evenly(draw: Draw, pairs: tuple[Pair, ...] | list[Pair], rows: int) -> list[Pair]:
    """Return `rows` pairs, each as often as any other up to one."""
    rounds = -(-rows // len(pairs))
    return [pair for _ in range(rounds) for pair in draw.shuffled(pairs)][:rows]


def _rows(draw: Draw, wanted: list[tuple[str, Pair]], numbers: Iterator[int], texts: set[str]) -> list[Row]:
    """Return one row for each wanted (kind, pair), whose text is not among `texts` yet, and add it there."""
    owners = children(draw, len(wanted), numbers)
    return [_row(draw, kind, pair, owner, texts) for (kind, pair), owner in zip(wanted, owners, strict=True)]


def _row(draw: Draw, kind: str, pair: Pair, child: Child, texts: set[str]) -> Row:
    phrasing_set: PhrasingSet = "unseen" if kind == "unseen" else "common"
    plain = kind == "critical"
    text = compose(draw, *pair, name=child.name, phrasing_set=phrasing_set, plain=plain)
    while text in texts:
        text = compose(draw, *pair, name=child.name, phrasing_set=phrasing_set, plain=plain)
    texts.add(text)
    attribute_id, level = mislabelled(draw, pair) if kind == "noisy" else pair
    fields = new_fields(draw, child, text, ATTRIBUTES[attribute_id], level, described=kind == "clean", plain=plain)
    fields["phrasing_set"] = phrasing_set
    if kind == "critical":
        fields["critical"] = True
    return Row(kind=kind, fields=fields, spelling=draw.between(0, 3))
