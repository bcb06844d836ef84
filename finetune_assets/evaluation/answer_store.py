"""The store that answers are kept in as they come, so that a killed run continues where it stopped.

While answers come, a store is a folder of small Parquet parts, each written whole or not at all; when all are there it
becomes one Parquet file. Rows are keyed by example id and by `engine`, the digest of the identity of who answered.
Answers are texts of a model about people's data; a folder of parts lies in the work folder and is deleted with it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from finetune_assets.evaluation.engine import NOT_FINAL, Completion, Engine, Finish
from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.files import write_atomic

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = ".parts"
_SCHEMA = b"answers/2"
_PART = "part-*.parquet"
# A compressed part of a few hundred bytes may claim gigabytes; no batch of answers comes near this.
_MOST_ROWS = 10_000_000
_FINISHES: dict[str, Finish] = {name: name for name in get_args(Finish)}


def open_store(store: Path, engine: Engine) -> dict[str, Completion]:
    """Open or begin the store of one engine's answers.

    Parts that cannot be read are removed; their questions are asked again.

    Args:
        store: the file that the store is to become. While it is not finished, its parts lie beside it in a folder of
            its name and `.parts`, which is made when absent.
        engine: whose answers the store holds, or is to hold.

    Returns:
        The completions so far, by example id.

    Raises:
        FinetuneError: when the store holds another engine's answers, or the finished file cannot be read.
        StorageError: when the disk is full or the place cannot be written.
    """
    digest = digest_of(engine.identity)
    found: dict[str, Completion] = {}
    if store.exists():
        table = _read(store)
        if table is None:
            raise FinetuneError(
                "the stored answers cannot be read",
                where=str(store),
                expected="a Parquet file that this program wrote",
                mend="delete the file and run again; the questions are then asked again",
            )
        return _rows(table, digest, store)
    for part in _parts(store):
        table = _read(part)
        if table is None:
            part.unlink(missing_ok=True)
            continue
        for key, completion in _rows(table, digest, part).items():
            found.setdefault(key, completion)  # an answer is final: the first one stands
    _folder(store).mkdir(parents=True, exist_ok=True)
    write_atomic(_folder(store) / "engine", digest)
    return found


def append_completions(store: Path, completions: Mapping[str, Completion]) -> None:
    """Keep completions by example id, and wait until they are on the disk.

    Completions whose problem says nothing of the model (`engine.NOT_FINAL`) are left out: they may be asked again.

    Args:
        store: a store that `open_store` opened.
        completions: by example id.

    Raises:
        FinetuneError: when the store is finished, or was not opened.
        StorageError: when the disk is full; what was there before stays readable.
    """
    final = {key: item for key, item in completions.items() if item.problem not in NOT_FINAL}
    if not final:
        return
    note = _folder(store) / "engine"
    if store.exists() or not note.is_file():
        raise FinetuneError(
            "answers cannot be added to this store",
            where=str(store),
            found="a finished store" if store.exists() else "no store",
            mend="delete the file and collect the answers again",
        )
    digest = note.read_text()
    number = max((_number(part) for part in _parts(store)), default=0) + 1
    # The digest in the name keeps two runs that write at once from taking each other's place.
    name = f"part-{number:06d}-{digest_of(sorted(final))[:8]}.parquet"
    write_atomic(_folder(store) / name, _bytes(_table(final.items(), digest)))


def finish_store(store: Path, engine: Engine) -> bool:
    """Make one file of the parts, and remove them.

    A run that is killed in between finds the file or the parts, never neither.

    Args:
        store: a store that `open_store` opened.
        engine: whose answers it holds.

    Returns:
        True when the file is there, False when there is nothing to make one of.

    Raises:
        FinetuneError: as `open_store`.
        StorageError: when the disk is full; the parts are then as they were.
    """
    if not store.exists():
        found = open_store(store, engine)
        if not found:
            return False
        write_atomic(store, _bytes(_table(sorted(found.items()), digest_of(engine.identity))))
    shutil.rmtree(_folder(store), ignore_errors=True)
    return True


def _folder(store: Path) -> Path:
    return store.with_name(store.name + PARTS)


def _parts(store: Path) -> list[Path]:
    return sorted(_folder(store).glob(_PART), key=lambda part: (_number(part), part.name))


def _number(part: Path) -> int:
    digits = part.name.split("-")[1].partition(".")[0]
    return int(digits) if digits.isdecimal() else 0


def _table(completions: Iterable[tuple[str, Completion]], engine: str) -> pa.Table:
    import pyarrow as pa

    items = list(completions)
    texts = [_utf8(item.text) for _, item in items]
    columns: dict[str, Any] = {
        "example_id": pa.array([key for key, _ in items], pa.string()),
        "engine": pa.array([engine] * len(items), pa.string()),
        "text": pa.array([text for text, _ in texts], pa.string()),
        "text_escaped": pa.array([escaped for _, escaped in texts], pa.string()),
        "ok": pa.array([item.ok for _, item in items], pa.bool_()),
        "problem": pa.array([item.problem for _, item in items], pa.string()),
        "finish": pa.array([item.finish for _, item in items], pa.string()),
        "latency_s": pa.array([item.latency_s for _, item in items], pa.float64()),
        "prompt_tokens": pa.array([item.prompt_tokens for _, item in items], pa.int64()),
        "completion_tokens": pa.array([item.completion_tokens for _, item in items], pa.int64()),
    }
    return pa.table(columns).replace_schema_metadata({b"schema": _SCHEMA})


def _utf8(text: str) -> tuple[str | None, str | None]:
    """Return (text, None), or (None, its JSON) for lone surrogates, which a model may write and UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return None, json.dumps(text)
    return text, None


def _bytes(table: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # The checksum of each page tells a part that the disk spoilt from a whole one.
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _read(path: Path) -> pa.Table | None:
    """Return a file's table, None when it is torn or is no store of answers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Closed before the part is removed, and read without threads: parts are small.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if (file.schema_arrow.metadata or {}).get(b"schema") != _SCHEMA or file.metadata.num_rows > _MOST_ROWS:
                return None
            return file.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError):
        return None


def _rows(table: pa.Table, digest: str, path: Path) -> dict[str, Completion]:
    found: dict[str, Completion] = {}
    for row in table.to_pylist():
        if row["engine"] != digest:
            raise FinetuneError(
                "the stored answers are another model's",
                where=str(path),
                found=str(row["engine"]),
                expected=digest,
                mend="delete the store, or keep one store for each engine identity",
            )
        found.setdefault(row["example_id"], _completion(row))
    return found


def _completion(row: Mapping[str, Any]) -> Completion:
    return Completion(
        text=row["text"] if row["text"] is not None else json.loads(row["text_escaped"]),
        ok=row["ok"],
        problem=row["problem"],
        latency_s=row["latency_s"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        finish=_FINISHES.get(row["finish"], ""),
    )
