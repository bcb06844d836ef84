"""How a prediction stands in its table: the schema, and the way there and back."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from finetune_assets.feedback.predictions import Prediction
from finetune_assets.records.doubts import Signal
from finetune_assets.records.json_lines import encode_line

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

HOUR_MICROS = 3_600_000_000
PLACES = 1 << 31
"""Places that a request may have; see `_place`."""
SHARES = (64, 8)
"""Shares of all places, from the smallest, that have an index of their own: one row of so many is in it."""

COLUMNS = (
    "request_id",
    "task",
    "at",
    "version",
    "candidate",
    "prompt_digest",
    "input_digest",
    "input",
    "answer_digest",
    "answer",
    "label",
    "label_path",
    "valid",
    "latency_ms",
    "signals",
    "score",
    "subject",
    "outcome",
    "characters",
    "words",
    "place",
)
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS predictions ("
    "id INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL UNIQUE, task TEXT NOT NULL, at INTEGER NOT NULL, "
    "version INTEGER NOT NULL, candidate TEXT NOT NULL, prompt_digest TEXT NOT NULL, input_digest TEXT NOT NULL, "
    "input TEXT, answer_digest TEXT NOT NULL, answer TEXT, label TEXT NOT NULL, label_path TEXT NOT NULL, "
    "valid INTEGER NOT NULL CHECK (valid IN (0, 1)), latency_ms REAL NOT NULL, signals TEXT NOT NULL, "
    "score REAL NOT NULL, subject TEXT NOT NULL, "
    "outcome TEXT NOT NULL CHECK (outcome IN ('complete', 'broken_off')), characters REAL NOT NULL, "
    "words REAL NOT NULL, place INTEGER NOT NULL, forgotten INTEGER NOT NULL DEFAULT 0)",
    # Holds all that a window asks for, so that its rows need not be visited.
    "CREATE INDEX IF NOT EXISTS predictions_window ON predictions (task, at, label, place, characters, words)",
    "CREATE INDEX IF NOT EXISTS predictions_subject ON predictions (subject) WHERE subject <> ''",
    "CREATE INDEX IF NOT EXISTS predictions_doubted ON predictions (task, id, score) WHERE score > 0",
    "CREATE TABLE IF NOT EXISTS doubted (task TEXT PRIMARY KEY, up_to INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS pruned (id INTEGER PRIMARY KEY, task TEXT NOT NULL, before INTEGER NOT NULL, "
    "predictions INTEGER NOT NULL)",
    *(
        # Of a window of very many rows a sample lies within these few.
        f"CREATE INDEX IF NOT EXISTS predictions_share_{share} ON predictions (task, at, place, characters, words) "
        f"WHERE place < {PLACES // share}"
        for share in SHARES
    ),
    # What a window holds is added up as it is written, so that a tick need not visit every row.
    "CREATE TABLE IF NOT EXISTS tally (task TEXT NOT NULL, hour INTEGER NOT NULL, label TEXT NOT NULL, "
    "predictions INTEGER NOT NULL, PRIMARY KEY (task, hour, label)) WITHOUT ROWID",
    "CREATE TRIGGER IF NOT EXISTS tally_more AFTER INSERT ON predictions BEGIN "  # noqa: S608 - our own numbers
    f"INSERT INTO tally VALUES (NEW.task, NEW.at / {HOUR_MICROS}, NEW.label, 1) "
    "ON CONFLICT (task, hour, label) DO UPDATE SET predictions = predictions + 1; END",
    "CREATE TRIGGER IF NOT EXISTS tally_less AFTER DELETE ON predictions BEGIN "  # noqa: S608 - our own numbers
    "UPDATE tally SET predictions = predictions - 1 "
    f"WHERE task = OLD.task AND hour = OLD.at / {HOUR_MICROS} AND label = OLD.label; END",
)
FILL_TALLY = (
    "DELETE FROM tally",
    f"INSERT INTO tally SELECT task, at / {HOUR_MICROS}, label, COUNT(*) FROM predictions GROUP BY 1, 2, 3",  # noqa: S608
)
"""Adds up the rows of a file that was written before there was a tally."""
INSERT = (
    f"INSERT INTO predictions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608
    "ON CONFLICT (request_id) DO NOTHING"
)


def micros(moment: datetime) -> int:
    """Return the microseconds from 1970 (UTC) to an aware moment, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(value: int) -> datetime:
    """Return the moment of so many microseconds from 1970 (UTC)."""
    return _EPOCH + timedelta(microseconds=value)


def row_of(prediction: Prediction) -> tuple[Any, ...]:
    """Return a prediction as a row of `COLUMNS`."""
    features = prediction.features or {}
    return (
        prediction.request_id,
        prediction.task,
        micros(prediction.at),
        prediction.version,
        prediction.candidate,
        prediction.prompt_digest,
        prediction.input_digest,
        None if prediction.input is None else encode_line(prediction.input).decode(),
        prediction.answer_digest,
        prediction.answer,
        prediction.label,
        encode_line(prediction.label_path).decode(),
        int(prediction.valid),
        float(prediction.latency_ms),
        encode_line([[signal.kind, signal.score] for signal in prediction.signals]).decode(),
        float(prediction.score),
        prediction.subject,
        prediction.outcome,
        float(features.get("characters", 0.0)),
        float(features.get("words", 0.0)),
        _place(prediction.request_id),
    )


def prediction_of(row: tuple[Any, ...]) -> Prediction:
    """Return the prediction of a row of `COLUMNS`."""
    named = dict(zip(COLUMNS, row, strict=True))
    return Prediction(
        request_id=named["request_id"],
        task=named["task"],
        version=named["version"],
        candidate=named["candidate"],
        at=moment_of(named["at"]),
        prompt_digest=named["prompt_digest"],
        input_digest=named["input_digest"],
        input=None if named["input"] is None else orjson.loads(named["input"]),
        answer_digest=named["answer_digest"],
        answer=named["answer"],
        label_path=tuple(orjson.loads(named["label_path"])),
        valid=bool(named["valid"]),
        latency_ms=named["latency_ms"],
        signals=tuple(Signal(kind, score) for kind, score in orjson.loads(named["signals"])),
        score=named["score"],
        subject=named["subject"],
        outcome=named["outcome"],
        features={"characters": named["characters"], "words": named["words"]},
    )


def _place(request_id: str) -> int:
    """Return where a request stands among those that a sample may take, 31 bits."""
    return int.from_bytes(hashlib.blake2b(request_id.encode(), digest_size=4).digest(), "big") >> 1
