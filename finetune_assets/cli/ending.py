"""How a command that runs something begins and ends: the instance, Ctrl-C and SIGTERM, and the exit code."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from finetune_assets.cli.common import EXIT_ERROR, EXIT_GATE, EXIT_STOPPED, err, home_folder

if TYPE_CHECKING:
    from finetune_assets.cli.running import RunResult


@contextmanager
def dagster_instance() -> "Iterator[Any]":
    """Open the Dagster instance of the home that the environment names."""
    from finetune_assets.lineage.instance import open_instance

    with open_instance(home_folder(), os.environ) as instance:
        yield instance


def leave(result: "RunResult") -> None:
    """Say why a run did not succeed, and end with the exit code of that; return after a success."""
    if result.success:
        return
    if result.stopped:
        say_stopped()
    if result.failed_checks and not result.error:
        for asset, check, summary in result.failed_checks:
            err.print(f"[bold red]gate not passed:[/] {asset} {check}: {plain(summary)}")
        raise typer.Exit(EXIT_GATE)
    err.print(f"[bold red]error:[/] {plain(result.error)}")
    raise typer.Exit(EXIT_ERROR)


@contextmanager
def terminable() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that a stopped run is reported and its trainer stopped."""

    def stop(_signum: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        say_stopped()
    finally:
        signal.signal(signal.SIGTERM, before)


def say_stopped() -> NoReturn:
    """Say that somebody stopped the run, and end with the exit code of that."""
    err.print("[bold]stopped[/]; run the same command again, it resumes")
    raise typer.Exit(EXIT_STOPPED)


def plain(problem: object) -> str:
    """Return a message as the console prints it word by word."""
    # Square brackets in a message are text, not Rich's markup.
    return str(problem).replace("[", r"\[")
