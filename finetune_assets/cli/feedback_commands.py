"""`finetune feedback`: error cases of live answers: imported, listed, corrected, dismissed, and a person forgotten."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from finetune_assets.cli.common import AsJson, TaskName, find_task, home_folder, out, print_json
from finetune_assets.records.errors import FinetuneError

if TYPE_CHECKING:
    from finetune_assets.feedback.case_moves import CaseState
    from finetune_assets.feedback.case_reading import ErrorCase
    from finetune_assets.feedback.cases import CaseBook
    from finetune_assets.feedback.importing import Imported
    from finetune_assets.feedback.prediction_store import PredictionStore
    from finetune_assets.lineage.purging import Holdings

feedback = typer.Typer(
    name="feedback", no_args_is_help=True, help="Error cases: import, list, correct, dismiss; forget a person."
)

_SHOWN_BAD_LINES = 20
_SHOWN_CHARACTERS = 60
_STATES: "tuple[CaseState, ...]" = ("new", "corrected", "consumed", "dismissed")

Case = Annotated[int, typer.Argument(min=1, help="Number of the case, as `list` shows it.", show_default=False)]


@feedback.command("import")
def import_feedback(
    task: TaskName,
    file: Annotated[Path, typer.Argument(help="JSON Lines, or CSV under the name .csv.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Import feedback from a file; a line that cannot be taken is named with its reason, and the others are taken."""
    from finetune_assets.feedback.giving import FeedbackDesk
    from finetune_assets.feedback.importing import import_file

    with _book(task) as book:
        done = import_file(FeedbackDesk(book, _predictions(), _judge(task)), task, file)
    if as_json:
        print_json(_imported(done))
        return
    out.print(
        f"{done.lines:,} lines: {done.taken:,} taken, {done.repeated:,} known already, {len(done.bad):,} refused; "
        f"{len(done.cases):,} cases"
    )
    for reason, count in done.reasons.items():
        out.print(f"  {count:,} {reason}")
    for line in done.bad[:_SHOWN_BAD_LINES]:
        out.print(f"  line {line.line}: {escape(line.detail)} ({line.reason})", soft_wrap=True)
    if len(done.bad) > _SHOWN_BAD_LINES:
        out.print(f"  … {len(done.bad) - _SHOWN_BAD_LINES:,} more; --json names all")


