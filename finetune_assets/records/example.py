"""RawRecord, Example and Rejection: one record's life before it is a training row."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypedDict

import orjson

from finetune_assets.records.digests import digest_of

Role = Literal["system", "user", "assistant"]
Origin = Literal["observed", "synthetic", "augmented", "feedback"]
SPLITS = ("train", "validation", "test")
FEEDBACK_FILE = "feedback:case/"
"""How the name of the file begins that a corrected case states as its source; its number follows."""


class Message(TypedDict):
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class SourceRef:
    """Where a record was found.

    Attributes:
        file: the file's name, relative to the source that the YAML names.
        line: 1-based line in a line-based file, else None.
        row: 1-based row in an array, else None.
        offset: byte offset of the record's first byte, None where the format has none.
    """

    file: str
    line: int | None = None
    row: int | None = None
    offset: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form. Spelt out: `asdict` copies deeply and took a fifth of the time of a build."""
        return {"file": self.file, "line": self.line, "row": self.row, "offset": self.offset}

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.file}:{self.line}"
        return f"{self.file}#{self.row}" if self.row is not None else self.file


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as found: its fields under canonical names (aliases mapped), and its source."""

    fields: dict[str, Any]
    source: SourceRef

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that `from_json` reads back."""
        return {"fields": self.fields, "source": self.source.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RawRecord:
        """Read what `to_json` wrote."""
        return cls(fields=data["fields"], source=SourceRef(**data["source"]))


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that belongs to an example, such as a photo: its URI and its mime type."""

    uri: str
    mime_type: str


def content_digest(
    messages: Sequence[Message], target: str, attachments: Sequence[Attachment | Mapping[str, str]]
) -> str:
    """Return the id of what is learned: SHA-256 (64 hex digits) of the canonical JSON of input, answer and files."""
    files = [dict(item) if isinstance(item, Mapping) else asdict(item) for item in attachments] if attachments else []
    named = {"attachments": files, "messages": list(messages), "target": target}
    try:
        # All of it is text, of which orjson makes the bytes of `canonical_json` in a tenth of the time.
        return hashlib.sha256(orjson.dumps(named, option=orjson.OPT_SORT_KEYS)).hexdigest()
    except TypeError:
        return digest_of(named)


@dataclass(frozen=True, slots=True)
class Example:
    """The one canonical training and evaluation record.

    Attributes:
        record_id: the id that the source gave, or one made from the source place.
        content_key: SHA-256 of the normalised input (text and attachments, not the target). Equal keys are one
            question; the key decides leak groups, splits and duplicates.
        messages: the input turns (system, user, …), without the answer.
        target: the answer to learn, exactly as the model is to write it.
        label: the stratum, a readable path such as `physical_development / balance / Emerging`.
        label_path: the label's parts, outermost first.
        groups: declared leak keys as `field=value`, for instance `child_id=17`.
        slices: names of the slices that the example belongs to, sorted.
        attachments: photos and other files.
        source: where the record was found.
        origin: `observed` for a record as found; `synthetic` for one that a program or a model wrote, `augmented` for a
            rewording of a training row, `feedback` for a live answer that a person corrected. None of the three may
            stand in validation or test.
        facts: what the judge and the reader know besides the answer (language, expected keywords, the untuned
            transcript); JSON, no part of the prompt or the example's id.
    """

    record_id: str
    content_key: str
    messages: tuple[Message, ...]
    target: str
    label: str
    label_path: tuple[str, ...]
    source: SourceRef
    groups: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    origin: Origin = "observed"
    facts: dict[str, Any] = dataclass_field(default_factory=dict)

    @property
    def example_id(self) -> str:
        """Content hash of what is learned: input, attachments and target (64 hex digits)."""
        return content_digest(self.messages, self.target, self.attachments)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that `from_json` reads back."""
        return {
            "example_id": self.example_id,
            "record_id": self.record_id,
            "content_key": self.content_key,
            "messages": list(self.messages),
            "target": self.target,
            "label": self.label,
            "label_path": list(self.label_path),
            "groups": list(self.groups),
            "slices": list(self.slices),
            "attachments": [asdict(item) for item in self.attachments],
            "source": self.source.to_json(),
            "origin": self.origin,
            "facts": self.facts,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Example:
        """Read what `to_json` wrote."""
        return cls(
            record_id=data["record_id"],
            content_key=data["content_key"],
            messages=tuple(data["messages"]),
            target=data["target"],
            label=data["label"],
            label_path=tuple(data["label_path"]),
            source=SourceRef(**data["source"]),
            groups=tuple(data["groups"]),
            slices=tuple(data["slices"]),
            attachments=tuple(Attachment(**item) for item in data["attachments"]),
            origin=data.get("origin", "observed"),
            facts=data.get("facts", {}),
        )


class PlainExample(NamedTuple):
    """An example on its way through a batch: the fields of `Example` in a plain tuple, at a fifth of its cost.

    Task types whose rows come by the million may give these from `examples_of_batch`; all others give `Example`.

    Attributes:
        source: the JSON form of the `SourceRef`.
    """

    record_id: str
    content_key: str
    messages: Sequence[Message]
    target: str
    label: str
    label_path: tuple[str, ...]
    source: Mapping[str, Any]
    groups: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    origin: Origin = "observed"
    facts: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def of(cls, example: Example) -> PlainExample:
        """Return an `Example` as a plain one."""
        return cls(
            example.record_id,
            example.content_key,
            example.messages,
            example.target,
            example.label,
            example.label_path,
            example.source.to_json(),
            example.groups,
            example.slices,
            example.attachments,
            example.origin,
            example.facts,
        )

    def to_example(self) -> Example:
        """Return it as the `Example` that it stands for."""
        return Example(
            self.record_id,
            self.content_key,
            tuple(self.messages),
            self.target,
            self.label,
            self.label_path,
            SourceRef(**self.source),
            self.groups,
            self.slices,
            self.attachments,
            self.origin,
            dict(self.facts),
        )


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a record went to quarantine.

    Attributes:
        reason: a code in snake_case, for instance `unknown_label`; the codes are listed in `datasets/quarantine.py`.
        source: where the record stands.
        record_id: the record's id where it has one.
        field: the field at fault, "" for the whole record.
        found: what was found, redacted and at most 200 characters.
        expected: what would have been right.
        mend: what to do.
        text: the offending text, redacted and at most 500 characters.
    """

    reason: str
    source: SourceRef
    record_id: str = ""
    field: str = ""
    found: str = ""
    expected: str = ""
    mend: str = ""
    text: str = dataclass_field(default="", repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return a flat JSON form, one column per fact."""
        return {
            "reason": self.reason,
            "file": self.source.file,
            "line": self.source.line,
            "row": self.source.row,
            "offset": self.source.offset,
            "record_id": self.record_id,
            "field": self.field,
            "found": self.found,
            "expected": self.expected,
            "mend": self.mend,
            "text": self.text,
        }
