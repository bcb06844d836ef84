"""Source code as records: one for each file, with its path, its language by ending and its text.

Taking the text apart is the business of the task type. Here belong only reading and decoding: UTF-8, with or without a
byte order mark; line ends stay as they are.
"""

from __future__ import annotations

import codecs

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.errors import SourceError
from finetune_assets.datasets.reading.json_rows import Fault, FoundRow
from finetune_assets.datasets.reading.listing import SourceFile, code_language

_SHOWN_BYTES = 2000
_BINARY_MARKS = (b"\xca\xfe\xba\xbe", b"\x7fELF", b"PK\x03\x04", b"\x1f\x8b", b"MZ\x90", b"\x89PNG", b"\xfe\xed\xfa")
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def code_file(file: SourceFile, config: SourceConfig) -> FoundRow:
    """Return the one row of a source code file: fields `path`, `language` and `text`.

    Args:
        file: the file; its name is the path that the record gets.
        config: `languages` by ending and `max_file_bytes`.

    Raises:
        FinetuneError: when the file is missing or unreadable, or its ending has no language.
        OSError: when the disk fails.
    """
    language = code_language(file.name, config)
    if language is None:
        raise SourceError(
            "foreign_format",
            "the file's ending has no language",
            where=str(file.path),
            found=file.name.rsplit("/", 1)[-1],
            expected=", ".join(sorted(config.languages)),
            mend="add the ending to dataset.source.languages",
        )
    if file.path.exists() and not file.path.is_file():
        raise SourceError("unreadable_file", "source is a device or pipe", where=str(file.path), expected="a file")
    try:
        with file.path.open("rb") as stream:
            raw = stream.read(config.max_file_bytes + 1)
    except FileNotFoundError as error:
        raise SourceError(
            "unreadable_file", "source file is missing", where=str(file.path), mend="restore it, or remove the link"
        ) from error
    text, line, fault = _decoded(raw, config.max_file_bytes)
    fields = {} if fault else {"path": file.name, "language": language, "text": text}
    return FoundRow(line, None, 0, text, fields, fault)


def _decoded(raw: bytes, max_bytes: int) -> tuple[str, int | None, Fault | None]:
    """Return the text, or its beginning with the line of the fault and the fault."""
    shown = raw[:_SHOWN_BYTES].decode("utf-8", "replace")
    if len(raw) > max_bytes:
        mend = "leave generated files out by source.exclude, or raise source.max_file_bytes"
        return shown, None, Fault("file_too_large", f"more than {max_bytes} bytes", f"at most {max_bytes} bytes", mend)
    if raw.startswith(_WIDE_MARKS):
        mend = "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"
        return "", None, Fault("bad_encoding", "UTF-16 with a byte order mark", "UTF-8", mend, "text")
    if raw.startswith(_BINARY_MARKS):
        return "", None, _binary("the first bytes of a binary format")
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        if b"\0" in raw:
            return "", None, _binary("zero bytes, and bytes that are not UTF-8")
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"byte {error.start} is not UTF-8"
        mend = "convert it: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW"
        return shown, line, Fault("bad_encoding", found, "UTF-8", mend, "text")
    if "\0" not in text:
        return text, None, None
    if text.count("\0") * 10 >= len(text):
        return "", None, _binary("a tenth or more zero bytes")
    line = text.count("\n", 0, text.index("\0")) + 1
    fault = Fault("nul_character", "U+0000 in the code", "text without it", "remove the character", "text")
    return shown, line, fault


def _binary(found: str) -> Fault:
    return Fault("binary_file", found, "source code as text", "leave it out by source.exclude", "text")
