"""What every command shares: consoles, exit codes, common options, who asks, and the way to a task."""

import getpass
import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.home import Home

if TYPE_CHECKING:
    from finetune_assets.lineage.task_config import TaskSpec

EXIT_ERROR = 1
EXIT_GATE = 3
EXIT_STOPPED = 130

# Piped output has no width of its own; tables need one.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True, highlight=False, soft_wrap=True)

TaskName = Annotated[str, typer.Argument(help="The task, as `finetune tasks` lists it.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def home_folder() -> Home:
    """Return the home that the environment names, with its folders."""
    return Home.from_environment(os.environ).ensure()


def find_task(name: str) -> "TaskSpec":
    """Return a task by name.

    Raises:
        FinetuneError: when there is none of that name.
    """
    from finetune_assets.component import known_tasks

    tasks = known_tasks(os.environ, wanted=name)
    if name not in tasks:
        raise FinetuneError(
            "task is not known", found=name, expected=f"one of {', '.join(tasks)}", mend="see `finetune tasks`"
        )
    return tasks[name]


def print_json(value: Any) -> None:
    """Print a value as JSON, and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def current_user() -> str:
    """Return who is logged in, as the operating system says it: not a name that somebody typed."""
    import pwd
    import socket

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = getpass.getuser()
    return f"user:{name}@{socket.gethostname()}"
