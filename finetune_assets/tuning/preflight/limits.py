"""Rules for whole files: rows, bytes, and how the validation file stands to the training file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finetune_assets.tuning.cloud.catalogue import FileLimits, ModelEntry
from finetune_assets.tuning.findings import Finding
from finetune_assets.tuning.preflight.report import FileFacts


def limit_findings(files: Sequence[FileFacts], entry: ModelEntry) -> Iterator[Finding]:
    """Yield the limits that files break.

    Args:
        files: the training file, then the validation file where there is one.
        entry: the model.
    """
    train = files[0]
    yield from _train_findings(train, entry)
    for validation in files[1:]:
        yield from _validation_findings(train, validation, entry.limits)


def _train_findings(train: FileFacts, entry: ModelEntry) -> Iterator[Finding]:
    limits = entry.limits
    if train.rows == 0:
        yield Finding("rows", "error", "train", "no rows", "at least 1", "check the split")
    elif train.rows < limits.advised_rows:
        mend = "more examples, where there are any"
        yield _found(
            "rows", "train", f"{train.rows:,} rows", f"{limits.advised_rows:,} to start with", mend, limits, True
        )
    most = limits.train_rows_multimodal if train.volume.attachments else limits.train_rows
    if most is not None and train.rows > most:
        what = " with files" if train.volume.attachments else ""
        yield _found("rows", "train", f"{train.rows:,} rows{what}", f"{most:,}", "take a sample of the rows", limits)
    if limits.file_bytes is not None and train.bytes > limits.file_bytes:
        found, limit = f"{train.bytes:,} bytes", f"{limits.file_bytes:,} bytes"
        yield _found("file_bytes", "train", found, limit, "take fewer or shorter rows", limits)


def _validation_findings(train: FileFacts, validation: FileFacts, limits: FileLimits) -> Iterator[Finding]:
    mend = "give the validation split a smaller share (90/10)"
    rows, share = validation.rows, limits.validation_rows_share
    if limits.validation_rows is not None and rows > limits.validation_rows:
        yield _found("validation_rows", "validation", f"{rows:,} rows", f"{limits.validation_rows:,}", mend, limits)
    if share is not None and rows > limits.validation_rows_free and rows > share * train.rows:
        found = f"{rows:,} rows beside {train.rows:,} training rows"
        limit = f"{share:.0%} of them, beyond {limits.validation_rows_free:,}"
        yield _found("validation_share", "validation", found, limit, mend, limits)
    share = limits.validation_bytes_share
    if share is not None and validation.bytes > share * train.bytes:
        found = f"{validation.bytes:,} bytes, {validation.bytes / max(1, train.bytes):.1%} of the training file"
        yield _found("validation_bytes", "validation", found, f"{share:.0%} of its bytes", mend, limits)


def _found(
    rule: str, where: str, found: str, limit: str, mend: str, limits: FileLimits, is_advice: bool = False
) -> Finding:
    return Finding(rule, "warning" if is_advice else "error", where, found, limit, mend, as_of=str(limits.as_of))
