"""The error detector: heuristic signs that a transcript is wrong, without knowing what was said.

A pure function of the transcript, its length in seconds and the recogniser's confidence, where these are known.
Signals, confidences and limits are those of the speech source's own detector; all of them are configuration.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SignalType = Literal[
    "empty_transcript",
    "too_short",
    "length_anomaly_long",
    "length_anomaly_short",
    "repeated_chars",
    "special_chars",
    "low_confidence",
    "unusual_word_pattern",
    "all_caps",
    "no_punctuation",
]
Confidence = Annotated[float, Field(ge=0.0, le=1.0)]

CONFIDENCES: Mapping[SignalType, float] = {
    "empty_transcript": 0.9,
    "too_short": 0.8,
    "length_anomaly_long": 0.7,
    "length_anomaly_short": 0.7,
    "repeated_chars": 0.8,
    "special_chars": 0.6,
    "low_confidence": 0.9,
    "unusual_word_pattern": 0.5,
    "all_caps": 0.4,
    "no_punctuation": 0.3,
}
"""How sure each signal is that the transcript is wrong, unless the configuration says otherwise."""

_PUNCTUATION = frozenset(".,!?;:…。，！？；：")


class DetectorConfig(BaseModel):
    """Limits and confidences of the error detector."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_characters: int = Field(default=3, ge=0, description="A shorter transcript is `too_short`.")
    characters_per_second: float = Field(
        default=2.5,
        gt=0.0,
        description="Characters expected for a second of audio. The default is the source's; fluent English has 12 to "
        "15, so set it to what your speakers do where the audio's length is known.",
    )
    long_ratio: float = Field(
        default=3.0, gt=1.0, description="More than so many times the expected length is `length_anomaly_long`."
    )
    short_ratio: float = Field(
        default=0.1,
        ge=0.0,
        lt=1.0,
        description="Less than this share of the expected length: `length_anomaly_short`.",
    )
    repeated_run: int = Field(default=4, ge=2, description="So many equal characters in a row are `repeated_chars`.")
    ordinary_signs: str = Field(
        default=".,!?;:'\"-’‘“”–—…",
        description="Signs besides letters, digits and white space that a transcript may hold; any other is "
        "`special_chars`.",
    )
    min_confidence: Confidence = Field(
        default=0.3, description="A recogniser's confidence below this is `low_confidence`."
    )
    short_word_characters: int = Field(default=2, ge=1, description="Words of at most so many characters are short.")
    short_word_share: Confidence = Field(
        default=0.5, description="A larger share of short words is `unusual_word_pattern`."
    )
    all_caps_characters: int = Field(
        default=10, ge=0, description="A longer transcript in capitals only is `all_caps`."
    )
    unpunctuated_characters: int = Field(
        default=50, ge=0, description="A longer transcript without punctuation is `no_punctuation`."
    )
    confidences: dict[SignalType, Confidence] = Field(
        default_factory=dict, description="Signal to its confidence (0 to 1), where it differs from the default."
    )


@dataclass(frozen=True, slots=True)
class Signal:
    """One sign of an error.

    Attributes:
        type: which.
        confidence: how sure it is, 0 to 1.
    """

    type: SignalType
    confidence: float

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"type": self.type, "confidence": self.confidence}


@dataclass(frozen=True, slots=True)
class Detection:
    """What the detector says of one transcript.

    Attributes:
        signals: in the order of `CONFIDENCES`; empty when nothing looks wrong.
        score: mean confidence of the signals (0 to 1); 0 without any.
    """

    signals: tuple[Signal, ...]

    @property
    def score(self) -> float:
        """Mean confidence of the signals, 0 to 1; 0 without any."""
        if not self.signals:
            return 0.0
        return round(sum(signal.confidence for signal in self.signals) / len(self.signals), 6)


@dataclass(frozen=True, slots=True)
class _Heard:
    """One transcript, trimmed, with what is known beside it; None for what is not."""

    text: str
    seconds: float | None
    confidence: float | None

    def length_ratio(self, config: DetectorConfig) -> float | None:
        """Characters over the characters that the audio's length lets expect."""
        if self.seconds is None or self.seconds <= 0 or not self.text:
            return None
        return len(self.text) / (self.seconds * config.characters_per_second)


def _is_long(heard: _Heard, config: DetectorConfig) -> bool:
    ratio = heard.length_ratio(config)
    return ratio is not None and ratio > config.long_ratio


def _is_short_for_its_audio(heard: _Heard, config: DetectorConfig) -> bool:
    ratio = heard.length_ratio(config)
    return ratio is not None and ratio < config.short_ratio


def _has_run(heard: _Heard, config: DetectorConfig) -> bool:
    return re.search(rf"(\S)\1{{{config.repeated_run - 1}}}", heard.text) is not None


def _has_special_signs(heard: _Heard, config: DetectorConfig) -> bool:
    signs = set(re.sub(r"[^\W_]|\s", "", heard.text)).difference(config.ordinary_signs)
    # Combining marks belong to the letters of many scripts.
    return any(unicodedata.category(sign)[0] != "M" for sign in signs)


def _has_low_confidence(heard: _Heard, config: DetectorConfig) -> bool:
    return heard.confidence is not None and heard.confidence < config.min_confidence


def _has_many_short_words(heard: _Heard, config: DetectorConfig) -> bool:
    words = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", heard.text)
    short = sum(len(word) <= config.short_word_characters for word in words)
    return bool(words) and short / len(words) > config.short_word_share


def _is_all_caps(heard: _Heard, config: DetectorConfig) -> bool:
    return len(heard.text) > config.all_caps_characters and heard.text.isupper()


def _lacks_punctuation(heard: _Heard, config: DetectorConfig) -> bool:
    return len(heard.text) > config.unpunctuated_characters and _PUNCTUATION.isdisjoint(heard.text)


_TESTS: Mapping[SignalType, Callable[[_Heard, DetectorConfig], bool]] = {
    "empty_transcript": lambda heard, _: not heard.text,
    "too_short": lambda heard, config: 0 < len(heard.text) < config.min_characters,
    "length_anomaly_long": _is_long,
    "length_anomaly_short": _is_short_for_its_audio,
    "repeated_chars": _has_run,
    "special_chars": _has_special_signs,
    "low_confidence": _has_low_confidence,
    "unusual_word_pattern": _has_many_short_words,
    "all_caps": _is_all_caps,
    "no_punctuation": _lacks_punctuation,
}


def detect_errors(
    transcript: str, config: DetectorConfig, *, seconds: float | None = None, confidence: float | None = None
) -> Detection:
    """Look for signs that a transcript is wrong.

    Args:
        transcript: what the recogniser wrote.
        config: limits and confidences.
        seconds: length of the audio; None where unknown, and then no length is an anomaly.
        confidence: the recogniser's own confidence (0 to 1); None where unknown.

    Returns:
        The signals and their score.
    """
    heard = _Heard(transcript.strip(), seconds, confidence)
    return Detection(
        tuple(
            Signal(name, config.confidences.get(name, CONFIDENCES[name]))
            for name, is_wrong in _TESTS.items()
            if is_wrong(heard, config)
        )
    )
