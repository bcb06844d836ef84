"""The verbs and their options.

Every verb that makes something runs the same job in the same instance as the UI, so that its run shows there.
Exit codes: 0 done, 1 an error (one line says which), 2 a wrong command line, 3 a gate that did not pass,
130 a run that was stopped or cancelled.
"""

import gc
import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from finetune_assets.cli.approval_commands import approvals
from finetune_assets.cli.budget_commands import budget
from finetune_assets.cli.common import EXIT_ERROR, AsJson, TaskName, err, out
from finetune_assets.cli.common import find_task as _task
from finetune_assets.cli.common import home_folder as _home
from finetune_assets.cli.data_commands import data
from finetune_assets.cli.db_commands import db
from finetune_assets.cli.doctor_commands import doctor
from finetune_assets.cli.ending import dagster_instance, leave, plain, terminable
from finetune_assets.cli.endpoint_commands import endpoints
from finetune_assets.cli.feedback_commands import feedback
from finetune_assets.cli.job_commands import jobs
from finetune_assets.cli.key_commands import keys
from finetune_assets.cli.report_commands import compare, report
from finetune_assets.cli.suite_commands import suites
from finetune_assets.cli.taxonomy_commands import taxonomy
from finetune_assets.cli.trigger_commands import replay, trigger
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.errors import StorageError

if TYPE_CHECKING:
    from finetune_assets.lineage.task_config import TaskSpec

_COLLECT_AFTER = 100_000  # new objects; Python's own figure is 700

app = typer.Typer(
    name="finetune", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich"
)
app.add_typer(data)
app.add_typer(taxonomy)
app.add_typer(suites)
app.add_typer(jobs)
app.add_typer(endpoints)
app.add_typer(budget)
app.add_typer(feedback)
app.add_typer(keys)
app.add_typer(db)
app.command()(approvals)
app.command()(doctor)
app.command()(report)
app.command()(compare)
app.command()(trigger)
app.command()(replay)

Sets = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads the annotation
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Try a value, such as tuning.epochs=3; makes the run an experiment."
    ),
]


def main() -> None:
    """Run the command line; a known problem is one line and exit code 1."""
    # Nearly all objects of a command are imported code that stays. Looking through it for garbage again and again, and
    # once more at the exit, costs a fifth of a short command.
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
    try:
        app()
    except (FinetuneError, StorageError) as problem:
        err.print(f"[bold red]error:[/] {plain(problem)}")
        sys.exit(EXIT_ERROR)
    finally:
        gc.freeze()


def _tasks() -> "dict[str, TaskSpec]":
    from finetune_assets.component import known_tasks

    return known_tasks(os.environ)


def _overrides(sets: list[str] | None) -> dict[str, str]:
    values = {}
    for item in sets or []:
        path, equals, text = item.partition("=")
        if not equals or not path:
            raise FinetuneError("--set is not readable", found=item, expected="PATH=VALUE, such as tuning.epochs=3")
        values[path.strip()] = text
    return values


@app.command()
def run(
    task: TaskName,
    limit: Annotated[
        int, typer.Option(min=0, help="Take about N examples, every label in its share; makes the run an experiment.")
    ] = 0,
    until: Annotated[str, typer.Option(help="Stop after this asset, such as validated_splits.")] = "",
    smoke: Annotated[
        bool,
        typer.Option("--smoke", help="Tune on cloud.smoke.rows rows, ask one question, and write down that it worked."),
    ] = False,
    sets: Sets = None,
) -> None:
    """Run a task's chain here and now, from raw records to a live endpoint."""
    from finetune_assets.cli.chain import run_chain
    from finetune_assets.cli.views import Progress, print_outcome

    if smoke and (limit or until):
        raise typer.BadParameter("--smoke takes its rows from cloud.smoke.rows and ends at the adapter")
    spec = _task(task)
    with terminable(), dagster_instance() as instance:
        with Progress(out, spec) as progress:
            outcome = run_chain(
                spec,
                instance,
                _home(),
                limit=limit,
                until=until,
                overrides=_overrides(sets),
                on_event=progress.event,
                smoke=smoke,
            )
        print_outcome(out, spec, outcome, instance, _home())
    leave(outcome.result)


@app.command()
def status(
    task: Annotated[Optional[str], typer.Argument(help="One task; without it, all.")] = None,  # noqa: UP045
    as_json: AsJson = False,
) -> None:
    """Show each task's live release, last run and rows."""
    from finetune_assets.cli.views import print_status
    from finetune_assets.lineage.instance import sweep_dead_runs
    from finetune_assets.lineage.status import StatusReader
    from finetune_assets.storage.database import Database

    specs = [_task(task)] if task else list(_tasks().values())
    home = _home()
    with dagster_instance() as instance:
        sweep_dead_runs(instance)
        reader = StatusReader(home, Database.open(home.database_url), instance)
        states = [reader.read(spec) for spec in specs]
    if as_json:
        sys.stdout.write(json.dumps(states, indent=2, ensure_ascii=False) + "\n")
    else:
        print_status(out, states)


