"""Formats of rendered splits: one module each, a pure function from an Example to its row and one that reads it back.

A renderer returns None for an example of which its format has nothing to say; the row is left out of that format and
counted. Every other row parses back to its example (`FORMAT_READERS`); formats that are not in `WITH_ATTACHMENTS` are
of text alone and leave files out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from finetune_assets.datasets.formats.alpaca import from_alpaca, to_alpaca
from finetune_assets.datasets.formats.chat import from_chat, to_chat, to_vertex_open_messages
from finetune_assets.datasets.formats.gemini import from_gemini, to_gemini
from finetune_assets.datasets.formats.hf import from_hf, to_hf
from finetune_assets.datasets.formats.parsed import ParsedRow
from finetune_assets.datasets.formats.preference import (
    from_preference,
    from_preference_trl,
    to_preference,
    to_preference_trl,
)
from finetune_assets.datasets.formats.prompt_completion import from_vertex_open, to_vertex_open
from finetune_assets.datasets.formats.stt import from_stt, to_stt
from finetune_assets.records.example import Example

Renderer = Callable[[Example], dict[str, Any] | None]
Reader = Callable[[Mapping[str, Any]], ParsedRow]

RENDERERS: Mapping[str, Renderer] = {
    "chat": to_chat,
    "gemini": to_gemini,
    "vertex_open": to_vertex_open,
    "vertex_open_messages": to_vertex_open_messages,
    "alpaca": to_alpaca,
    "preference": to_preference,
    "preference_trl": to_preference_trl,
    "stt": to_stt,
    "hf": to_hf,
}
"""Each format's name and the function that makes its row, or None."""

FORMAT_READERS: Mapping[str, Reader] = {
    "chat": from_chat,
    "gemini": from_gemini,
    "vertex_open": from_vertex_open,
    "vertex_open_messages": from_chat,
    "alpaca": from_alpaca,
    "preference": from_preference,
    "preference_trl": from_preference_trl,
    "stt": from_stt,
    "hf": from_hf,
}
"""Each format's name and the function that reads its row."""

WITH_ATTACHMENTS = frozenset({"gemini", "stt"})
"""Formats whose rows name the example's files."""
