"""The language of a text, by py3langid: a model of 97 languages that comes with the package."""

from __future__ import annotations

import functools
from typing import Any

UNDETERMINED = "und"
"""ISO 639's code for a language that is not known."""

# Of a long text the beginning decides; the cost grows with the length.
_READ_CHARACTERS = 1_000
# Below this share of the likelihood, texts such as `1 kWh = 3.6 MJ` come out as whichever language is first.
_MIN_CONFIDENCE = 0.5


def detect_language(text: str) -> str:
    """Return the ISO 639-1 code of the language that a text is written in, for instance `en`.

    Args:
        text: any text; its first 1,000 characters are read.

    Returns:
        The code; `und` for a text too short, or too much of figures, to tell (likelihood below 0.5).
    """
    return rate_language(text)[0]


def rate_language(text: str) -> tuple[str, float]:
    """Return the language as `detect_language` does, and its likelihood from 0 to 1."""
    language, confidence = _identifier().classify(text[:_READ_CHARACTERS])
    return str(language), float(confidence)


@functools.lru_cache(maxsize=1)
def _identifier() -> Any:
    """Load the model, half a second, once."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_MIN_CONFIDENCE)
