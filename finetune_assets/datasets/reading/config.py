"""What a defs.yaml may say about the source of a dataset: where it lies, how it is read, and how far a reader goes."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Format = Literal["auto", "json", "jsonl", "csv", "parquet", "code"]
OneSign = Annotated[str, Field(min_length=1, max_length=1)]

_LANGUAGES = {".java": "java", ".py": "python", ".ts": "typescript", ".tsx": "typescript"}


class CsvConfig(BaseModel):
    """How CSV is written. What is left out is detected, checked over a sample and reported."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    delimiter: OneSign | None = Field(
        default=None, description="The sign between two columns; by default found among comma, semicolon, tab and pipe."
    )
    quotechar: OneSign = Field(default='"', description="The sign around a text; within one it is written twice.")
    escapechar: OneSign | None = Field(
        default=None, description="The sign before a quote within a text where quotes are not doubled, as MySQL writes."
    )
    encoding: Literal["auto", "utf-8", "utf-16", "cp1252", "latin-1"] = Field(
        default="auto",
        description="The encoding; auto is UTF-8, or UTF-16 where a byte order mark says so. Others are never guessed, "
        "and UTF-16 without the mark is refused.",
    )
    header: list[str] | None = Field(
        default=None, min_length=1, description="The column names of a file that has no header line."
    )

    @model_validator(mode="after")
    def _signs_differ(self) -> Self:
        signs = [sign for sign in (self.delimiter, self.quotechar, self.escapechar) if sign is not None]
        if len(set(signs)) < len(signs):
            raise ValueError(f"csv delimiter, quotechar and escapechar must differ, found {signs}")
        if any(sign in "\r\n\0" or ord(sign) > 127 for sign in signs):
            raise ValueError(f"csv delimiter, quotechar and escapechar are ASCII and no line ends, found {signs}")
        return self


class SourceConfig(BaseModel):
    """Where the raw records come from and how they are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(
        min_length=1,
        description="One file, a folder or a glob (*, **, ?, [a-z]), relative to the task's folder or absolute; or the "
        "same in Cloud Storage: gs://bucket/prefix/*.jsonl.",
    )
    format: Format = Field(
        default="auto",
        description="How files are read; auto goes by each file's ending and, without a known one, by its content. "
        "`code` gives one record for each source file.",
    )
    include: list[str] = Field(
        default_factory=list,
        description="Patterns of the files of a folder that are read, whatever their ending; all readable endings when "
        "empty. A pattern with a slash is matched against the path within the folder, one without against the name.",
    )
    exclude: list[str] = Field(
        default_factory=list, description="Patterns of files that are left out; written like those of include."
    )
    follow_links: bool = Field(
        default=False, description="Read what symbolic links within a folder point to outside of it."
    )
    aliases: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Canonical field name to the names it may have in the source, best first; replaces the task type's "
        "list for that field.",
    )
    csv: CsvConfig = Field(default_factory=CsvConfig, description="How CSV files are written.")
    languages: dict[str, str] = Field(
        default=_LANGUAGES, description="For `code`: file ending to the name of its language."
    )
    max_line_bytes: int = Field(
        default=1 << 20,
        ge=1 << 10,
        le=1 << 28,
        description="Longest record in bytes; a longer line goes to quarantine. Bounds the reader's memory.",
    )
    max_nesting: int = Field(
        default=64, ge=2, le=500, description="Deepest nesting of lists and objects within one record."
    )
    max_file_bytes: int = Field(
        default=1 << 20, ge=1, le=1 << 28, description="For `code`: largest source file; larger ones go to quarantine."
    )
    max_files: int = Field(
        default=100_000, ge=1, le=10_000_000, description="Most files of a folder or glob; more are refused unread."
    )
    max_unpacked_bytes: int = Field(
        default=1 << 36,
        ge=1 << 10,
        description="Most bytes that one gzip, zstd or Parquet file may unpack to; more is refused.",
    )
    max_unpack_ratio: float = Field(
        default=500.0,
        ge=1.0,
        description="Most bytes unpacked for one packed byte; judged from 16 MiB on. Text packs 3 to 30 times.",
    )
    max_packed_members: int = Field(
        default=1 << 20,
        ge=1,
        description="Most members (gzip) or frames (zstd) of one packed file; more is refused. "
        "bgzip writes one for each 64 KiB.",
    )
    max_quarantine_share: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.2, description="Largest share (0 to 1) of rows that may be rejected before the dataset is refused."
    )
    synthetic: bool = Field(default=False, description="True when the records were made, not observed; shown as such.")
    provenance: str = Field(default="", description="Where the records come from and under which licence, for people.")

    @field_validator("languages")
    @classmethod
    def _endings_begin_with_a_dot(cls, languages: dict[str, str]) -> dict[str, str]:
        wrong = sorted(ending for ending in languages if not re.fullmatch(r"\.[^./\\\s]+", ending))
        if wrong:
            raise ValueError(f"languages: an ending begins with its only dot, as .java does; found {wrong}")
        return {ending.lower(): language for ending, language in languages.items()}
