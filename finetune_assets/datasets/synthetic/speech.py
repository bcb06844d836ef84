"""The synthetic error cases: the shipped sample of the speech task. No recording stands behind them.

A session is a few sentences that one speaker dictates. Each becomes an error case: what was said, what a recogniser
made of it, the errors by name. Some recordings were transcribed twice, some sentences are read by several speakers,
some cases nobody corrected, some are empty. Everything is a pure function of the seed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from finetune_assets.datasets.synthetic.speech_words import (
    CONFUSABLE,
    DROPPED,
    FILLERS,
    HALLUCINATIONS,
    SENTENCES,
    WORDS,
)
from finetune_assets.datasets.synthetic.texts import Draw

SAMPLE_SEED = 2026
"""The seed of the sample that ships with the project."""

SESSIONS = 210
SPEAKERS = 24
READ_BY_SEVERAL = 18
"""Sentences that two or three speakers read."""

TWICE = 36
"""Recordings that were transcribed a second time, with other errors."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_CHARACTERS_PER_SECOND = 14.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """One sentence that somebody said.

    Attributes:
        text: the sentence.
        session: number of the session, from 1.
        place: its place in the session, from 1.
        speaker: the speaker's id.
    """

    text: str
    session: int
    place: int
    speaker: str

    @property
    def audio(self) -> str:
        """Path of the recording that there would be."""
        return f"recordings/{self.speaker}/session-{self.session:03d}-{self.place:02d}.wav"


def sample_lines(seed: int = SAMPLE_SEED) -> list[str]:
    """Return the lines of the sample in a random order, without line ends."""
    draw = Draw(f"speech:{seed}")
    utterances = _utterances(draw)
    again = draw.shuffled(utterances)[:TWICE]
    cases = [_case(draw, utterance) for utterance in [*utterances, *again]]
    for number, case in enumerate(draw.shuffled(cases), start=1):
        case["case_id"] = f"case-{number:05d}"
        case["timestamp"] = f"2025-{1 + number % 12:02d}-{1 + number % 28:02d}T{8 + number % 9:02d}:15:00"
    return [_line(draw, case) for case in sorted(cases, key=lambda case: str(case["case_id"]))]


def sample_bytes(seed: int = SAMPLE_SEED) -> bytes:
    """Return the sample as a JSON Lines file (UTF-8)."""
    return "".join(f"{line}\n" for line in sample_lines(seed)).encode()


def _utterances(draw: Draw) -> list[Utterance]:
    taken: set[str] = set()
    found: list[Utterance] = []
    shared = [new_sentence(draw, taken) for _ in range(READ_BY_SEVERAL)]
    for session in range(1, SESSIONS + 1):
        texts = [new_sentence(draw, taken) for _ in range(draw.between(2, 4))]
        if session <= 2 * READ_BY_SEVERAL:
            texts.append(shared[session % READ_BY_SEVERAL])
        speaker = f"speaker-{draw.between(1, SPEAKERS):02d}"
        found += [Utterance(text, session, place, speaker) for place, text in enumerate(texts, start=1)]
    return found


def new_sentence(draw: Draw, taken: set[str]) -> str:
    """Return a sentence, sometimes two, that is not among `taken` yet, and add it there."""
    while True:
        parts = [_filled(draw, draw.one(SENTENCES)) for _ in range(1 + draw.chance(0.35))]
        text = " ".join(parts)
        if text not in taken:
            taken.add(text)
            return text


def _filled(draw: Draw, sentence: str) -> str:
    filled = _PLACEHOLDER.sub(lambda match: draw.one(WORDS[match[1]]), sentence)
    return filled[0].upper() + filled[1:]


def _case(draw: Draw, utterance: Utterance) -> dict[str, Any]:
    """Return one case before its id."""
    heard, errors = misheard(draw, utterance.text)
    uncorrected = draw.chance(0.07)
    score = round(0.55 + 0.4 * draw.between(0, 100) / 100, 2)
    if draw.chance(0.05):
        # A slip that the source itself does not count as an error case.
        score = round(0.2 + 0.2 * draw.between(0, 100) / 100, 2)
    seconds = len(utterance.text) / _CHARACTERS_PER_SECOND * (0.8 + 0.4 * draw.between(0, 100) / 100)
    confidence = (0.2 if not heard else 0.55) + 0.35 * draw.between(0, 100) / 100
    return {
        "case_id": "",
        "audio_path": utterance.audio,
        "original_transcript": heard,
        "corrected_transcript": None if uncorrected else utterance.text,
        # The source writes nested lists at times.
        "error_types": [errors] if draw.chance(0.1) else errors,
        "error_score": score,
        "metadata": {
            "inference_time": round(seconds * 0.11, 3),
            "model_confidence": round(confidence, 3),
            "duration_seconds": round(seconds, 2),
        },
        "timestamp": "",
        "speaker_id": utterance.speaker,
        "session_id": f"session-{utterance.session:03d}",
    }


def _line(draw: Draw, case: dict[str, Any]) -> str:
    """Return a case as a JSON line; some use the evaluation set's field names."""
    if draw.chance(0.1):
        case["hypothesis"] = case.pop("original_transcript")
        case["reference"] = case.pop("corrected_transcript")
    return json.dumps(case, ensure_ascii=False)


