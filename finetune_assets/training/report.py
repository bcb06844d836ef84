"""How a trainer tells what it does: to Dagster's run log through Pipes, else as JSON lines on stdout.

Here belongs the reporter and nothing that knows what is being trained.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_PIPES_VARIABLE = "DAGSTER_PIPES_CONTEXT"


@dataclass(frozen=True, slots=True)
class Reporter:
    """Where lines for people and messages for programs go.

    Attributes:
        info: takes one line for the run log.
        message: takes a JSON object with a `kind`; the launcher reads it (`report_custom_message` in Pipes).
    """

    info: Callable[[str], None]
    message: Callable[[Mapping[str, Any]], None]

    def progress(self, *, step: int, total: int, loss: float | None = None, **more: Any) -> None:
        """Report that `step` of `total` optimizer steps are done, with the latest loss in nats a token."""
        spoken = "" if loss is None else f" loss {loss:.3f}"
        spoken += "".join(f" {name} {_spell(value)}" for name, value in more.items())
        self.info(f"step {step}/{total}{spoken}")
        self.message({"kind": "progress", "step": step, "total": total, "loss": loss, **more})


def _ignore(told: object) -> None:
    del told


SILENT = Reporter(info=_ignore, message=_ignore)
"""Tells nobody: of several processes that train together the first one speaks."""


def _spell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _write_line(data: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


@contextmanager
def open_reporter(environ: Mapping[str, str] | None = None) -> Iterator[Reporter]:
    """Open Dagster Pipes where the launcher set it up, else report to stdout.

    Args:
        environ: the environment to look in; None is this process's own.
    """
    if _PIPES_VARIABLE not in (os.environ if environ is None else environ):
        yield Reporter(info=lambda line: _write_line({"kind": "log", "line": line}), message=_write_line)
        return
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes() as pipes:
        yield Reporter(info=pipes.log.info, message=lambda data: pipes.report_custom_message(dict(data)))