@feedback.command("list")
def list_cases(
    task: TaskName,
    state: Annotated[str, typer.Option(help=f"Only this state: {', '.join(_STATES)}.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many cases.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the task's error cases with their redacted texts."""
    if state and state not in _STATES:
        raise FinetuneError("state is unknown", found=state, expected=f"one of {', '.join(_STATES)}")
    wanted = [name for name in _STATES if name == state] or None
    with _book(task) as book:
        cases = list(book.cases(task, wanted, limit=limit))
    if as_json:
        print_json([_facts(case) for case in cases])
    elif not cases:
        out.print("no error cases")
    else:
        _print(cases)


@feedback.command()
def correct(
    case: Case, text: Annotated[str, typer.Argument(help="The right answer, as the model should write it.")]
) -> None:
    """Give a case its right answer."""
    from finetune_assets.cli.chain import current_user

    task = _task_of(case)
    if text.strip() and (fault := _judge(task)(text)):
        raise FinetuneError("the correction cannot be read", where=f"case {case}", found=fault)
    with _book(task) as book:
        holder = book.correct(case, text, rater=current_user())
    follows = "" if holder == case else f"; case {case} is closed, so it stands in a new one"
    out.print(f"case {holder} is corrected{follows}")


@feedback.command()
def dismiss(
    case: Case,
    reason: Annotated[str, typer.Option(help="not_an_error, unusable or duplicate.", show_default=False)],
) -> None:
    """Close a case without using it; `not_an_error` takes it out of the error rate."""
    from finetune_assets.cli.chain import current_user
    from finetune_assets.feedback.case_moves import REASONS

    offered = [name for name in REASONS if name != "forgotten"]
    known = next((name for name in offered if name == reason), None)
    if known is None:
        raise FinetuneError("reason is unknown", found=reason, expected=f"one of {', '.join(offered)}")
    with _book(_task_of(case)) as book:
        book.dismiss(case, known, by=current_user())
    out.print(f"case {case} is dismissed: {reason}")


@feedback.command()
def forget(
    person: Annotated[
        str,
        typer.Argument(
            help="The person, as `feedback.subject_field` or a rater's name spells them.", show_default=False
        ),
    ],
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove the artifacts of earlier versions that hold their rows, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a person's texts from predictions, error cases and comments; counts and digests stay."""
    from finetune_assets.cli.chain import current_user
    from finetune_assets.feedback import forgetting
    from finetune_assets.feedback.pseudonyms import Pseudonyms
    from finetune_assets.storage.database import Database

    home = home_folder()
    subject = Pseudonyms.load(home.path).subject(person.strip())
    if not subject:
        raise FinetuneError("the person is blank", expected="the person's id or name")
    database = Database.open(home.database_url)
    try:
        done = forgetting.forget(database, _predictions(), subject, by=current_user())
    finally:
        database.close()
    held = _purged(done_now=purge)
    if as_json:
        names = ("predictions", "cases", "texts", "corrections", "comments", "names")
        found = {name: getattr(done, name) for name in names} | {"dataset_versions": list(done.dataset_versions)}
        print_json(found | {"purged": purge, "held": [asdict(one) for one in held]})
        return
    out.print(
        f"deleted: texts of {done.predictions:,} predictions, {done.texts:,} texts of {done.cases:,} cases, "
        f"{done.corrections:,} corrections, {done.comments:,} comments, {done.names:,} names"
    )
    for one in held:
        _print_held(one, purged=purge)


def _purged(*, done_now: bool) -> "list[Holdings]":
    """Return what of each task holds rows of forgotten cases, and remove it where that is asked for."""
    import os

    from finetune_assets.cli.chain import current_user
    from finetune_assets.component import known_tasks
    from finetune_assets.lineage.comparing import open_here
    from finetune_assets.lineage.purging import holdings, purge
    from finetune_assets.storage.clock import utc_now

    held = []
    for spec in known_tasks(os.environ).values():
        task = open_here(spec, home_folder())
        try:
            found = holdings(task)
            if done_now:
                purge(task, found, by=current_user(), at=utc_now())
        finally:
            task.database.close()
        if found.cases:
            held.append(found)
    return held


def _print_held(found: "Holdings", *, purged: bool) -> None:
    versions = ", ".join(map(str, found.versions)) or "none"
    out.print(f"{found.task}: {len(found.cases)} forgotten cases are in dataset versions {versions}")
    if found.artifacts:
        done = "were removed" if purged else "hold their rows; remove them with `--purge`"
        out.print(f"  {len(found.artifacts)} artifacts {done}")
    if found.head:
        out.print(
            f"  version {found.head} is the newest, and the next one is built on it. Make that first, then purge:"
        )
        out.print(f"    finetune run {found.task} --until validated_splits", soft_wrap=True)
    for key in found.in_the_bucket:
        out.print(f"  a copy of uploaded_dataset/{key} is in the bucket; remove it there", soft_wrap=True)
    if found.adapters or found.releases:
        releases = ", ".join(map(str, found.releases)) or "none"
        out.print(
            f"  {len(found.adapters)} adapters were trained on them (releases: {releases}); whether they stay is for "
            "people to decide",
            soft_wrap=True,
        )


@contextmanager
def _book(task: str) -> "Iterator[CaseBook]":
    """Give the error cases of a task under its own rules, and close the database behind it."""
    import os

    from finetune_assets.feedback.cases import CaseBook
    from finetune_assets.feedback.pseudonyms import Pseudonyms
    from finetune_assets.lineage.settings import resolve
    from finetune_assets.storage.database import Database

    config = resolve(find_task(task), {}, os.environ).config.feedback
    home = home_folder()
    database = Database.open(home.database_url)
    try:
        yield CaseBook(database, config, Pseudonyms.load(home.path))
    finally:
        database.close()


def _judge(task: str) -> "Callable[[str], str]":
    """Return what says why a correction is no answer of the task, "" for one that may be."""
    import os
    from pathlib import Path

    from finetune_assets.lineage.settings import resolve
    from finetune_assets.task_types import build_task_type
    from finetune_assets.task_types.corrections import correction_fault

    spec = find_task(task)
    config = resolve(spec, {}, os.environ).config
    kind = build_task_type(config.task_type, config.type_section().model_dump(mode="json"), Path(spec.folder))

    def said(correction: str) -> str:
        fault = correction_fault(kind, correction)
        return "" if fault is None else f"{fault.found}; expected {fault.expected}"

    return said


def _task_of(number: int) -> str:
    """Return the task of a case, whose rules say what of a correction may be kept."""
    from finetune_assets.feedback.case_reading import read_cases
    from finetune_assets.storage.database import Database

    database = Database.open(home_folder().database_url)
    try:
        found = next(read_cases(database, case_ids=[number]), None)
    finally:
        database.close()
    if found is None:
        raise FinetuneError("there is no such case", found=str(number), mend="see `finetune feedback list TASK`")
    return found.task


def _predictions() -> "PredictionStore":
    from finetune_assets.feedback.prediction_store import FILE_NAME, PredictionStore

    return PredictionStore(home_folder().path / FILE_NAME)


def _imported(done: "Imported") -> dict[str, Any]:
    return {
        "lines": done.lines,
        "taken": done.taken,
        "repeated": done.repeated,
        "cases": sorted(done.cases),
        "reasons": done.reasons,
        "bad": [{"line": line.line, "reason": line.reason, "detail": line.detail} for line in done.bad],
    }


def _facts(case: "ErrorCase") -> dict[str, Any]:
    return {
        "case": case.case_id,
        "task": case.task,
        "state": case.state,
        "source": case.source,
        "cluster": case.cluster,
        "request_id": case.request_id,
        "input": None if case.input is None else dict(case.input),
        "answer": case.answer,
        "correction": case.correction,
        "label": case.label,
        "score": case.score,
        "dataset_version": case.dataset_version,
        "dismissed_for": case.dismissed_for,
        "reported_at": case.reported_at.isoformat(),
    }


def _print(cases: "list[ErrorCase]") -> None:
    from finetune_assets.feedback.predictions import input_text

    table = Table("case", "state", "source", "input", "answer", "correction")
    for case in cases:
        state = f"{case.state}: {case.dataset_version or case.dismissed_for}".removesuffix(": ")
        texts = ("" if case.input is None else input_text(case.input), case.answer or "", case.correction or "")
        table.add_row(str(case.case_id), state, case.source, *(escape(_short(text)) for text in texts))
    out.print(table)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[: _SHOWN_CHARACTERS - 1]}…"
