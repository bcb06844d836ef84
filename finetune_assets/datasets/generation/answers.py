"""Reading the JSON object in a model's answer, out of a code fence or prose where need be."""

from __future__ import annotations

import json
from typing import Any

_decoder = json.JSONDecoder()


def object_in(text: str) -> dict[str, Any] | None:
    """Return the first JSON object in `text`, None when there is none."""
    start = text.find("{")
    while start >= 0:
        try:
            found, _ = _decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            start = text.find("{", start + 1)
            continue
        return found if isinstance(found, dict) else None
    return None
