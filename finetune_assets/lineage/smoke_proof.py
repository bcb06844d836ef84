"""What a smoke test has to show: every row was learned, the model is there, and it answers one question.

A tuned Gemini model is asked at its endpoint, an open model by a batch prediction of its registered version, an adapter
of the project's own trainer on this machine: each as it will be asked when it is judged.
"""

from collections.abc import Callable
from typing import Any

from finetune_assets.datasets.build import read_examples
from finetune_assets.evaluation.answers import GivenAnswer
from finetune_assets.lineage.asking import ask, open_room, refuse_unfinished
from finetune_assets.lineage.checks import Evidence
from finetune_assets.lineage.cloud.managed_evidence import every_row_was_learned, model_is_kept
from finetune_assets.lineage.contenders import find_candidate
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.smoke import keep_smoke
from finetune_assets.lineage.tuning_request import sends_validation
from finetune_assets.lineage.uploaded_dataset import STAGE as UPLOADED
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example
from finetune_assets.storage.artifacts import Artifact


def prove(whole: TaskRun, artifact: Artifact, variant: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Show that a smoke test's model is there and answers, and write that down.

    Args:
        whole: the task with all its variants; the adapter is its stage's result already.
        artifact: the adapter.
        variant: the variant, "" where there are none.
        say: where progress is told.

    Returns:
        Metadata for the asset.

    Raises:
        FinetuneError: when rows were lost, the model is gone, or it gave no answer.
    """
    task = whole.for_variant(variant)
    if "managed" in artifact.manifest:
        _require(every_row_was_learned(task, artifact), task)
        _require(model_is_kept(task, artifact), task)
    answer = _ask_once(whole, variant, say)
    if not answer.answered:
        raise FinetuneError(
            "the smoke test's model gave no answer",
            where=task.task + (f", variant {variant}" if variant else ""),
            found=answer.parsed.problem,
            mend="look at the model in its provider's console, then run again: nothing is tuned twice",
        )
    uploaded = task.result(UPLOADED)
    facts = {
        "task": task.task,
        "variant": variant,
        "request_key": artifact.key,
        "backend": task.config.tuning.backend,
        "base_model": artifact.manifest["base"]["name"],
        "rows": task.options.limit,
        "validation_rows_sent": sends_validation(task, uploaded),
        "asked": answer.example_id,
        "answer_is_readable": answer.parsed.valid,
        "seconds": round(answer.latency_s, 3),
        "run": task.run_id,
    }
    kept = keep_smoke(task, variant, facts)
    say(f"the smoke test succeeded: {kept.key}")
    return {"smoke": kept.key, "smoke/answer_is_readable": answer.parsed.valid, "smoke/seconds": answer.latency_s}


def _require(evidence: Evidence, task: TaskRun) -> None:
    if not evidence.passed:
        raise FinetuneError(
            "the smoke test does not hold",
            where=task.task,
            found=evidence.summary,
            mend="mend the rows or the settings that it names, and run the smoke test again",
        )


def _ask_once(whole: TaskRun, variant: str, say: Callable[[str], None]) -> GivenAnswer:
    splits = whole.result(SPLITS)
    candidate = find_candidate(whole, variant)
    room = open_room(whole, [candidate.base], list(read_examples(splits.path, "train")), say)
    answers = ask(room, candidate, [_question(splits)])
    refuse_unfinished(answers, candidate)
    return answers[0]


def _question(splits: Artifact) -> Example:
    """Return the row that is asked: the first test row, else a validation or training row."""
    for split in ("test", "validation", "train"):
        for example in read_examples(splits.path, split):
            return example
    raise FinetuneError("the smoke test has no row to ask", where=str(splits.path), mend="raise cloud.smoke.rows")
