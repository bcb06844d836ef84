"""`hf`: rows for the Hugging Face `datasets` library, as JSON Lines and exported to JSON, CSV or Parquet.

Two sets of columns, by what the examples are: of transcripts `audio, text, original_text, case_id`, of all others
`prompt, completion`; both with `messages`, the whole conversation, from which a row is read back. CSV has no lists: its
`messages` hold JSON.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from finetune_assets.datasets.formats.chat import from_chat, to_chat
from finetune_assets.datasets.formats.parsed import ParsedRow
from finetune_assets.datasets.formats.prompt_completion import flatten
from finetune_assets.records.example import SPLITS, Example
from finetune_assets.records.json_lines import decode_line, encode_line

FileKind = Literal["json", "csv", "parquet"]

_TEXT_COLUMNS = ("prompt", "completion")
_SPEECH_COLUMNS = ("audio", "text", "original_text", "case_id")
_BATCH_ROWS = 10_000


def to_hf(example: Example) -> dict[str, Any]:
    """Return the row of an example."""
    messages = to_chat(example)["messages"]
    original = example.facts.get("original_transcript")
    if isinstance(original, str):
        return {
            "audio": example.facts.get("audio_path") or next((item.uri for item in example.attachments), ""),
            "text": example.target,
            "original_text": original,
            "case_id": example.record_id,
            "messages": messages,
        }
    return {"prompt": flatten(example.messages), "completion": example.target, "messages": messages}


def from_hf(row: Mapping[str, Any]) -> ParsedRow:
    """Read a row, of JSON Lines or of an exported file.

    Raises:
        ValueError: when the answer is not the last turn.
        KeyError: when a column is missing.
    """
    messages = row["messages"]
    found = from_chat({"messages": json.loads(messages) if isinstance(messages, str) else messages})
    if found.target != row["completion" if "completion" in row else "text"]:
        raise ValueError("the last turn is not the answer")
    return found


def exported_files(kinds: Sequence[FileKind], split: str) -> list[str]:
    """Return the names of a split's exported files within the folder of the format."""
    return [f"{split}.{kind}" for kind in kinds]


def export(folder: Path, kinds: Sequence[FileKind]) -> None:
    """Write a file of each kind beside each split's JSON Lines; the same rows in the same order.

    Args:
        folder: the format's folder, with `train.jsonl`, `validation.jsonl` and `test.jsonl`.
        kinds: the kinds of file.

    Raises:
        OSError: when a file cannot be read or written.
    """
    columns = _columns(folder)
    for split in SPLITS:
        source = folder / f"{split}.jsonl"
        for kind in kinds:
            _EXPORTERS[kind](source, folder / f"{split}.{kind}", columns)


def read_exported(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of an exported file, `messages` as a list.

    Raises:
        OSError: when it cannot be read.
    """
    if path.suffix == ".json":
        yield from json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".csv":
        csv.field_size_limit(1 << 30)
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                yield {**row, "messages": json.loads(row["messages"])}
    else:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(_BATCH_ROWS):
                yield from batch.to_pylist()


def _columns(folder: Path) -> tuple[str, ...]:
    """Return the columns of the dataset: those of its first row, whichever split holds it."""
    for split in SPLITS:
        for row in _rows(folder / f"{split}.jsonl"):
            return tuple(row)
    return (*_TEXT_COLUMNS, "messages")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        for line in lines:
            yield decode_line(line)


def _export_json(source: Path, target: Path, _columns: Sequence[str]) -> None:
    with target.open("wb") as out:
        out.write(b"[")
        for number, row in enumerate(_rows(source)):
            out.write((b"," if number else b"") + b"\n" + encode_line(row))
        out.write(b"\n]\n")


def _export_csv(source: Path, target: Path, columns: Sequence[str]) -> None:
    with target.open("w", encoding="utf-8", newline="") as out:
        # All in quotes: the module leaves a lone carriage return bare, which its own reader takes for a line's end.
        writer = csv.DictWriter(out, columns, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for row in _rows(source):
            writer.writerow({**row, "messages": encode_line(row["messages"]).decode()})


def _export_parquet(source: Path, target: Path, columns: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    schema = pa.schema([(name, turns if name == "messages" else pa.string()) for name in columns])
    with pq.ParquetWriter(target, schema) as writer:
        batch: list[dict[str, Any]] = []
        for row in _rows(source):
            batch.append(row)
            if len(batch) == _BATCH_ROWS:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch.clear()
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))


_EXPORTERS = {"json": _export_json, "csv": _export_csv, "parquet": _export_parquet}
