"""Checks of a written split dataset: schema, taxonomy, leakage, label balance.

Each check reads the files again instead of trusting the build. Findings name rows and fields and carry no text of
people: they end up in logs and in the metadata of a web page. Rendered files are checked in `format_checks.py`, tokens
in `tokens.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from finetune_assets.datasets.batches import HASH_BYTES, short_hash
from finetune_assets.datasets.collector import paused
from finetune_assets.datasets.config import SplitConfig
from finetune_assets.datasets.findings import SchemaFindings
from finetune_assets.datasets.settling import numbered
from finetune_assets.datasets.split_files import read_rows
from finetune_assets.datasets.splitting.leakage import measure_leakage
from finetune_assets.records.example import SPLITS, content_digest
from finetune_assets.records.similarity import FixedWording
from finetune_assets.records.task_type import TaskType

_FRAME_ROWS = 20_000
_TAKEN_ROWS = 200
_UNIQUE = ("example_id", "record_id", "content_key")
_IS_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch
_ARE_DIGITS = re.compile(r"[0-9a-f]*").fullmatch
# What the schema sees of an answer.
_LEGAL, _EMPTY, _ILLEGAL = range(3)
_ROLES = frozenset({"system", "user", "assistant"})
# Rows that somebody really asked; the others were made.
_SEEN = ("observed", "feedback")


def validate_examples(folder: Path, task: TaskType) -> SchemaFindings:
    """Check every example against the schema, by pandera, in frames of 20,000 rows.

    Args:
        folder: the split dataset.
        task: says how many levels a label has and which answers are legal.

    Returns:
        The findings; ids are checked for uniqueness over the whole dataset, in 48 bytes a row.

    Raises:
        OSError: when `examples.jsonl` cannot be read.
    """
    import pandas as pd
    from pandera.errors import SchemaErrors

    findings = SchemaFindings()
    schema = _schema(task)
    choices = task.choices()
    legal = None if choices is None else frozenset(choices)
    ids = {name: bytearray() for name in _UNIQUE}
    rows = read_rows(folder)
    while True:
        named, frame = _next_frame(rows, legal)
        if not frame:
            break
        findings.rows += len(named["split"])
        for name, hashes in ids.items():
            hashes += _stand_ins(named[name])
        try:
            schema.validate(pd.DataFrame(frame), lazy=True)
        except SchemaErrors as error:
            for case in error.failure_cases.to_dict("records"):
                # A missing column fails as a whole and has no row number.
                at = case["index"]
                known = at is not None and at == at
                row = {name: column[int(at)] for name, column in named.items()} if known else {}
                findings.fail(row, str(case["column"]), str(case["check"]))
    _find_repeated(folder, ids, findings)
    return findings


def _stand_ins(texts: Sequence[str]) -> bytes:
    """Return 16 bytes for each text: half of a digest, the short hash of anything else."""
    if _are_digests(texts):
        return bytes.fromhex("".join([text[: 2 * HASH_BYTES] for text in texts]))
    halves = (bytes.fromhex(text[: 2 * HASH_BYTES]) if _IS_DIGEST(text) else short_hash(text) for text in texts)
    return b"".join(halves)


def _are_digests(texts: Sequence[str]) -> bool:
    """True when each text is a digest; all are looked at as one."""
    return set(map(len, texts)) == {64} and _ARE_DIGITS("".join(texts)) is not None


def _next_frame(
    rows: Iterator[Mapping[str, Any]], legal: frozenset[str] | None
) -> tuple[dict[str, list[str]], dict[str, list[Any]]]:
    """Return the next 20,000 rows: what names them, and what the schema sees of them; both {} after the last one."""
    named: dict[str, list[str]] = {}
    frame: dict[str, list[Any]] = {}
    with paused():
        for _ in range(_FRAME_ROWS // _TAKEN_ROWS):
            taken = list(islice(rows, _TAKEN_ROWS))
            if not taken:
                break
            for name in ("split", *_UNIQUE):
                named.setdefault(name, []).extend([row[name] for row in taken])
            for name, column in _columns(taken, legal).items():
                frame.setdefault(name, []).extend(column)
    return named, frame


def _find_repeated(folder: Path, ids: Mapping[str, bytearray], findings: SchemaFindings) -> None:
    """Fail the rows whose id stands in an earlier row; only when there are any is the file read for their names."""
    import numpy as np

    repeated: dict[str, set[int]] = {}
    for name, hashes in ids.items():
        number_of, first = numbered(hashes, HASH_BYTES)
        repeated[name] = set(np.flatnonzero(first[number_of] != np.arange(len(number_of))).tolist())
    if any(repeated.values()):
        for number, row in enumerate(read_rows(folder)):
            for name, rows in repeated.items():
                if number in rows:
                    findings.fail(row, name, "not unique")


def _columns(rows: Sequence[Mapping[str, Any]], legal: frozenset[str] | None) -> dict[str, list[Any]]:
    """Return rows as whole numbers and truths: texts enter as what the schema asks of them, many times faster."""
    conversations = [row["messages"] for row in rows]
    return {
        "split": [row["split"] in SPLITS for row in rows],
        "example_id": _digest_or_not([row["example_id"] for row in rows]),
        "record_id": [len(row["record_id"]) for row in rows],
        "content_key": _digest_or_not([row["content_key"] for row in rows]),
        "label": [len(row["label"]) for row in rows],
        "levels": [len(row["label_path"]) for row in rows],
        "target": [_kind_of_answer(row["target"], legal) for row in rows],
        "turns": [len(turns) for turns in conversations],
        "roles_known": [_ROLES.issuperset([turn["role"] for turn in turns]) for turns in conversations],
        "ends_with_user": [bool(turns) and turns[-1]["role"] == "user" for turns in conversations],
        "blank_turns": [[not turn["content"].strip() for turn in turns].count(True) for turns in conversations],
        "example_id_holds": [
            content_digest(row["messages"], row["target"], row["attachments"]) == row["example_id"] for row in rows
        ],
    }


def _digest_or_not(texts: Sequence[str]) -> list[bool]:
    return [True] * len(texts) if _are_digests(texts) else [_IS_DIGEST(text) is not None for text in texts]


def _kind_of_answer(target: str, legal: frozenset[str] | None) -> int:
    if not target:
        return _EMPTY
    return _LEGAL if legal is None or target in legal else _ILLEGAL


def _schema(task: TaskType) -> Any:
    from pandera.pandas import Check, Column, DataFrameSchema

    def truth(error: str) -> Any:
        return Column(bool, Check.eq(True, error=error))

    def filled(error: str) -> Any:
        return Column(int, Check.ge(1, error=error))

    # The failing value is an answer of the taxonomy's making; the message must not list thousands of legal ones.
    answer = [Check.ne(_EMPTY, error="target is empty"), Check.ne(_ILLEGAL, error="target is no legal answer")]
    return DataFrameSchema(
        {
            "split": truth("split is unknown"),
            "example_id": truth("not 64 hex digits"),
            "record_id": filled("record id is empty"),
            "content_key": truth("not 64 hex digits"),
            "label": filled("label is empty"),
            "levels": Column(int, Check.eq(len(task.label_levels), error="label has not all levels")),
            "target": Column(int, answer),
            "turns": filled("no turn"),
            "roles_known": truth("does not hold"),
            "ends_with_user": truth("does not hold"),
            "blank_turns": Column(int, Check.eq(0, error="a turn is blank")),
            "example_id_holds": truth("does not hold"),
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


def leakage_findings(folder: Path, config: SplitConfig, task: TaskType) -> SchemaFindings:
    """Check that no question, no declared group and no near-duplicates stand in two splits.

    Args:
        folder: the split dataset.
        config: says whether near-duplicates are searched, and from which similarity.
        task: its user template's fixed wording is left out when texts are compared.

    Returns:
        The findings. Rows that were made, not observed, fail where they stand in validation or test.

    Raises:
        OSError: when `examples.jsonl` cannot be read.
    """
    leakage = measure_leakage(folder, config, FixedWording.of(task.prompt_manifest()))
    overlaps = {
        "cross_split_key_overlap": leakage.key_overlap,
        "cross_split_group_overlap": leakage.group_overlap,
        "cross_split_near_duplicates": leakage.near_overlap,
        "synthetic_in_evaluation": leakage.synthetic_in_evaluation,
    }
    similarity = {} if leakage.largest_similarity is None else {"largest_similarity": leakage.largest_similarity}
    return SchemaFindings(
        rows=leakage.rows,
        failures=leakage.failures,
        failure_count=sum(overlaps.values()),
        facts={
            **overlaps,
            **similarity,
            "components": leakage.components,
            "largest_component": leakage.largest_component,
        },
    )


def label_balance(folder: Path, *, min_rows: int = 2) -> SchemaFindings:
    """Find labels that are rare in training or absent from test.

    Observed rows count. Copies that augmentation makes, and rows that a program or a model wrote, say nothing new about
    a rare label; a failure names them beside the observed ones.

    Args:
        folder: the split dataset.
        min_rows: fewest observed training rows of a label.

    Returns:
        One failure for each label with too few training rows; facts hold the number of labels, the largest ratio
        between two labels' observed training rows and between all of them, and the labels that test lacks.

    Raises:
        OSError: when `examples.jsonl` cannot be read.
    """
    findings = SchemaFindings()
    counts: dict[str, Counter[str]] = {name: Counter() for name in SPLITS}
    observed: Counter[str] = Counter()
    for row in read_rows(folder):
        findings.rows += 1
        counts[row["split"]][row["label"]] += 1
        observed[row["label"]] += row["split"] == "train" and row.get("origin", "observed") in _SEEN
    train = counts["train"]
    labels = sorted({label for found in counts.values() for label in found})
    for label in labels:
        if observed[label] < min_rows:
            others = train[label] - observed[label]
            more = f" besides {others} synthetic or augmented ones" if others else ""
            problem = f"{label}: {observed[label]} training rows{more}, at least {min_rows}"
            findings.fail({"split": "train"}, "label", problem)
    findings.facts = {
        "labels": len(labels),
        "largest_ratio": _ratio(observed.values()),
        "largest_ratio_of_all": _ratio(train.values()),
        "labels_absent_from_test": [label for label in labels if not counts["test"][label]],
    }
    return findings


def _ratio(counts: Iterable[int]) -> float:
    present = sorted(count for count in counts if count)
    return round(present[-1] / present[0], 1) if present else 0.0
