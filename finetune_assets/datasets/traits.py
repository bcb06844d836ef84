"""Traits: what a row is besides its label, for the distributions that people look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from finetune_assets.records.example import FEEDBACK_FILE

UNKNOWN = "unknown"
FEEDBACK_SOURCE = "feedback"
_LENGTH_BOUNDS = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


class Traits(NamedTuple):
    """What is counted of a row.

    Attributes:
        source: the file that it was found in.
        photo: `with photo` or `without photo`; other attachments count as photos.
        language: the fact `language`, `unknown` where the task type states none.
        origin: observed, synthetic, augmented or feedback.
    """

    source: str
    photo: str
    language: str
    origin: str


class Traited(Protocol):
    """What traits are read from: an Example, or its plain form."""

    @property
    def source(self) -> Any:
        """Where it was found, as SourceRef or as its JSON."""

    @property
    def attachments(self) -> Sequence[Any]:
        """Its photos and other files."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the task type knows besides."""

    @property
    def origin(self) -> str:
        """Whether it was observed."""


def traits_of(example: Traited) -> Traits:
    """Return an example's traits."""
    source = example.source
    language = example.facts.get("language") if example.facts else None
    file = source["file"] if type(source) is dict else source.file
    return Traits(
        source_name(file),
        "with photo" if example.attachments else "without photo",
        language if type(language) is str and language else UNKNOWN,
        example.origin,
    )


def source_name(file: str) -> str:
    """Return the name under which a source file is counted: all corrected cases are one source."""
    return FEEDBACK_SOURCE if file.startswith(FEEDBACK_FILE) else file


def length_bucket(length: int) -> str:
    """Return the bucket of a length in characters, for instance `101-200`."""
    low = 0
    for bound in _LENGTH_BOUNDS:
        if length <= bound:
            return f"{low}-{bound}"
        low = bound + 1
    return f"{low} and more"


def bucket_order() -> list[str]:
    """Return the buckets, shortest first."""
    return [length_bucket(bound) for bound in (*_LENGTH_BOUNDS, _LENGTH_BOUNDS[-1] + 1)]