def misheard(draw: Draw, said: str) -> tuple[str, list[str]]:
    """Return what the recogniser made of a sentence and the names of its errors, the first that happened first."""
    if draw.chance(0.03):
        return "", ["empty_transcript"]
    if draw.chance(0.02):
        return " ".join(draw.shuffled(HALLUCINATIONS)[:2]), ["hallucination"]
    text, errors = said, []
    for name, change in _changes(draw):
        changed = change(draw, text)
        if changed != text:
            text = changed
            errors.append(name)
    if not errors:
        text, errors = _substituted(draw, said, 1.0), ["substitution"]
    return (text, errors) if text != said else (said.lower().rstrip("."), ["no_punctuation"])


def _changes(draw: Draw) -> Iterator[tuple[str, Callable[[Draw, str], str]]]:
    """Yield the kinds of error that befall one transcript, words before spelling."""
    if draw.chance(0.7):
        yield "substitution", lambda chosen, text: _substituted(chosen, text, 0.5)
    if draw.chance(0.35):
        yield "deletion", _with_gaps
    if draw.chance(0.25):
        yield "insertion", _with_fillers
    if draw.chance(0.08):
        yield "repetition", _stuttered
    if draw.chance(0.08):
        yield "truncation", lambda _, text: " ".join(text.split()[: max(2, len(text.split()) * 2 // 3)])
    spelling = draw.between(0, 9)
    if spelling == 0:
        yield "all_caps", lambda _, text: text.upper()
    elif spelling <= 3:
        yield "no_punctuation", lambda _, text: re.sub(r"[.,;:?!]", "", text).lower()
    elif spelling == 4:
        yield "repeated_chars", _stretched


def _substituted(draw: Draw, text: str, share: float) -> str:
    """Replace confusable words, each with this chance; their punctuation stays."""
    words = []
    for word in text.split():
        bare = word.rstrip(".,;:?!")
        other = CONFUSABLE.get(bare)
        words.append(other + word[len(bare) :] if other and draw.chance(share) else word)
    return " ".join(words)


def _with_gaps(draw: Draw, text: str) -> str:
    return " ".join(word for word in text.split() if word not in DROPPED or not draw.chance(0.5))


def _with_fillers(draw: Draw, text: str) -> str:
    words = text.split()
    for _ in range(draw.between(1, 2)):
        words.insert(draw.between(0, len(words)), draw.one(FILLERS))
    return " ".join(words)


def _stuttered(draw: Draw, text: str) -> str:
    words = text.split()
    at = draw.between(0, len(words) - 1)
    return " ".join([*words[: at + 1], *[words[at]] * draw.between(1, 3), *words[at + 1 :]])


def _stretched(draw: Draw, text: str) -> str:
    words = text.split()
    at = draw.between(0, len(words) - 1)
    return " ".join([*words[:at], re.sub(r"([aeiou])", r"\1\1\1\1\1", words[at], count=1), *words[at + 1 :]])
