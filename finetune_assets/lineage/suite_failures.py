"""Rows of regression suites that the live release fails become error cases, once each.

They are held out, so that nothing may ever learn from them: they come without a correction, and a person's correction
finds the suite's row on its way and makes a regression sample of it.
"""

from collections.abc import Sequence

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.feedback.error_report import ErrorReport
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.suite_rows import SuiteRows


def report_failures(task: TaskRun, suite: str, rows: SuiteRows, answers: Sequence[ScoredAnswer]) -> int:
    """Report the rows that the live release answered wrongly; a row that is a case already gets an event at most.

    Args:
        task: the task in this run; an experiment reports nothing.
        suite: the suite's name.
        rows: its rows.
        answers: the live release's answers, in the order of the rows.

    Returns:
        How many rows it failed.
    """
    from finetune_assets.lineage.trigger_window import cases_of

    if task.is_experiment:
        return 0
    reports = [
        ErrorReport(
            task=task.task,
            source="regression",
            key=f"suite {suite} {example.example_id}",
            input=rows.fields[example.example_id],
            answer=answer.text,
            label=" / ".join(answer.predicted),
            by=f"suite {suite}",
        )
        for example, answer in zip(rows.examples, answers, strict=True)
        if answer.answered and not answer.correct
    ]
    cases_of(task).report(reports)
    return len(reports)
