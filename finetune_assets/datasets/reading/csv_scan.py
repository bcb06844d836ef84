"""CsvScan: one CSV record taken apart line by line, naming what is wrong with its quotes.

RFC 4180: a text that holds the delimiter, a quote or a line end stands between quotes, and quotes within it are
doubled. Python's own reader joins what follows a closing quote to the text in silence, and runs on to the end of the
file behind a quote that is never closed.
"""

from __future__ import annotations

from typing import Literal

State = Literal["open", "whole", "broken"]


class CsvScan:
    """The cells of one record; `feed` takes its lines until it is whole or broken.

    Attributes:
        cells: the cells so far.
        problem: what is wrong, once it is broken.
        stray_quotes: True when a text without quotes around it holds one.

    Args:
        delimiter: between two cells.
        quotechar: around a text.
        escapechar: before a quote within a text, or None where quotes are doubled.
    """

    def __init__(self, delimiter: str, quotechar: str, escapechar: str | None) -> None:
        self._delimiter = delimiter
        self._quote = quotechar
        self._escape = escapechar
        self._open: list[str] | None = None
        self.cells: list[str] = []
        self.problem = ""
        self.stray_quotes = False

    def feed(self, text: str, line_end: str = "\n") -> State:
        """Take one line without its line end; a carriage return at its end is part of the line end.

        Returns:
            `open` when the record goes on in the next line.
        """
        at = 0
        while True:
            if self._open is None and not text.startswith(self._quote, at):
                at = self._plain(text, at)
                if at > len(text):
                    return "whole"
                continue
            if self._open is None:
                self._open, at = [], at + 1
            at = self._close(text, at)
            if at < 0:
                self._open.append(line_end)
                return "open"
            self.cells.append("".join(self._open))
            self._open = None
            rest = text[at : at + 2]
            if rest in ("", "\r"):
                return "whole"
            if not rest.startswith(self._delimiter):
                self.problem = f"text behind the closing quote of column {len(self.cells)}, at sign {at + 1}"
                return "broken"
            at += 1

    def _plain(self, text: str, at: int) -> int:
        """Take a cell without quotes; return where the next begins, beyond the text when there is none."""
        if self._escape is not None and self._escape in text:
            return self._escaped(text, at)
        end = text.find(self._delimiter, at)
        cell = text[at:end] if end >= 0 else text[at:].removesuffix("\r")
        self.stray_quotes = self.stray_quotes or self._quote in cell
        self.cells.append(cell)
        return end + 1 if end >= 0 else len(text) + 1

    def _escaped(self, text: str, at: int) -> int:
        parts: list[str] = []
        while at < len(text) and text[at] != self._delimiter:
            at += text[at] == self._escape and at + 1 < len(text)
            parts.append(text[at])
            at += 1
        cell = "".join(parts)
        self.cells.append(cell if at < len(text) else cell.removesuffix("\r"))
        return at + 1

    def _close(self, text: str, at: int) -> int:
        """Take what stands between quotes; return the index behind the closing one, or -1 when it is not here."""
        parts = self._open if self._open is not None else []
        while True:
            end = text.find(self._quote, at)
            sign = text.find(self._escape, at, end if end >= 0 else None) if self._escape is not None else -1
            if sign >= 0:
                parts.append(text[at:sign])
                parts.append(text[sign + 1 : sign + 2])
                at = sign + 2
            elif end < 0:
                parts.append(text[at:])
                return -1
            elif self._escape is None and text.startswith(self._quote, end + 1):
                parts.append(text[at : end + 1])
                at = end + 2
            else:
                parts.append(text[at:end])
                return end + 1
