"""The check of rendered files: every line says what its example says, and reads back to it.

Here too is the comparison with what a provider accepts (`formats/limits.py`). Findings name rows, never texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from finetune_assets.datasets.findings import SchemaFindings
from finetune_assets.datasets.formats import FORMAT_READERS, RENDERERS, WITH_ATTACHMENTS
from finetune_assets.datasets.formats.hf import FileKind, exported_files, read_exported
from finetune_assets.datasets.formats.limits import LIMITS
from finetune_assets.datasets.formats.parsed import of_example
from finetune_assets.datasets.split_files import CHAT, GEMINI, read_rows
from finetune_assets.records.example import SPLITS, Example
from finetune_assets.records.json_lines import decode_line


def format_findings(
    folder: Path, formats: Sequence[str] = (CHAT, GEMINI), *, hf_files: Sequence[FileKind] = ()
) -> SchemaFindings:
    """Check every rendered line: well-formed, in the order of the examples, and read back to its example.

    Args:
        folder: the split dataset.
        formats: the formats that it was rendered to.
        hf_files: kinds of file that `hf` was exported to; each must hold the rows of its JSON Lines.

    Returns:
        The findings; facts hold the rows of each format and how many examples it left out. A format without any
        training row fails: nobody asks for an empty file.

    Raises:
        OSError: when a file cannot be read.
    """
    findings = SchemaFindings()
    written: dict[str, int] = dict.fromkeys(formats, 0)
    left_out: dict[str, int] = dict.fromkeys(formats, 0)
    for form in formats:
        for split in SPLITS:
            rows = _check_file(findings, folder, form, split, left_out)
            written[form] += rows
            if split == "train" and not rows:
                problem = "no row: no training example has what this format needs"
                findings.fail({"split": split}, f"{form}/{split}.jsonl", problem)
            if form == "hf":
                _check_exports(findings, folder / form, split, hf_files)
    findings.facts = {"rows_by_format": written, "left_out_by_format": left_out}
    return findings


def _check_file(findings: SchemaFindings, folder: Path, form: str, split: str, left_out: dict[str, int]) -> int:
    """Check one file line by line; return its rows."""
    name = f"{form}/{split}.jsonl"
    rows = 0
    lines = _lines(folder / name)
    for row in read_rows(folder, split):
        example = Example.from_json(row)
        expected = RENDERERS[form](example)
        if expected is None:
            left_out[form] += 1
            continue
        findings.rows += 1
        line = next(lines, None)
        rows += line is not None
        if problem := _line_problem(form, example, expected, line):
            findings.fail(row, name, problem)
    for _ in lines:
        findings.rows += 1
        findings.fail({"split": split}, name, "a line without an example")
    return rows


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as stream:
        yield from stream


def _line_problem(form: str, example: Example, expected: Mapping[str, Any], line: str | None) -> str:
    if line is None:
        return "an example without a line"
    try:
        found = decode_line(line.encode())
    except json.JSONDecodeError:
        return "not JSON"
    if found != expected:
        return "not what the example renders to"
    try:
        read = FORMAT_READERS[form](found)
    except (ValueError, KeyError, TypeError) as error:
        # Messages of the readers name parts, never texts.
        return f"cannot be read back: {error}"
    if read != of_example(example, with_attachments=form in WITH_ATTACHMENTS):
        return "does not read back to its example"
    judge = _JUDGES.get(form)
    return judge(found) if judge else ""


def _chat_problem(found: Mapping[str, Any]) -> str:
    """Judge a chat line by what a trainer needs, whatever the renderer thinks."""
    roles = [turn["role"] for turn in found["messages"] if turn["role"] != "system"]
    alternate = roles == ["user", "assistant"] * (len(roles) // 2) and roles
    return "" if alternate else "turns do not alternate between user and assistant"


def _gemini_problem(found: Mapping[str, Any]) -> str:
    roles = [turn["role"] for turn in found["contents"]]
    alternate = roles == ["user", "model"] * (len(roles) // 2) and roles
    return "" if alternate else "contents do not alternate between user and model"


_JUDGES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    CHAT: _chat_problem,
    GEMINI: _gemini_problem,
    "vertex_open_messages": _chat_problem,
}


def _check_exports(findings: SchemaFindings, folder: Path, split: str, kinds: Sequence[FileKind]) -> None:
    for name in exported_files(kinds, split):
        lines = (decode_line(line.encode()) for line in _lines(folder / f"{split}.jsonl"))
        differing = sum(
            found != expected for found, expected in zip_longest(read_exported(folder / name), lines, fillvalue=None)
        )
        if differing:
            findings.fail({"split": split}, f"hf/{name}", f"{differing} rows differ from {split}.jsonl")


def limit_findings(folder: Path, formats: Sequence[str], *, multimodal: bool) -> SchemaFindings:
    """Compare the rendered files with what their provider accepts.

    Args:
        folder: the split dataset.
        formats: the formats that it was rendered to; those without a provider have no limits.
        multimodal: whether examples have attachments.

    Returns:
        One failure for each limit that is broken; facts hold when the limits were read and where.

    Raises:
        OSError: when a file cannot be read.
    """
    findings = SchemaFindings()
    for form in formats:
        limits = LIMITS.get(form)
        if limits is None:
            continue
        sizes = {split: _size(folder / form / f"{split}.jsonl") for split in ("train", "validation")}
        findings.rows += sum(rows for rows, _ in sizes.values())
        for problem in limits.problems(train=sizes["train"], validation=sizes["validation"], multimodal=multimodal):
            findings.fail({"split": problem.split}, f"{form}/{problem.split}.jsonl", problem.text)
        findings.facts[form] = f"{limits.source}, {limits.dated}"
    return findings


def _size(path: Path) -> tuple[int, int]:
    """Return a file's rows and bytes."""
    with path.open("rb") as stream:
        rows = sum(1 for _ in stream)
    return rows, path.stat().st_size
