"""Error cases from a template: sentences, and what a recogniser might have made of them.

The errors are those of the speech sample (`datasets/synthetic/speech.py`): confused words, gaps, fillers, spelling. The
sentences are a person's own passages where they are given, else the sample's. No recording stands behind a case.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from finetune_assets.datasets.synthetic.speech import misheard, new_sentence
from finetune_assets.datasets.synthetic.texts import Draw

TEMPLATE = "template-transcripts/1"
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_FEWEST_WORDS = 3
_DRAWS_FOR_ONE = 50


def template_transcripts(
    passages: Sequence[str], legal: Collection[str], seed: int, count: int
) -> list[dict[str, Any]]:
    """Return up to `count` error cases, no two of them with one transcript.

    Args:
        passages: texts whose sentences are spoken, in turn; none for those of the sample.
        legal: error types that may be named; empty allows any.
        seed: decides sentences and errors.
        count: cases wanted.
    """
    draw = Draw(f"transcripts:{seed}")
    said = [" ".join(part.split()) for passage in passages for part in _SENTENCE.split(passage)]
    said = [text for text in dict.fromkeys(said) if len(text.split()) >= _FEWEST_WORDS]
    taken: set[str] = set()
    rows: dict[str, dict[str, Any]] = {}
    for number in range(0 if passages and not said else count):
        text = said[number % len(said)] if said else new_sentence(draw, taken)
        tries = (misheard(draw, text) for _ in range(_DRAWS_FOR_ONE))
        found = next((one for one in tries if one[0] != text and one[0] not in rows and _fits(one, legal)), None)
        if found is not None:
            rows[found[0]] = {
                "case_id": f"template_{seed}_{number:05d}",
                "original_transcript": found[0],
                "corrected_transcript": text,
                "error_types": found[1],
            }
    return list(rows.values())


def _fits(found: tuple[str, list[str]], legal: Collection[str]) -> bool:
    text, errors = found
    return bool(text) and (not legal or set(errors) <= set(legal))
