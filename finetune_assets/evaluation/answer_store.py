"""The file that answers are kept in as they come, so that a killed run continues where it stopped.

JSON lines: a header that names the engine, then one completion a line. Answers are texts of a model about people's
data; the file lies in the work folder and is deleted with it.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetune_assets.evaluation.engine import Completion, Engine
from finetune_assets.records.digests import canonical_json, digest_of
from finetune_assets.records.errors import FinetuneError

_STORE_SCHEMA = "answers/1"


def append_completions(store: Path, completions: Mapping[str, Completion]) -> None:
    """Append completions by example id and wait until they are on the disk.

    Raises:
        FinetuneError: when the disk is full; what was there before stays readable.
    """
    _append(store, [{"example_id": key, **asdict(completion)} for key, completion in completions.items()])


def open_store(store: Path, engine: Engine) -> dict[str, Completion]:
    """Open or begin the store of one engine's answers.

    The whole lines are read; what a killed writer left behind them is cut off.

    Args:
        store: the file; its folder is made when absent.
        engine: whose answers the file holds, or is to hold.

    Returns:
        The completions so far, by example id.

    Raises:
        FinetuneError: when the file holds another engine's answers, or the disk is full.
    """
    identity = digest_of(engine.identity)
    header = {"schema": _STORE_SCHEMA, "engine": identity}
    if not store.exists() or store.stat().st_size == 0:
        store.parent.mkdir(parents=True, exist_ok=True)
        _append(store, [header])
        return {}
    rows, sound_bytes = _sound_lines(store)
    if not rows:
        # Not even the header was whole: the writer died at once.
        os.truncate(store, 0)
        _append(store, [header])
        return {}
    if rows[0] != header:
        raise FinetuneError(
            "the stored answers are another model's",
            where=str(store),
            found=canonical_json(rows[0]),
            expected=canonical_json(header),
            mend="delete the file, or keep one store for each engine identity",
        )
    if sound_bytes < store.stat().st_size:
        os.truncate(store, sound_bytes)
    return {row["example_id"]: _completion(row) for row in rows[1:]}


def _sound_lines(store: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the rows before the first line that is not whole, and how many bytes they take."""
    rows: list[dict[str, Any]] = []
    sound = 0
    with store.open("rb") as stream:
        for line in stream:
            row = _row(line)
            if row is None or (rows and not _is_answer(row)):
                break
            rows.append(row)
            sound += len(line)
    return rows, sound


def _row(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:  # UnicodeDecodeError and JSONDecodeError both are
        return None
    return row if isinstance(row, dict) else None


def _is_answer(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("example_id"), str) and isinstance(row.get("text"), str) and "ok" in row


def _completion(row: Mapping[str, Any]) -> Completion:
    return Completion(
        text=row["text"],
        ok=bool(row["ok"]),
        problem=str(row.get("problem", "")),
        latency_s=float(row.get("latency_s", 0.0)),
        prompt_tokens=int(row.get("prompt_tokens", 0)),
        completion_tokens=int(row.get("completion_tokens", 0)),
    )


def _lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    for row in rows:
        # ASCII escapes carry lone surrogates that a model may write and UTF-8 cannot hold.
        yield json.dumps(row, sort_keys=True).encode("ascii") + b"\n"


def _append(store: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    try:
        with store.open("ab") as stream:
            stream.write(b"".join(_lines(rows)))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise FinetuneError(
            "the disk is full",
            where=str(store),
            mend="free some space and start again; the answers so far are kept",
        ) from error
