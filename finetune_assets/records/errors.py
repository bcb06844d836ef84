"""The one error type that a person may see: it names the thing, the place and the mend."""

from __future__ import annotations


class FinetuneError(Exception):
    """A problem that the user can mend; it prints as one line without a traceback.

    Args:
        what: the thing that is wrong, in a few words ("source file is missing").
        where: the place: file, line, record id, field or YAML path.
        found: what was found there, shortened to 200 characters.
        expected: what would have been right.
        mend: what to do next.
    """

    def __init__(self, what: str, *, where: str = "", found: str = "", expected: str = "", mend: str = "") -> None:
        self.what = what
        self.where = where
        self.found = found[:200]
        self.expected = expected
        self.mend = mend
        super().__init__(self._line())

    def _line(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f" at {self.where}")
        if self.found:
            parts.append(f"; found {self.found}")
        if self.expected:
            parts.append(f"; expected {self.expected}")
        line = "".join(parts)
        if self.mend:
            line = f"{line.rstrip('.')}. Mend: {self.mend}"
        return " ".join(line.split())
