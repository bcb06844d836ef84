"""JsonText: a JSON document read value by value through a window of bounded size."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any, BinaryIO

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.json_rows import Fault, StrictJson, too_long
from finetune_assets.datasets.reading.text_lines import skip_mark
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.redaction import redact

_CHUNK_BYTES = 1 << 18
# A record over the bound is one bad row as long as its end is found within this many times the bound.
_PATIENCE = 16
_BLANK = re.compile(r"[ \t\r\n]*")


class JsonText:
    """A cursor over a JSON document.

    Args:
        stream: the file, at its start.
        path: its name, for errors.
        config: `max_line_bytes` bounds one value and, sixteen-fold, the window; `max_nesting` its depth.
    """

    def __init__(self, stream: BinaryIO, path: Path, config: SourceConfig) -> None:
        self._stream = stream
        self._max_bytes = config.max_line_bytes
        self._json = StrictJson(config.max_nesting)
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._window = ""
        self._at = 0
        self._ended = False
        self._counted = 0  # index in the window up to which `_offset` has been counted
        self._offset = self._read_bytes = skip_mark(stream)
        self._line = 1
        self.path = path

    @property
    def where(self) -> str:
        """The file and the line of the cursor."""
        self._count()
        return f"{self.path}:{self._line}"

    def peek(self) -> str:
        """Return the next sign that is not white space, without taking it; "" at the end of the file."""
        while True:
            blank = _BLANK.match(self._window, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._more():
                return ""

    def take(self, sign: str) -> None:
        """Take the sign that must come next.

        Raises:
            FinetuneError: when another one comes.
        """
        if self.peek() != sign:
            raise self.broken(repr(sign))
        self._at += 1

    def separator(self, closing: str) -> bool:
        """Take a comma, or see the closing bracket.

        Returns:
            True when another item follows, False before the closing bracket.

        Raises:
            FinetuneError: when neither comes, or the bracket comes after the comma.
        """
        if self.peek() == closing:
            return False
        self.take(",")
        if self.peek() == closing:
            raise self.broken("another item after the comma")
        return True

    def value(self) -> tuple[Any, Fault | None, str, int]:
        """Read one value.

        Returns:
            The value, its fault or None, its text and the byte offset where it begins.

        Raises:
            FinetuneError: when it is no JSON, too deep for the reader, or far longer than `max_line_bytes`.
        """
        self.peek()
        offset = self._count()
        while True:
            try:
                value, end, fault = self._json.decode_at(self._window, self._at)
            except json.JSONDecodeError as error:
                if self._room() and self._more():
                    continue
                raise self._not_read(error) from error
            except RecursionError as error:
                raise FinetuneError(
                    "JSON is nested too deep",
                    where=self.where,
                    found="lists or objects within each other, hundreds of levels",
                    mend="check how the file was made; no record needs such depth",
                ) from error
            # A number at the window's end may go on in the next chunk.
            if end < len(self._window) or not self._more():
                break
        text = self._window[self._at : end]
        self._at = end
        if len(text) > self._max_bytes or (not text.isascii() and len(text.encode()) > self._max_bytes):
            fault = too_long(self._max_bytes)
        return value, fault, text, offset

    def broken(self, expected: str) -> FinetuneError:
        """Return the error for a sign that JSON does not allow here."""
        found = self._window[self._at : self._at + 40]
        return FinetuneError(
            "source file is not valid JSON",
            where=self.where,
            found=f"{redact(found)!r} at byte {self._count()}" if found else "the end of the file",
            expected=expected,
            mend=_hint(found),
        )

    def trailing(self) -> FinetuneError:
        """Return the error for what follows the end of the document."""
        found = self._window[self._at : self._at + 40]
        return FinetuneError(
            "extra data after the JSON document",
            where=self.where,
            found=f"{redact(found)!r} at byte {self._count()}",
            expected="the end of the file",
            mend="remove what follows; a proxy or a second export may have been appended",
        )

    def _not_read(self, error: json.JSONDecodeError) -> FinetuneError:
        if not self._room():
            return FinetuneError(
                "a JSON value is broken or too long",
                where=self.where,
                found=f"more than {_PATIENCE * self._max_bytes} bytes from byte {self._count()} without an end",
                expected="records of at most source.max_line_bytes",
                mend="look for a missing quote or bracket there, or raise dataset.source.max_line_bytes",
            )
        self._at = max(self._at, min(error.pos, len(self._window)))
        return self.broken(error.msg.removeprefix("Expecting ").lower())

    def _room(self) -> bool:
        return len(self._window) - self._at <= _PATIENCE * self._max_bytes

    def _count(self) -> int:
        """Return the cursor's byte offset, counting only what was passed since the last time."""
        passed = self._window[self._counted : self._at]
        self._offset += len(passed) if passed.isascii() else len(passed.encode())
        self._line += passed.count("\n")
        self._counted = self._at
        return self._offset

    def _more(self) -> bool:
        """Read on and drop what lies behind the cursor; False at the end of the file."""
        if self._ended:
            return False
        self._count()
        self._window = self._window[self._at :]
        self._at = self._counted = 0
        # Growing with what is held keeps the cost of reading one long value linear.
        chunk = self._stream.read(max(_CHUNK_BYTES, len(self._window)))
        self._ended = not chunk
        try:
            self._window += self._decoder.decode(chunk, final=self._ended)
        except UnicodeDecodeError as error:
            raise FinetuneError(
                "source file is not UTF-8",
                where=str(self.path),
                found=f"a byte that no UTF-8 text has, about byte {self._read_bytes + error.start}",
                expected="UTF-8",
                mend="convert it: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW",
            ) from error
        self._read_bytes += len(chunk)
        return True


def _hint(found: str) -> str:
    if not found:
        return "the file was cut short: copy or export it again"
    if found.startswith(("/", "#")):
        return "JSON has no comments; remove them"
    if found.startswith("'"):
        return "write double quotes; this looks like printed Python (json.dumps writes JSON)"
    if found[0].isalpha():
        return "put keys and texts in double quotes"
    if found.startswith("<"):
        return "this is markup or a merge marker, not JSON; export the data again"
    return "correct the file, or export it again with a JSON library"
