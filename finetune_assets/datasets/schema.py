"""Checks of a written split dataset: schema, taxonomy, leakage, tokens, format, label balance.

Each check reads the files again instead of trusting the build. Findings name rows and fields and carry no text of
people: they end up in logs and in the metadata of a web page.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from finetune_assets.datasets.leakage import measure_leakage
from finetune_assets.datasets.render import RENDERERS, to_chat
from finetune_assets.datasets.split_files import CHAT, GEMINI, read_rows
from finetune_assets.records.example import SPLITS, Example
from finetune_assets.records.task_type import TaskType

_MAX_FAILURES = 100
_BATCH_ROWS = 10_000
_HEX_DIGEST = r"^[0-9a-f]{64}$"
_ROLES = frozenset({"system", "user", "assistant"})


@dataclass(slots=True)
class SchemaFindings:
    """What a check found.

    Attributes:
        rows: rows that were looked at.
        failures: the first 100 failing rows, as `split`, `record_id`, `example_id`, `field` and `problem`.
        failure_count: all failing rows.
        facts: figures for the person who reads the check.
    """

    rows: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    failure_count: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True when rows were looked at and none failed: an empty dataset passes nothing."""
        return self.rows > 0 and self.failure_count == 0

    def fail(self, row: Mapping[str, Any], name: str, problem: str) -> None:
        """Note a failing row; `problem` must not quote its text."""
        self.failure_count += 1
        if len(self.failures) < _MAX_FAILURES:
            place = {key: row.get(key) for key in ("split", "record_id", "example_id")}
            self.failures.append({**place, "field": name, "problem": problem})


