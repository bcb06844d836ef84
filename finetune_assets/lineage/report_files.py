"""The report as files: JSON that approvals speak of, and beside it what people read."""

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.datasets.quarantine import shown_text
from finetune_assets.evaluation.answers import GivenAnswer, ScoredAnswer
from finetune_assets.evaluation.report.build import Contender as Judged
from finetune_assets.evaluation.report.build import Judgement, report_markdown
from finetune_assets.evaluation.report.charts import confusion_png, effects_png
from finetune_assets.evaluation.report.page import CHANGES_FILE, PageRow, Timing, report_page, timing_of
from finetune_assets.lineage.asking import Room
from finetune_assets.lineage.contenders import Contender
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.digests import digest_of
from finetune_assets.records.example import Example
from finetune_assets.records.json_lines import encode_line
from finetune_assets.records.measure import Measure
from finetune_assets.records.similarity import FixedWording
from finetune_assets.records.task_type import TaskType
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import write_atomic, write_json_atomic

CONFUSION = "confusion.png"
EFFECTS = "effects.png"
PAGE = "report.html"


def rules_digest(task: TaskRun) -> str:
    """Return the digest of the rules that a report is made by: a verdict by other rules is none by these."""
    return digest_of(task.config.evaluation.model_dump(mode="json", exclude={"contenders"}))


def keep_report(
    room: Room,
    kind: str,
    key: str,
    report: dict[str, Any],
    judgement: Judgement,
    test: Sequence[Example],
    candidate: Contender,
    baseline: Contender,
    *,
    judged: Judged,
    rival: Judged,
) -> Artifact:
    """Keep a report as an artifact.

    Its digest is that of the JSON and the Markdown, which hold no texts of people. The page for the browser and the
    list of changed answers show texts, so that both can be deleted without the judgement.
    """
    adapter = candidate.adapter
    rows = page_rows(room.task_type, judgement.evidence.primary, test, judgement.candidate, judgement.baseline)
    page = report_page(
        report,
        rows,
        {"candidate": timing(judged.answers), "baseline": timing(rival.answers)},
        about=room.task.config.description,
        what_now=what_now(room, report["verdict"]["verdict"]),
    )
    charts = {EFFECTS: effects_png(report)}
    if report["confusion"]:
        charts[CONFUSION] = confusion_png(report["confusion"])
    with room.task.artifacts.create(kind, key) as staging:
        write_json_atomic(staging.path / "report.json", report)
        write_atomic(staging.path / "report.md", report_markdown(report))
        write_atomic(staging.path / PAGE, page)
        write_atomic(
            staging.path / CHANGES_FILE, b"".join(encode_line(row.to_json()) + b"\n" for row in rows if row.changed)
        )
        for name, png in charts.items():
            write_atomic(staging.path / name, png)
        return staging.commit(
            {
                "task": room.task.task,
                "candidate": candidate.candidate,
                "baseline": baseline.candidate,
                "baseline_name": baseline.name,
                "adapter_key": adapter.key if adapter else "",
                "variant": candidate.variant,
                "rules": rules_digest(room.task),
                "answer_tokens": room.answer_tokens,
                "verdict": report["verdict"]["verdict"],
            },
            outside_digest=[PAGE, CHANGES_FILE, *charts],
        )


def page_rows(
    task_type: TaskType,
    primary: Measure,
    examples: Sequence[Example],
    candidate: Sequence[ScoredAnswer],
    baseline: Sequence[ScoredAnswer],
) -> list[PageRow]:
    """Return the test rows with their texts, redacted and shortened.

    Args:
        task_type: whose prompt's fixed wording is left out of the questions.
        primary: the measure by which rows are scored.
        examples: the test set.
        candidate: the candidate's marked rows, in the order of the test set.
        baseline: the baseline's.
    """
    wording = FixedWording.of(task_type.prompt_manifest())
    return [_row(wording, primary, *parts) for parts in zip(examples, candidate, baseline, strict=True)]


def _row(
    wording: FixedWording, primary: Measure, example: Example, ours: ScoredAnswer, theirs: ScoredAnswer
) -> PageRow:
    scores = [primary.row_goodness(answer.stats.get(primary.name, ())) for answer in (ours, theirs)]
    one, other = scores
    return PageRow(
        record=example.record_id,
        example=example.example_id,
        question=shown_text(_question(wording, example)),
        right=shown_text(example.target),
        candidate=shown_text(ours.text),
        baseline=shown_text(theirs.text),
        candidate_right=ours.correct,
        baseline_right=theirs.correct,
        candidate_problem=ours.problem,
        baseline_problem=theirs.problem,
        candidate_score=None if one is None else primary.sign * one,
        baseline_score=None if other is None else primary.sign * other,
        loss=None if one is None or other is None else other - one,
        changed=not ours.same_answer(theirs),
        slices=example.slices,
    )


def _question(wording: FixedWording, example: Example) -> str:
    """Return the last question of the conversation, without what the prompt puts around every one."""
    asked = [message["content"] for message in example.messages if message["role"] == "user"]
    return wording.without(asked[-1]) if asked else ""


def timing(answers: Sequence[GivenAnswer]) -> Timing:
    """Return what a model's answers took."""
    given = [answer for answer in answers if answer.answered]
    return timing_of(
        [answer.latency_s for answer in given],
        [answer.prompt_tokens for answer in given],
        [answer.completion_tokens for answer in given],
    )


def what_now(room: Room, verdict: str) -> str:
    """Return what happens after a verdict, as the end of a sentence; "" where the verdict alone says it."""
    release = room.task.config.release
    by_hand = release.approval == "manual"
    if room.task.is_experiment:
        return "nothing more happens: this is an experiment, which is never released"
    ends: Mapping[str, str] = {
        "PASS": "it waits for a person to approve it" if by_hand else "it is released by itself",
        "INCONCLUSIVE": "a person may approve it nevertheless" if by_hand and release.inconclusive == "person" else "",
    }
    return ends.get(verdict, "")
