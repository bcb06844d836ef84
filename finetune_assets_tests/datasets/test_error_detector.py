from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_assets.datasets.transcripts.error_detector import CONFIDENCES, DetectorConfig, detect_errors

USUAL = DetectorConfig()


def types(text: str, config: DetectorConfig = USUAL, **known: float) -> list[str]:
    return [signal.type for signal in detect_errors(text, config, **known).signals]


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("The cat sat down.", {}, []),
        ("", {}, ["empty_transcript"]),
        (" \n", {}, ["empty_transcript"]),
        ("", {"seconds": 4.0, "confidence": 0.1}, ["empty_transcript", "low_confidence"]),
        ("cat", {}, []),
        ("No", {}, ["too_short", "unusual_word_pattern"]),
        ("The cat sat down.", {"seconds": 2.0}, ["length_anomaly_long"]),
        ("The cat sat down.", {"seconds": 2.5}, []),
        ("The cat sat down.", {"seconds": 70.0}, ["length_anomaly_short"]),
        ("The cat sat down.", {"seconds": 60.0}, []),
        ("The cat sat down.", {"seconds": 0.0}, []),
        ("The caaat sat down.", {}, []),
        ("The caaaat sat down.", {}, ["repeated_chars"]),
        ("The cat # sat down.", {}, ["special_chars"]),
        ("It’s “fine” – yes, the naïve cafe\u0301…", {}, []),
        ("The cat sat down.", {"confidence": 0.29}, ["low_confidence"]),
        ("The cat sat down.", {"confidence": 0.3}, []),
        ("Is it so, or did we?", {}, ["unusual_word_pattern"]),
        ("Is it here there", {}, []),
        ("THE CAT SAT DOWN.", {}, ["all_caps"]),
        ("THE CATS.", {}, []),
        ("the cat sat down and then the dog sat down and slept", {}, ["no_punctuation"]),
        ("the cat sat down and then the dog sat down", {}, []),
    ],
)
def test_signals(text: str, known: dict[str, float], expected: list[str]) -> None:
    assert types(text, **known) == expected


def test_the_score_is_the_mean_confidence() -> None:
    found = detect_errors("No", USUAL)
    assert [(signal.type, signal.confidence) for signal in found.signals] == [
        ("too_short", 0.8),
        ("unusual_word_pattern", 0.5),
    ]
    assert found.score == pytest.approx(0.65)
    assert detect_errors("The cat sat down.", USUAL).score == 0.0


def test_the_confidences_are_those_of_the_source() -> None:
    assert dict(CONFIDENCES) == {
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


def test_limits_and_confidences_are_configuration() -> None:
    config = DetectorConfig(characters_per_second=14, repeated_run=3, confidences={"repeated_chars": 0.2})
    assert types("The caaat sat down.", config, seconds=1.3) == ["repeated_chars"]
    assert detect_errors("The caaat sat down.", config).score == 0.2
    with pytest.raises(ValidationError):
        DetectorConfig.model_validate({"confidences": {"too_long": 0.5}})


@given(st.text(max_size=60), st.none() | st.floats(0, 1e6), st.none() | st.floats(0, 1))
def test_any_text_has_a_score_between_0_and_1(text: str, seconds: float | None, confidence: float | None) -> None:
    found = detect_errors(text, USUAL, seconds=seconds, confidence=confidence)
    assert 0 <= found.score <= 1
    assert bool(found.signals) == (found.score > 0)
    assert len({signal.type for signal in found.signals}) == len(found.signals)