def validate_examples(folder: Path, task: TaskType) -> SchemaFindings:
    """Check every example against the schema, by pandera, in batches of 10,000 rows.

    Args:
        folder: the split dataset.
        task: says how many levels a label has and which answers are legal.

    Returns:
        The findings; ids are checked for uniqueness over the whole dataset.

    Raises:
        OSError: when `examples.jsonl` cannot be read.
    """
    import pandas as pd
    from pandera.errors import SchemaErrors

    findings = SchemaFindings()
    schema = _schema(task)
    seen: dict[str, set[str]] = {"record_id": set(), "example_id": set(), "content_key": set()}
    rows = read_rows(folder)
    while batch := list(islice(rows, _BATCH_ROWS)):
        findings.rows += len(batch)
        try:
            schema.validate(pd.DataFrame([_columns(row) for row in batch]), lazy=True)
        except SchemaErrors as error:
            for case in error.failure_cases.to_dict("records"):
                # A missing column fails as a whole and has no row number.
                at = case["index"]
                row = batch[int(at)] if at is not None and at == at else {}
                findings.fail(row, str(case["column"]), str(case["check"]))
        for row in batch:
            for name, known in seen.items():
                if row[name] in known:
                    findings.fail(row, name, "not unique")
                known.add(row[name])
    return findings


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as flat columns without its texts."""
    turns = row["messages"]
    return {
        "split": row["split"],
        "example_id": row["example_id"],
        "record_id": row["record_id"],
        "content_key": row["content_key"],
        "label": row["label"],
        "levels": len(row["label_path"]),
        "target": row["target"],
        "turns": len(turns),
        "roles_known": all(turn["role"] in _ROLES for turn in turns),
        "ends_with_user": bool(turns) and turns[-1]["role"] == "user",
        "blank_turns": sum(not turn["content"].strip() for turn in turns),
        "example_id_holds": Example.from_json(dict(row)).example_id == row["example_id"],
    }


def _schema(task: TaskType) -> Any:
    from pandera.pandas import Check, Column, DataFrameSchema

    choices = task.choices()
    target_checks = [Check.str_length(min_value=1, error="target is empty")]
    if choices is not None:
        # The failing value is an answer of the taxonomy's making; the message must not list thousands of legal ones.
        target_checks.append(Check.isin(choices, error="target is no legal answer"))
    digest = Check.str_matches(_HEX_DIGEST, error="not 64 hex digits")
    true = Check.eq(True, error="does not hold")
    return DataFrameSchema(
        {
            "split": Column(str, Check.isin(SPLITS, error="split is unknown")),
            "example_id": Column(str, digest),
            "record_id": Column(str, Check.str_length(min_value=1, error="record id is empty")),
            "content_key": Column(str, digest),
            "label": Column(str, Check.str_length(min_value=1, error="label is empty")),
            "levels": Column(int, Check.eq(len(task.label_levels), error="label has not all levels")),
            "target": Column(str, target_checks),
            "turns": Column(int, Check.ge(1, error="no turn")),
            "roles_known": Column(bool, true),
            "ends_with_user": Column(bool, true),
            "blank_turns": Column(int, Check.eq(0, error="a turn is blank")),
            "example_id_holds": Column(bool, true),
        },
        strict=True,
    )


def taxonomy_findings(folder: Path, task: TaskType) -> SchemaFindings:
    """Check that every target, read as a model's answer would be, gives the example's own label.

    Raises:
        OSError: when `examples.jsonl` cannot be read.
    """
    findings = SchemaFindings()
    labels: Counter[tuple[str, ...]] = Counter()
    for row in read_rows(folder):
        findings.rows += 1
        path = tuple(row["label_path"])
        labels[path] += 1
        answer = task.parse(row["target"])
        if not answer.valid:
            findings.fail(row, "target", answer.problem)
        elif answer.label_path and answer.label_path != path:
            findings.fail(row, "target", "says another label than the example")
    choices = task.choices()
    findings.facts = {"labels_used": len(labels), "labels_legal": len(choices) if choices is not None else None}
    return findings


def leakage_findings(folder: Path) -> SchemaFindings:
    """Check that no question and no declared group stands in two splits.

    Raises:
        OSError: when `examples.jsonl` cannot be read.
    """
    leakage = measure_leakage(folder)
    return SchemaFindings(
        rows=leakage.rows,
        failures=leakage.failures,
        failure_count=leakage.key_overlap + leakage.group_overlap,
        facts={
            "cross_split_key_overlap": leakage.key_overlap,
            "cross_split_group_overlap": leakage.group_overlap,
            "components": leakage.components,
            "largest_component": leakage.largest_component,
        },
    )


def token_findings(
    folder: Path, *, count_tokens: Callable[[list[dict[str, Any]]], int], max_tokens: int
) -> SchemaFindings:
    """Check that every example fits the model.

    Args:
        folder: the split dataset.
        count_tokens: returns the tokens of a whole conversation, answer included (a list of `role` and `content`),
            rendered as for training.
        max_tokens: the most that an example may have.

    Returns:
        The findings; facts hold the longest, the mean and the total tokens of each split.

    Raises:
        OSError: when `examples.jsonl` cannot be read.
    """
    findings = SchemaFindings()
    totals: dict[str, list[int]] = {name: [0, 0, 0] for name in SPLITS}
    for row in read_rows(folder):
        findings.rows += 1
        tokens = count_tokens(to_chat(Example.from_json(row))["messages"])
        total = totals[row["split"]]
        total[0] += 1
        total[1] += tokens
        total[2] = max(total[2], tokens)
        if tokens > max_tokens:
            findings.fail(row, "messages", f"{tokens} tokens, at most {max_tokens} allowed")
    findings.facts = {
        name: {"longest": longest, "mean": round(tokens / rows, 1) if rows else 0.0, "total": tokens}
        for name, (rows, tokens, longest) in totals.items()
    }
    return findings


def format_findings(folder: Path, formats: Sequence[str] = (CHAT, GEMINI)) -> SchemaFindings:
    """Check every rendered line: it must be well-formed and say exactly what its example says, in the same order.

    Args:
        folder: the split dataset.
        formats: the formats that it was rendered to.

    Raises:
        OSError: when a file cannot be read.
    """
    findings = SchemaFindings()
    for form in formats:
        for split in SPLITS:
            lines = _lines(folder / form / f"{split}.jsonl")
            for row, line in zip_longest(read_rows(folder, split), lines):
                findings.rows += 1
                problem = _line_problem(form, row, line)
                if problem:
                    findings.fail(row or {"split": split}, f"{form}/{split}.jsonl", problem)
    return findings


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as stream:
        yield from stream


def _line_problem(form: str, row: Mapping[str, Any] | None, line: str | None) -> str:
    if row is None:
        return "a line without an example"
    if line is None:
        return "an example without a line"
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return "not JSON"
    example = Example.from_json(dict(row))
    if found != RENDERERS[form](example):
        return "not what the example renders to"
    judge = _JUDGES.get(form)
    return judge(found, row) if judge else ""


def _chat_problem(found: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Judge a chat line by what a trainer needs, whatever the renderer thinks."""
    turns = found["messages"]
    roles = [turn["role"] for turn in turns if turn["role"] != "system"]
    if roles != ["user", "assistant"] * (len(roles) // 2) or not roles:
        return "turns do not alternate between user and assistant"
    return "" if turns[-1]["content"] == row["target"] else "the last turn is not the target"


def _gemini_problem(found: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    contents = found["contents"]
    roles = [turn["role"] for turn in contents]
    if roles != ["user", "model"] * (len(roles) // 2) or not roles:
        return "contents do not alternate between user and model"
    files = [part for turn in contents for part in turn["parts"] if "fileData" in part]
    if len(files) != len(row["attachments"]):
        return "not every attachment is a fileData part"
    return "" if contents[-1]["parts"] == [{"text": row["target"]}] else "the last turn is not the target"


_JUDGES: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], str]] = {
    CHAT: _chat_problem,
    GEMINI: _gemini_problem,
}


def label_balance(folder: Path, *, min_rows: int = 2) -> SchemaFindings:
    """Find labels that are rare in training or absent from test.

    Args:
        folder: the split dataset.
        min_rows: fewest training rows of a label.

    Returns:
        One failure for each label with too few training rows; facts hold the number of labels, the largest ratio
        between two labels' training rows, and the labels that test lacks.

    Raises:
        OSError: when `examples.jsonl` cannot be read.
    """
    findings = SchemaFindings()
    counts: dict[str, Counter[str]] = {name: Counter() for name in SPLITS}
    for row in read_rows(folder):
        findings.rows += 1
        counts[row["split"]][row["label"]] += 1
    train = counts["train"]
    labels = sorted({label for found in counts.values() for label in found})
    for label in labels:
        if train[label] < min_rows:
            findings.fail({"split": "train"}, "label", f"{label}: {train[label]} training rows, at least {min_rows}")
    findings.facts = {
        "labels": len(labels),
        "largest_ratio": _ratio(train.values()),
        "labels_absent_from_test": [label for label in labels if not counts["test"][label]],
    }
    return findings


def _ratio(counts: Iterable[int]) -> float:
    present = sorted(count for count in counts if count)
    return round(present[-1] / present[0], 1) if present else 0.0
