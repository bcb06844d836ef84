"""Predictions, cases and books for the tests of feedback."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from finetune_assets.feedback.cases import CaseBook
from finetune_assets.feedback.config import FeedbackConfig
from finetune_assets.feedback.predictions import Prediction, Witness
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.records.doubts import Signal
from finetune_assets.storage.database import Database

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = Pseudonyms(b"k" * 32)
CONFIG = FeedbackConfig(subject_field="child_id", group_fields=("child_id",))
WORDS = ("water", "sand", "tower", "song", "bike", "leaf", "story", "friend", "paint", "bread", "window", "garden")


def note(number: int) -> str:
    """A text of its own: no two are near-equal."""
    return " ".join(f"{WORDS[(number * (step + 3) + step) % 12]}{number * 7919 + step}" for step in range(12))


def prediction(number: int = 1, **more: Any) -> Prediction:
    given: dict[str, Any] = {
        "request_id": f"r{number}",
        "task": "childcare",
        "version": 1,
        "candidate": "c1",
        "at": START,
        "prompt": "prompt",
        "fields": {"text": note(number), "child_id": f"child {number % 3}"},
        "answer": f"answer {number}",
        "label_path": ("a", "b"),
        "valid": True,
        "latency_ms": 3.5,
    }
    config = more.pop("config", CONFIG)
    return Witness(config, NAMES).prediction(**(given | more))


def doubted(number: int, **more: Any) -> Prediction:
    return prediction(number, signals=(Signal("empty_answer", 0.9),), score=0.9, **more)


def book(db: Database, config: FeedbackConfig = CONFIG) -> CaseBook:
    return CaseBook(db, config, NAMES)
