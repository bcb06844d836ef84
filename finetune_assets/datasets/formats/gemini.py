"""`gemini`: rows for Gemini's supervised tuning, as of Google's documentation of 25 September 2026.

Roles are `user` and `model` only, the last turn is `model`, field names are in camel case, and each file names its mime
type. The limits on rows and files are in `limits.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune_assets.datasets.formats.parsed import ParsedRow, message
from finetune_assets.records.example import Attachment, Example, Message


def to_gemini(example: Example) -> dict[str, Any]:
    """Return the example as a Gemini supervised-tuning row.

    The system prompt becomes `systemInstruction`, every attachment a `fileData` part at the start of the first user
    turn, the target the last turn, of role `model`.
    """
    system = [{"text": turn["content"]} for turn in example.messages if turn["role"] == "system"]
    contents: list[dict[str, Any]] = [
        {"role": "model" if turn["role"] == "assistant" else "user", "parts": [{"text": turn["content"]}]}
        for turn in example.messages
        if turn["role"] != "system"
    ]
    photos = [{"fileData": {"mimeType": item.mime_type, "fileUri": item.uri}} for item in example.attachments]
    if photos and contents:
        contents[0]["parts"] = [*photos, *contents[0]["parts"]]
    contents.append({"role": "model", "parts": [{"text": example.target}]})
    return (
        {"systemInstruction": {"role": "system", "parts": system}, "contents": contents}
        if system
        else {"contents": contents}
    )


def from_gemini(row: Mapping[str, Any]) -> ParsedRow:
    """Read a Gemini row.

    Raises:
        ValueError: for an unknown role, a turn that is not one text, or a last turn that is not the model's.
        KeyError: when a part is missing.
    """
    system: list[Message] = [
        message("system", part["text"]) for part in row.get("systemInstruction", {"parts": []})["parts"]
    ]
    turns: list[Message] = []
    files: list[Attachment] = []
    for turn in row["contents"]:
        texts = [part["text"] for part in turn["parts"] if "text" in part]
        files += [_file(part["fileData"]) for part in turn["parts"] if "fileData" in part]
        if len(texts) != 1 or turn["role"] not in ("user", "model"):
            raise ValueError("a turn is not one text of user or model")
        turns.append(message("assistant" if turn["role"] == "model" else "user", texts[0]))
    if not turns or turns[-1]["role"] != "assistant":
        raise ValueError("the last turn is not the model's")
    return ParsedRow((*system, *turns[:-1]), turns[-1]["content"], tuple(files))


def _file(data: Mapping[str, str]) -> Attachment:
    if not data["mimeType"]:
        raise ValueError("a file has no mime type")
    return Attachment(uri=data["fileUri"], mime_type=data["mimeType"])
