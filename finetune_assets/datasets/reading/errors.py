"""SourceError: a file of the source that cannot be used as a whole."""

from __future__ import annotations

from finetune_assets.datasets.reading.json_rows import Fault
from finetune_assets.records.errors import FinetuneError


class SourceError(FinetuneError):
    """A file that cannot be used. A single-file source stops at it; of several files it is one row in quarantine.

    Args:
        reason: the reason code of `quarantine.REASONS` for that row.
        what: see FinetuneError, as for the others.
        where: the place.
        found: what was found there.
        expected: what would have been right.
        mend: what to do next.
    """

    def __init__(
        self, reason: str, what: str, *, where: str = "", found: str = "", expected: str = "", mend: str = ""
    ) -> None:
        super().__init__(what, where=where, found=found, expected=expected, mend=mend)
        self.reason = reason


def unreadable(path: object, error: OSError) -> SourceError:
    """Return the error for a file that the operating system does not let us read."""
    return SourceError(
        "unreadable_file",
        "source file cannot be read",
        where=str(path),
        found=error.strerror or str(error),
        mend="check its permissions, and the disk",
    )


def fault_of_file(error: FinetuneError) -> Fault:
    """Return the fault of the one row that stands for the file; the place stands in the row's source."""
    reason = error.reason if isinstance(error, SourceError) else "foreign_format"
    found = f"{error.what}: {error.found}" if error.found else error.what
    return Fault(reason, found, error.expected, error.mend)
