"""Where a row of a dataset comes from, and what became of a record: the way between a version and the source file.

Texts of people are left out unless they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finetune_assets.datasets.reading.cloud_source import ORIGINS
from finetune_assets.datasets.split_files import EXAMPLES, NEAR_DUPLICATES, read_near_pairs
from finetune_assets.datasets.versions.catalogue import Catalogue, Version
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json

_SHOWN_MEMBERS = 20
_RAW = "records.jsonl"
_QUARANTINE = "quarantine.jsonl"
_DUPLICATES = "duplicates.jsonl"
# One record may give several examples, whose ids are the record's with a part behind one of these.
_PART_MARKS = ("#", "/", ":", "~", "@")


def trace_record(
    catalogue: Catalogue, version: Version, record_id: str, *, with_text: bool = False
) -> list[dict[str, Any]]:
    """Return what became of a record in a version: one item for each example, duplicate or rejection of it.

    Args:
        catalogue: the task's versions.
        version: the version to look in.
        record_id: the record's id, or that of one of its examples.
        with_text: also return the messages and the answer, or a rejected row's redacted text.

    Returns:
        JSON, in the order accepted, duplicate, quarantined. Each has `fate`, `record_id` and `source` (file, line or
        row, byte offset, the file's sha256, and `uri`, gs://bucket/name#generation, of one from Cloud Storage).

    Raises:
        FinetuneError: when the version does not know the id.
    """
    splits, raw = version.files(), catalogue.raw_of(version)
    origins = read_json(raw.file(ORIGINS)) if raw and raw.has_file(ORIGINS) else {}
    digests = {item["name"]: item.get("sha256", "") for item in version.made_from.get("files", [])}
    found = [
        *_accepted(splits, record_id, with_text=with_text),
        *_duplicates(splits, record_id),
        *_quarantined(splits, record_id, "build", with_text=with_text),
        *(_quarantined(raw, record_id, "read", with_text=with_text) if raw else ()),
    ]
    if not found:
        raise FinetuneError(
            "the version does not know this record",
            where=f"{catalogue.task} version {version.head.number}",
            found=record_id,
            mend="give the record id as the source has it; unreadable rows have none and stand in quarantine.jsonl",
        )
    for item in found:
        item["version"] = version.head.number
        item["source"] = {**item["source"], "sha256": digests.get(item["source"]["file"], "")}
        if place := origins.get(item["source"]["file"]):
            item["source"]["uri"] = f"{place['uri']}#{place['generation']}"
    return found


def _accepted(splits: Artifact, record_id: str, *, with_text: bool) -> Iterator[dict[str, Any]]:
    copies = [row for row in _lines(splits, _DUPLICATES, record_id) if _is_of(row["duplicate_of"], record_id)]
    for row in _lines(splits, EXAMPLES, record_id):
        if not _is_of(row["record_id"], record_id):
            continue
        item = {
            "fate": "accepted",
            "record_id": row["record_id"],
            "source": row["source"],
            "split": row["split"],
            "label": row["label"],
            "example_id": row["example_id"],
            "content_key": row["content_key"],
            "origin": row.get("origin", "observed"),
            "slices": row["slices"],
            "leak_group": _leak_group(splits, row),
            "duplicates": [
                {"record_id": copy["record_id"], "source": copy["source"]}
                for copy in copies
                if copy["duplicate_of"] == row["record_id"]
            ],
        }
        if with_text:
            item |= {"messages": row["messages"], "target": row["target"]}
        yield item


def _duplicates(splits: Artifact, record_id: str) -> Iterator[dict[str, Any]]:
    for row in _lines(splits, _DUPLICATES, record_id):
        if _is_of(row["record_id"], record_id):
            yield {
                "fate": "duplicate",
                "record_id": row["record_id"],
                "source": row["source"],
                "content_key": row["content_key"],
                "duplicate_of": row["duplicate_of"],
                "duplicate_of_source": row["duplicate_of_source"],
            }


def _quarantined(artifact: Artifact, record_id: str, stage: str, *, with_text: bool) -> Iterator[dict[str, Any]]:
    for row in _lines(artifact, _QUARANTINE, record_id):
        if not _is_of(row["record_id"], record_id):
            continue
        item = {
            "fate": "quarantined",
            "record_id": row["record_id"],
            "source": {name: row[name] for name in ("file", "line", "row", "offset")},
            "stage": stage,
            **{name: row[name] for name in ("reason", "field", "expected", "mend")},
        }
        if with_text:
            item |= {"found": row["found"], "text": row["text"]}
        yield item


def _leak_group(splits: Artifact, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rows tied to this one, by declared keys or as near-duplicates, directly or through others."""
    keys, contents, members = set(row["groups"]), {row["content_key"]}, {row["record_id"]}
    sizes = (0, 0)
    while sizes != (len(keys), len(contents)):
        sizes = (len(keys), len(contents))
        _add_near_duplicates(splits, contents)
        for other in _all_lines(splits.file(EXAMPLES)) if keys or len(contents) > 1 else ():
            if other["content_key"] in contents or not keys.isdisjoint(other["groups"]):
                members.add(other["record_id"])
                contents.add(other["content_key"])
                keys.update(other["groups"])
    others = sorted(members - {row["record_id"]})
    return {"declared_keys": sorted(keys), "rows": len(members), "others": others[:_SHOWN_MEMBERS]}


def _add_near_duplicates(splits: Artifact, contents: set[str]) -> None:
    if NEAR_DUPLICATES not in splits.manifest["files"]:
        return
    for one, other, _ in read_near_pairs(splits.path):
        if one in contents or other in contents:
            contents.update((one, other))


def _is_of(found: str, record_id: str) -> bool:
    return found == record_id or (
        found.startswith(record_id) and found[len(record_id) : len(record_id) + 1] in _PART_MARKS
    )


def _lines(artifact: Artifact, name: str, record_id: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file that may speak of the record; most are left unparsed."""
    if name not in artifact.manifest["files"]:
        return
    # However the id is spelt in JSON, one of these two stands in the line.
    marks = {json.dumps(record_id)[1:-1].encode(), json.dumps(record_id, ensure_ascii=False)[1:-1].encode()}
    with artifact.file(name).open("rb", buffering=1 << 20) as lines:
        for line in lines:
            if any(mark in line for mark in marks):
                yield json.loads(line)


def _all_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb", buffering=1 << 20) as lines:
        for line in lines:
            yield json.loads(line)
