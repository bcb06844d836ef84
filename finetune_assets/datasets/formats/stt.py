"""`stt`: rows of a recogniser's transcript and its correction, for examples that know the former.

The fields are those of speech-to-text orchestration; the prompt's turns stand in `metadata`, so that nothing of the
example is lost. An example without `facts["original_transcript"]` has no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune_assets.datasets.formats.parsed import ParsedRow, messages_of
from finetune_assets.records.example import Attachment, Example


def to_stt(example: Example) -> dict[str, Any] | None:
    """Return the row, or None."""
    original = example.facts.get("original_transcript")
    if not isinstance(original, str):
        return None
    facts = example.facts
    files = [{"uri": item.uri, "mime_type": item.mime_type} for item in example.attachments]
    return {
        "case_id": example.record_id,
        "audio_path": facts.get("audio_path") or (files[0]["uri"] if files else ""),
        "input_text": original,
        "target_text": example.target,
        "error_types": list(facts.get("error_types") or []),
        "error_score": facts.get("error_score"),
        "has_correction": bool(facts.get("corrected", True)),
        "metadata": {"messages": list(example.messages), "files": files},
    }


def from_stt(row: Mapping[str, Any]) -> ParsedRow:
    """Read a row.

    Raises:
        KeyError: when a part is missing.
    """
    metadata = row["metadata"]
    files = tuple(Attachment(item["uri"], item["mime_type"]) for item in metadata["files"])
    return ParsedRow(messages_of(metadata["messages"]), row["target_text"], files)
