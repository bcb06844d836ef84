"""Similarity of texts: which words of an example are compared, and how alike two texts are. Pure.

Two texts are as alike as their shingles: `J(A, B) = |A ∩ B| / |A ∪ B|` over the sets of their runs of `size` characters
(Broder 1997, "On the resemblance and containment of documents"). Runs of characters serve every script, with or
without spaces, and let one changed word of a short text count as a small change.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

SIMILARITY_TEXT = "similarity_text"
"""The key in `Example.facts` under which a task type may give the words of an input that are compared.

Needed only where these are not what is left of the turns without the system prompt and the template's fixed wording.
"""

_PLACEHOLDER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_WORD = re.compile(r"\w")
_PHOTO_CHARACTERS = 8


def shingles(text: str, size: int) -> frozenset[str]:
    """Return the runs of `size` characters of a text.

    Args:
        text: any text, normalised by the caller.
        size: characters of a run, at least 1.

    Returns:
        The set; a text that is shorter than one run is its only member, and the empty text has none.
    """
    if len(text) <= size:
        return frozenset([text]) if text else frozenset()
    return frozenset([text[start : start + size] for start in range(len(text) - size + 1)])


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Return how alike two sets are, from 0 (nothing shared) to 1 (equal); 0 for two empty sets."""
    shared = len(one & other)
    union = len(one) + len(other) - shared
    return shared / union if union else 0.0


class FixedWording:
    """The words that a user template puts around a record's own: two questions must not be alike by these alone.

    Args:
        template: the user template with `{field}` placeholders; "" for none.
    """

    def __init__(self, template: str) -> None:
        self._pieces = _PLACEHOLDER.split(template)
        self._plain = len(self._pieces) < 2 or not any(_WORD.search(piece) for piece in self._pieces)

    @classmethod
    def of(cls, prompt_manifest: Mapping[str, Any]) -> FixedWording:
        """Return the fixed wording of a task, from what its `prompt_manifest` says of the user template."""
        return cls(str(prompt_manifest.get("user") or ""))

    def without(self, text: str) -> str:
        """Return what the fields of a rendered template hold, one a line; a text of another form as it is."""
        if self._plain:
            return text
        first, *middle, last = self._pieces
        end = len(text) - len(last)
        if not text.startswith(first) or not text.endswith(last) or end < len(first):
            return text
        found: list[str] = []
        at = len(first)
        for piece in middle:
            place = text.find(piece, at, end)
            if place < 0:
                return text
            found.append(text[at:place])
            at = place + len(piece)
        return "\n".join([*found, text[at:end]])


def similarity_text(messages: Iterable[Mapping[str, Any]], facts: Mapping[str, Any], wording: FixedWording) -> str:
    """Return the words of an input that are compared with those of others.

    Args:
        messages: the input turns, each with `role` and `content`.
        facts: the example's facts.
        wording: what the user template puts around the record's own words.

    Returns:
        `facts["similarity_text"]` where the task type gave one; else all turns but the system prompt, one a line,
        without the fixed wording.
    """
    given = facts.get(SIMILARITY_TEXT)
    if isinstance(given, str):
        return given
    turns = [
        wording.without(turn["content"]) if turn["role"] == "user" else turn["content"]
        for turn in messages
        if turn["role"] != "system"
    ]
    return "\n".join(turns)


def with_attachments(text: str, uris: Iterable[str]) -> str:
    """Return the text followed by one word of eight characters for each attachment.

    A file counts like a word: equal captions of different photos stay alike, and long storage paths, which share most
    of their characters, do not make different photos look alike.
    """
    words = [hashlib.blake2b(uri.encode(), digest_size=_PHOTO_CHARACTERS // 2).hexdigest() for uri in uris]
    return " ".join([text, *words]) if words else text
