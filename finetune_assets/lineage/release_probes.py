"""The recorded questions of a release: test rows that it must answer, live, as the report saw them answered."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import orjson

from finetune_assets.datasets.build import read_examples
from finetune_assets.lineage.contenders import Contender
from finetune_assets.lineage.judging import candidate_answers
from finetune_assets.lineage.raw_observations import STAGE as RAW
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example, Message
from finetune_assets.records.task_type import TaskType
from finetune_assets.releases.manifest import Probe

_CANDIDATES_A_PROBE = 4


def recorded_probes(task: TaskRun, candidate: Contender) -> list[Probe]:
    """Return recorded questions with the answers that the report saw, spread over the labels.

    Raises:
        FinetuneError: when no test row can be asked again from its record's fields.
    """
    splits = task.result(SPLITS)
    task_type = task.task_type()
    wanted = task.config.release.probes
    answers = {row.example_id: row for row in candidate_answers(task, candidate)}
    by_label: dict[str, list[Example]] = {}
    for example in sorted(read_examples(splits.path, "test"), key=lambda example: example.content_key):
        if answers[example.example_id].parsed.valid and not example.attachments:
            by_label.setdefault(example.label, []).append(example)
    # One row of each label first: a release that lost a whole label must not pass its rehearsal.
    ranked = [example for turn in zip_longest(*by_label.values()) for example in turn if example is not None]
    found: list[Probe] = []
    for example, fields in _asked(task, task_type, ranked[: wanted * _CANDIDATES_A_PROBE]):
        answer = answers[example.example_id]
        found.append(Probe(fields=fields, text=answer.text, label_path=answer.parsed.label_path))
        if len(found) == wanted:
            break
    if not found:
        raise FinetuneError(
            "no recorded question for the rehearsal",
            where=f"{task.task}/{SPLITS}",
            found=f"{len(ranked)} test rows with a readable answer, none that its record's fields ask again",
            mend="a release needs at least one test row that can be asked live",
        )
    return found


def _asked(task: TaskRun, task_type: TaskType, examples: list[Example]) -> Iterator[tuple[Example, dict[str, Any]]]:
    """Yield examples with the fewest fields of their record that ask the very same question."""
    records = _records(task, examples)
    for example in examples:
        fields = records.get(_place(example))
        if fields is not None and _ask(task_type, fields) == list(example.messages):
            yield example, _fewest(task_type, fields, list(example.messages))


def _records(task: TaskRun, examples: list[Example]) -> dict[tuple[Any, ...], dict[str, Any]]:
    wanted = {_place(example) for example in examples}
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    with task.result(RAW).file("records.jsonl").open("rb") as lines:
        for line in lines:
            record = orjson.loads(line)
            source = record["source"]
            place = (source["file"], source["line"], source["row"])
            if place in wanted:
                found[place] = record["fields"]
                if len(found) == len(wanted):
                    break
    return found


def _place(example: Example) -> tuple[Any, ...]:
    return (example.source.file, example.source.line, example.source.row)


def _ask(task_type: TaskType, fields: Mapping[str, Any]) -> list[Message] | None:
    try:
        return list(task_type.input_messages(fields))
    except FinetuneError:
        return None


def _fewest(task_type: TaskType, fields: Mapping[str, Any], messages: list[Message]) -> dict[str, Any]:
    """Leave out each field that the question does without: a probe holds no label, no more of a person than it asks."""
    kept = dict(fields)
    for name in sorted(fields):
        fewer = {key: value for key, value in kept.items() if key != name}
        if _ask(task_type, fewer) == messages:
            kept = fewer
    return kept