@app.command()
def tasks(as_json: AsJson = False) -> None:
    """List the tasks."""
    from finetune_assets.cli.views import print_tasks

    rows = [
        {
            "task": spec.name,
            "task_type": spec.config.task_type,
            "description": spec.config.description,
            "folder": spec.folder,
        }
        for spec in _tasks().values()
    ]
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    else:
        print_tasks(out, rows)


@app.command()
def config(task: TaskName, sets: Sets = None, as_json: AsJson = False) -> None:
    """Show every setting of a task with its value and where it came from."""
    from finetune_assets.cli.views import print_config
    from finetune_assets.lineage.settings import resolve

    settings = resolve(_task(task), _overrides(sets), os.environ)
    if as_json:
        rows = [{"path": path, "value": value, "origin": origin} for path, value, origin in settings.rows()]
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    else:
        print_config(out, settings.rows())


@app.command()
def ask(
    task: TaskName,
    text: Annotated[str, typer.Argument(help="The text to ask about.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Ask the live release of a task one question."""
    from finetune_assets.cli.views import print_answer
    from finetune_assets.serving.ask import ask_live

    _task(task)
    answer = ask_live(_home(), task, text)
    if as_json:
        sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    else:
        print_answer(out, answer)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8700,
    allow_host: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads the annotation
        typer.Option(metavar="NAME", help="Answer under this name too, such as models.example; once for each."),
    ] = None,
    allow_origin: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads the annotation
        typer.Option(metavar="ORIGIN", help="Let pages of this origin ask, such as https://labels.example."),
    ] = None,
) -> None:
    """Serve the live releases over HTTP; a new release is taken up without a restart."""
    from pydantic import ValidationError

    from finetune_assets.serving.__main__ import bind
    from finetune_assets.serving.__main__ import main as serve_here
    from finetune_assets.serving.config import GatewaySettings

    names = {"allowed_hosts": allow_host or (), "allowed_origins": allow_origin or ()}
    try:
        settings = GatewaySettings.model_validate({"host": host, "port": port, **names})
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from None
    bind(host, port).close()  # a port that is taken is this command's error, before it says that it serves
    if port:
        err.print(f"serving the live releases on http://{host}:{port}; Ctrl-C stops it")
    raise typer.Exit(serve_here(["--home", str(_home().path), "--settings", settings.model_dump_json()]))


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the UI.")] = 3000,
) -> None:
    """Open Dagster's webserver and daemon on the graph: `dg dev -w workspace.yaml` behind a guard."""
    from finetune_assets.cli.ui import serve_ui
    from finetune_assets.lineage.instance import install_instance

    install_instance(_home(), os.environ)
    serve_ui(host, port)


Note = Annotated[str, typer.Option(help="Why; kept with the decision.")]
Candidate = Annotated[str, typer.Argument(help="The candidate, or its first 8 digits or more.", show_default=False)]


@app.command()
def approve(task: TaskName, candidate: Candidate, note: Note = "") -> None:
    """Approve a validated candidate and deploy it; where several people have to approve, the last one deploys."""
    _decide(task, candidate, "approve", note)


@app.command()
def reject(task: TaskName, candidate: Candidate, note: Note = "") -> None:
    """Reject a candidate, or take an approval back; what is live stays live."""
    _decide(task, candidate, "reject", note)


def _decide(task: str, candidate: str, decision: str, note: str) -> None:
    from finetune_assets.cli.chain import decide
    from finetune_assets.cli.views import Progress, print_decision

    spec = _task(task)
    with terminable(), dagster_instance() as instance:
        with Progress(out, spec) as progress:
            outcome = decide(spec, instance, _home(), candidate, decision, note, on_event=progress.event)
        print_decision(out, spec, outcome, decision, instance, _home())
    leave(outcome.result)


@app.command("approve-code")
def approve_code(
    task: TaskName, candidate: Candidate, decision: Annotated[str, typer.Argument(help="approve or reject")] = "approve"
) -> None:
    """Give out a single-use code for a decision in the Launchpad; it holds for 15 minutes."""
    from finetune_assets.cli.chain import issue_code

    code, full = issue_code(_task(task), _home(), candidate, decision)
    out.print(f"candidate {full}\ndecision  {decision}\ncode      [bold]{code}[/]")
    out.print("Materialize release_approval in the UI, and put these three and a note into its form.")
