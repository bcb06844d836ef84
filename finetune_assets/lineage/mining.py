"""Mining hard negatives: of records that were kept out, those that a model finds hardest, as a regression suite."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_assets.datasets.build import read_examples
from finetune_assets.evaluation.answers import score_answers
from finetune_assets.evaluation.config import SuiteConfig
from finetune_assets.evaluation.hard_negatives import MinedRow, mine
from finetune_assets.evaluation.leaks import find_leaks
from finetune_assets.lineage.asking import Say, answers_of
from finetune_assets.lineage.comparing import find_model, open_asked
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.suite_rows import SuiteRows
from finetune_assets.lineage.suites import read_suite
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example
from finetune_assets.records.json_lines import encode_line
from finetune_assets.records.similarity import FixedWording
from finetune_assets.storage.files import write_atomic


@dataclass(frozen=True)
class Mined:
    """A mined suite.

    Attributes:
        rows: the hardest first.
        pool: examples that the pool gave.
        rejected: records of the pool that cannot be read.
        leaked: why rows of the pool were passed over, by record id: they are not held out.
    """

    rows: list[MinedRow]
    pool: int
    rejected: int
    leaked: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return it without texts: record ids and figures."""
        rows = [
            {"record_id": row.example.record_id, "label": row.example.label, **row.to_json()["provenance"]}
            for row in self.rows
        ]
        return {"pool": self.pool, "rejected": self.rejected, "leaked": self.leaked, "rows": rows}


def mine_suite(task: TaskRun, pool: Path, out: Path, *, models: Sequence[str], rows: int, seed: int, say: Say) -> Mined:
    """Ask models the records of a pool and write the hardest as a suite file, in the pool's own form.

    Rows that share a leak group with the task's splits, or are nearly equal to one of them, are passed over and told.

    Args:
        task: the task, see `comparing.open_here`.
        pool: records that no model was trained on, in any form that the task reads.
        out: file to write: the records as JSON Lines, to be named under `evaluation.suites`.
        models: names as `finetune compare` takes them; the first is the one whose weakness is sought.
        rows: rows wanted at the most.
        seed: decides among equally hard rows.
        say: where progress is told.

    Raises:
        FinetuneError: for a name that is no model's, a pool without a usable row, or an `out` that exists.
    """
    if out.exists():
        raise FinetuneError("the suite's file exists", where=str(out), mend="name another file, or remove this one")
    asked = {name: find_model(task, name) for name in models}
    splits = task.result(SPLITS)
    train, test = (_rows_of(splits.path, *names) for names in (("train",), ("validation", "test")))
    room = open_asked(task, list(asked.values()), train, say)
    found = read_suite(room, SuiteConfig(name="pool", kind="edge", path=str(pool.resolve())))
    wording = FixedWording.of(room.task_type.prompt_manifest())
    leaked = find_leaks(found.examples, train, test, {}, wording)
    held_out = [example for example in found.examples if example.record_id not in leaked]
    answers = {
        name: score_answers(held_out, answers_of(room, model, held_out, "rows of the pool").answers, room.task_type)
        for name, model in asked.items()
    }
    mined = mine(held_out, answers, train, rows, seed, test=test, wording=wording) if held_out else []
    if not mined:
        raise FinetuneError(
            "the pool gives no hard row",
            where=str(pool),
            found=f"{len(found.examples)} examples, {len(leaked)} of them not held out, {found.rejected} unreadable",
            mend="give records that are in no split, or ask a weaker model",
        )
    write_atomic(out, _suite_file(found, mined))
    return Mined(mined, len(found.examples), found.rejected, leaked)


def _rows_of(folder: Path, *splits: str) -> list[Example]:
    return [example for name in splits for example in read_examples(folder, name)]


def _suite_file(found: SuiteRows, mined: Sequence[MinedRow]) -> bytes:
    """Return the mined records once each, as the pool has them: a suite is read as the task's own records are."""
    records: dict[str, dict[str, Any]] = {}
    for row in mined:
        fields = found.fields[row.example.example_id]
        records.setdefault(json.dumps(fields, sort_keys=True), fields)
    return b"".join(encode_line(fields) + b"\n" for fields in records.values())
